// Command authorization says what Istio makes of AuthorizationPolicies, so that tests can compare kubeassay with it.
//
// It reads one question a line (JSON) from standard input: policies, a workload's namespace and labels, and requests; and
// writes one object a line: {"refused": {"name": "why"}, "allowed": [true, false]}, the answers in the order of requests.
//
// Policies are validated as on creation, selected and turned into Envoy's RBAC filters by Istio's own code; what the filters
// say of a request is computed here, from Envoy's documentation of them (envoy/config/rbac/v3/rbac.proto).
package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbac "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbachttp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	rbactcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	uri "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	security "istio.io/api/security/v1beta1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/security/authz/builder"
	"istio.io/istio/pilot/pkg/security/trustdomain"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/validation"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/util/protomarshal"

	lines "kubeassay.dev/oracle_lines"
)

type object struct {
	Metadata struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Spec json.RawMessage
}

type request struct {
	// Principal nil: no mTLS.
	Principal        *string
	SourceIP         string
	RemoteIP         string
	DestinationIP    string
	Port             uint32
	SNI              string
	Method           string
	Path             string
	Host             string
	Headers          map[string]string
	Issuer, Subject  *string
	Audiences, Group []string
	HTTP             bool
}

type question struct {
	Root, Namespace string
	Labels          map[string]string
	TrustDomains    []string
	Policies        []object
	Requests        []request
}

type answer struct {
	Refused map[string]string `json:"refused"`
	Allowed []bool            `json:"allowed"`
}

func main() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	lines.Answer(func(asked question) (any, error) { return answered(asked), nil })
}

