// Command ambient says whether ztunnel denies plain text, by what istiod makes of PeerAuthentications for it, so that
// tests can compare kubeassay with it.
//
// It reads one question a line (JSON) from standard input: PeerAuthentications as YAML texts, and ports of workloads; and
// writes one object a line: for each port STRICT or PERMISSIVE.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	_ "unsafe" // for the functions of istiod that it keeps to itself

	"sigs.k8s.io/yaml"

	client "istio.io/client-go/pkg/apis/security/v1"
	"istio.io/istio/pilot/pkg/model"
	_ "istio.io/istio/pilot/pkg/serviceregistry/ambient"
	"istio.io/istio/pkg/config/labels"
	"istio.io/istio/pkg/config/schema/kind"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/workloadapi/security"
)

const root = "istio-system"

//go:linkname selected istio.io/istio/pilot/pkg/serviceregistry/ambient.convertedSelectorPeerAuthentications
func selected(root string, configs []*client.PeerAuthentication) []string

//go:linkname converted istio.io/istio/pilot/pkg/serviceregistry/ambient.convertPeerAuthentication
func converted(root string, own, space, mesh *client.PeerAuthentication) *security.Authorization

//go:linkname oldest istio.io/istio/pilot/pkg/serviceregistry/ambient.getOldestPeerAuthn
func oldest(policies []*client.PeerAuthentication) *client.PeerAuthentication

type pod struct {
	Namespace string
	Labels    map[string]string
	Port      uint32
}

type question struct {
	Objects []string
	Modes   []pod
}

func main() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		var policies []*client.PeerAuthentication
		for _, text := range asked.Objects {
			policy := &client.PeerAuthentication{}
			if err := yaml.Unmarshal([]byte(text), policy); err != nil {
				panic(err)
			}
			policies = append(policies, policy)
		}
		modes := []string{}
		for _, one := range asked.Modes {
			modes = append(modes, mode(policies, one))
		}
		if err := out.Encode(map[string]any{"modes": modes}); err != nil {
			panic(err)
		}
	}
}

func mode(policies []*client.PeerAuthentication, one pod) string {
	var applying []*client.PeerAuthentication
	for _, policy := range policies {
		// fetchPeerAuthentications
		selector := policy.Spec.Selector
		if policy.Namespace == root && selector == nil ||
			policy.Namespace == one.Namespace &&
				(selector == nil || labels.Instance(selector.MatchLabels).SubsetOf(one.Labels)) {
			applying = append(applying, policy)
		}
	}
	for _, key := range selected(root, applying) {
		if key == root+"/istio_converted_static_strict" {
			return "STRICT"
		}
		for _, policy := range policies {
			named := model.ConfigKey{Name: policy.Name, Kind: kind.PeerAuthentication, Namespace: policy.Namespace}
			if key == policy.Namespace+"/"+model.GetAmbientPolicyConfigName(named) {
				made := converted(root, policy, general(policies, policy.Namespace), general(policies, root))
				if made != nil && denies(made, one.Port) {
					return "STRICT"
				}
			}
		}
	}
	return "PERMISSIVE"
}

// general is the policy of a namespace that PolicyCollections hands over.
func general(policies []*client.PeerAuthentication, namespace string) *client.PeerAuthentication {
	var found []*client.PeerAuthentication
	for _, policy := range policies {
		if policy.Namespace == namespace && policy.Spec.Selector == nil {
			found = append(found, policy)
		}
	}
	return oldest(found)
}

// denies says whether ztunnel denies a connection without an identity: one of the groups matches, of which all rules do,
// each by one of its matches.
func denies(policy *security.Authorization, port uint32) bool {
	return slices.ContainsFunc(policy.Groups, func(group *security.Group) bool {
		return !slices.ContainsFunc(group.Rules, func(rule *security.Rules) bool {
			return !slices.ContainsFunc(rule.Matches, func(match *security.Match) bool {
				return (len(match.DestinationPorts) == 0 || slices.Contains(match.DestinationPorts, port)) &&
					!slices.Contains(match.NotDestinationPorts, port)
			})
		})
	})
}