func answered(asked question) answer {
	result := answer{Refused: map[string]string{}, Allowed: []bool{}}
	policies := &model.AuthorizationPolicies{
		NamespaceToPolicies: map[string][]model.AuthorizationPolicy{},
		RootNamespace:       asked.Root,
	}
	for _, obj := range asked.Policies {
		spec := &security.AuthorizationPolicy{}
		name := obj.Metadata.Namespace + "/" + obj.Metadata.Name
		if err := protomarshal.ApplyJSON(string(obj.Spec), spec); err != nil {
			result.Refused[name] = err.Error()
			continue
		}
		meta := config.Meta{GroupVersionKind: gvk.AuthorizationPolicy, Name: obj.Metadata.Name, Namespace: obj.Metadata.Namespace}
		if _, err := validation.ValidateAuthorizationPolicy(config.Config{Meta: meta, Spec: spec}); err != nil {
			result.Refused[name] = err.Error()
			continue
		}
		policies.NamespaceToPolicies[obj.Metadata.Namespace] = append(policies.NamespaceToPolicies[obj.Metadata.Namespace],
			model.AuthorizationPolicy{
				Name: obj.Metadata.Name, Namespace: obj.Metadata.Namespace, Annotations: obj.Metadata.Annotations, Spec: spec,
			})
	}
	matching := model.PolicyMatcherFor(asked.Namespace, asked.Labels, false).WithRootNamespace(asked.Root)
	attached := policies.ListAuthorizationPolicies(matching)
	bundle := trustdomain.NewBundle(asked.TrustDomains[0], asked.TrustDomains[1:])
	built := builder.New(bundle, nil, attached, builder.Option{})
	http, tcp := []*rbac.RBAC{}, []*rbac.RBAC{}
	if built != nil {
		for _, filter := range built.BuildHTTP() {
			found := &rbachttp.RBAC{}
			must(filter.GetTypedConfig().UnmarshalTo(found))
			http = append(http, found.GetRules())
		}
		for _, filter := range built.BuildTCP() {
			found := &rbactcp.RBAC{}
			must(filter.GetTypedConfig().UnmarshalTo(found))
			tcp = append(tcp, found.GetRules())
		}
	}
	for _, r := range asked.Requests {
		filters := tcp
		if r.HTTP {
			filters = http
		}
		result.Allowed = append(result.Allowed, passes(filters, r))
	}
	return result
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func passes(filters []*rbac.RBAC, r request) bool {
	for _, filter := range filters {
		if filter == nil || filter.Action == rbac.RBAC_LOG {
			continue
		}
		matched := false
		for _, policy := range filter.Policies {
			matched = matched || policyMatches(policy, r)
		}
		if matched != (filter.Action == rbac.RBAC_ALLOW) {
			return false
		}
	}
	return true
}

func policyMatches(policy *rbac.Policy, r request) bool {
	permitted, known := false, false
	for _, permission := range policy.Permissions {
		permitted = permitted || permissionMatches(permission, r)
	}
	for _, principal := range policy.Principals {
		known = known || principalMatches(principal, r)
	}
	return permitted && known
}

func permissionMatches(p *rbac.Permission, r request) bool {
	switch rule := p.Rule.(type) {
	case *rbac.Permission_AndRules:
		for _, inner := range rule.AndRules.Rules {
			if !permissionMatches(inner, r) {
				return false
			}
		}
		return true
	case *rbac.Permission_OrRules:
		for _, inner := range rule.OrRules.Rules {
			if permissionMatches(inner, r) {
				return true
			}
		}
		return false
	case *rbac.Permission_NotRule:
		return !permissionMatches(rule.NotRule, r)
	case *rbac.Permission_Any:
		return rule.Any
	case *rbac.Permission_Header:
		return headerMatches(rule.Header, r)
	case *rbac.Permission_UrlPath:
		return stringMatches(rule.UrlPath.GetPath(), r.Path)
	case *rbac.Permission_UriTemplate:
		template := &uri.UriTemplateMatchConfig{}
		must(rule.UriTemplate.GetTypedConfig().UnmarshalTo(template))
		return templateMatches(template.PathTemplate, r.Path)
	case *rbac.Permission_DestinationIp:
		return inRange(rule.DestinationIp, r.DestinationIP)
	case *rbac.Permission_DestinationPort:
		return rule.DestinationPort == r.Port
	case *rbac.Permission_RequestedServerName:
		return stringMatches(rule.RequestedServerName, r.SNI)
	}
	panic(fmt.Sprintf("permission %v", p))
}

func principalMatches(p *rbac.Principal, r request) bool {
	switch id := p.Identifier.(type) {
	case *rbac.Principal_AndIds:
		for _, inner := range id.AndIds.Ids {
			if !principalMatches(inner, r) {
				return false
			}
		}
		return true
	case *rbac.Principal_OrIds:
		for _, inner := range id.OrIds.Ids {
			if principalMatches(inner, r) {
				return true
			}
		}
		return false
	case *rbac.Principal_NotId:
		return !principalMatches(id.NotId, r)
	case *rbac.Principal_Any:
		return id.Any
	case *rbac.Principal_Authenticated_:
		return r.Principal != nil && stringMatches(id.Authenticated.PrincipalName, "spiffe://"+*r.Principal)
	case *rbac.Principal_FilterState:
		return r.Principal != nil && stringMatches(id.FilterState.GetStringMatch(), "spiffe://"+*r.Principal)
	case *rbac.Principal_DirectRemoteIp:
		return inRange(id.DirectRemoteIp, r.SourceIP)
	case *rbac.Principal_RemoteIp:
		return inRange(id.RemoteIp, r.RemoteIP)
	case *rbac.Principal_Header:
		return headerMatches(id.Header, r)
	case *rbac.Principal_Metadata:
		return metadataMatches(id.Metadata, r)
	}
	panic(fmt.Sprintf("principal %v", p))
}

func metadataMatches(m *matcher.MetadataMatcher, r request) bool {
	if r.Issuer == nil {
		return false
	}
	values := []string{}
	switch claim := m.Path[len(m.Path)-1].GetKey(); claim {
	case "iss":
		values = append(values, *r.Issuer)
	case "sub":
		values = append(values, *r.Subject)
	case "aud":
		values = r.Audiences
	case "group":
		values = r.Group
	default:
		panic("claim " + claim)
	}
	for _, value := range values {
		if valueMatches(m.Value, value) {
			return true
		}
	}
	return false
}

func valueMatches(m *matcher.ValueMatcher, value string) bool {
	switch pattern := m.MatchPattern.(type) {
	case *matcher.ValueMatcher_StringMatch:
		return stringMatches(pattern.StringMatch, value)
	case *matcher.ValueMatcher_OrMatch:
		for _, inner := range pattern.OrMatch.ValueMatchers {
			if valueMatches(inner, value) {
				return true
			}
		}
		return false
	case *matcher.ValueMatcher_ListMatch:
		return valueMatches(pattern.ListMatch.GetOneOf(), value)
	}
	panic(fmt.Sprintf("value %v", m))
}

func headerMatches(h *route.HeaderMatcher, r request) bool {
	value, found := "", true
	switch h.Name {
	case ":method":
		value = r.Method
	case ":authority":
		value = r.Host
	default:
		value, found = r.Headers[strings.ToLower(h.Name)]
	}
	switch specifier := h.HeaderMatchSpecifier.(type) {
	case *route.HeaderMatcher_PresentMatch:
		return found == specifier.PresentMatch
	case *route.HeaderMatcher_StringMatch:
		return found && stringMatches(specifier.StringMatch, value)
	}
	panic(fmt.Sprintf("header %v", h))
}

func stringMatches(m *matcher.StringMatcher, value string) bool {
	lower := func(text string) string {
		if m.IgnoreCase {
			return strings.ToLower(text)
		}
		return text
	}
	value = lower(value)
	switch pattern := m.MatchPattern.(type) {
	case *matcher.StringMatcher_Exact:
		return value == lower(pattern.Exact)
	case *matcher.StringMatcher_Prefix:
		return strings.HasPrefix(value, lower(pattern.Prefix))
	case *matcher.StringMatcher_Suffix:
		return strings.HasSuffix(value, lower(pattern.Suffix))
	case *matcher.StringMatcher_SafeRegex:
		return regexp.MustCompile("^(?:" + pattern.SafeRegex.Regex + ")$").MatchString(value)
	}
	panic(fmt.Sprintf("string %v", m))
}

// Envoy: "*" is one segment, "**" any number of characters of a path.
func templateMatches(template, path string) bool {
	const character = `[a-zA-Z0-9-._~%!$&'()+,;:@=`
	parts := strings.Split(template, "/")
	for i, part := range parts {
		switch part {
		case "*":
			parts[i] = character + "]+"
		case "**":
			parts[i] = character + "/]*"
		default:
			parts[i] = regexp.QuoteMeta(part)
		}
	}
	return regexp.MustCompile("^(?:" + strings.Join(parts, "/") + ")$").MatchString(path)
}

func inRange(cidr *core.CidrRange, address string) bool {
	prefix := netip.PrefixFrom(netip.MustParseAddr(cidr.AddressPrefix), int(cidr.PrefixLen.GetValue()))
	return prefix.Contains(netip.MustParseAddr(address))
}
