// Command rbac answers access reviews by Kubernetes' own RBAC authorizer, so that tests can compare kubeassay
// with it.
//
// It reads one JSON object a line from standard input and writes one a line to standard output:
//
//	{"objects": [...], "requests": [{"user": "alice", "groups": ["devs"], "verb": "get", "group": "apps",
//	  "resource": "deployments", "subresource": "", "name": "", "namespace": "shop", "path": ""}, ...]}
//	{"refused": [{"index": 0, "errors": ["..."]}], "allowed": [true, ...], "subjects": [["User//alice", ...], ...]}
//
// "objects" are Roles, ClusterRoles, RoleBindings and ClusterRoleBindings of rbac.authorization.k8s.io/v1. They are
// decoded, defaulted and validated as the API server does; "refused" names those that it would not take, and no other
// takes part. "subjects" are those that upstream's SubjectLocator names for the request, sorted, as kind/namespace/name.
//
// A line {"owner": [rules], "servant": [rules]} is answered by {"uncovered": [rules]}, and a line
// {"existing": {...}, "expected": {...}} (two ClusterRoles) by {"reconciled": {...}}: what an API server makes of an
// existing role when it starts.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	rulecompare "k8s.io/component-helpers/auth/rbac/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	rbacv1conversion "k8s.io/kubernetes/pkg/apis/rbac/v1"
	"k8s.io/kubernetes/pkg/apis/rbac/validation"
	rbacregistry "k8s.io/kubernetes/pkg/registry/rbac/validation"
	rbacauthorizer "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	lines "kubeassay.dev/oracle_lines"
)

type question struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups"`
	Verb        string   `json:"verb"`
	Group       string   `json:"group"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource"`
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Path        string   `json:"path"`
}

type line struct {
	Objects  []json.RawMessage   `json:"objects"`
	Requests []question          `json:"requests"`
	Owner    []rbacv1.PolicyRule `json:"owner"`
	Servant  []rbacv1.PolicyRule `json:"servant"`
	Existing *rbacv1.ClusterRole `json:"existing"`
	Expected *rbacv1.ClusterRole `json:"expected"`
}

type refusal struct {
	Index  int      `json:"index"`
	Errors []string `json:"errors"`
}

type response struct {
	Refused    []refusal           `json:"refused,omitempty"`
	Allowed    []bool              `json:"allowed,omitempty"`
	Subjects   [][]string          `json:"subjects,omitempty"`
	Uncovered  []rbacv1.PolicyRule `json:"uncovered,omitempty"`
	Reconciled *rbacv1.ClusterRole `json:"reconciled,omitempty"`
	Error      string              `json:"error,omitempty"`
}

func main() {
	lines.AnswerRaw(func(line []byte) (any, error) {
		answered, err := answer(line)
		if err != nil {
			answered = response{Error: err.Error()}
		}
		return answered, nil
	})
}

func answer(text []byte) (response, error) {
	var asked line
	if err := kjson.Unmarshal(text, &asked); err != nil {
		return response{}, err
	}
	if asked.Expected != nil {
		return reconcile(asked)
	}
	if asked.Servant != nil {
		_, uncovered := rulecompare.Covers(asked.Owner, asked.Servant)
		return response{Uncovered: uncovered}, nil
	}
	answered := response{}
	found := &objects{}
	for index, object := range asked.Objects {
		if errors := found.add(object); len(errors) > 0 {
			answered.Refused = append(answered.Refused, refusal{index, errors})
		}
	}
	ctx := context.Background()
	judge := rbacauthorizer.New(found, found, found, found)
	locator := rbacauthorizer.NewSubjectAccessEvaluator(found, found, found, found, "")
	for _, request := range asked.Requests {
		attributes := authorizer.AttributesRecord{
			User:            &user.DefaultInfo{Name: request.User, Groups: request.Groups},
			Verb:            request.Verb,
			APIGroup:        request.Group,
			Resource:        request.Resource,
			Subresource:     request.Subresource,
			Name:            request.Name,
			Namespace:       request.Namespace,
			ResourceRequest: request.Path == "",
			Path:            request.Path,
		}
		decision, _, err := judge.Authorize(ctx, attributes)
		if err != nil {
			return response{}, err
		}
		answered.Allowed = append(answered.Allowed, decision == authorizer.DecisionAllow)
		// Bindings to roles that do not exist are errors here; the subjects that are found count all the same.
		subjects, _ := locator.AllowedSubjects(ctx, attributes)
		names := []string{}
		for _, subject := range subjects {
			// The locator leaves out that an account without a namespace is of the binding's.
			if subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == "" {
				subject.Namespace = request.Namespace
			}
			names = append(names, fmt.Sprintf("%s/%s/%s", subject.Kind, subject.Namespace, subject.Name))
		}
		slices.Sort(names)
		answered.Subjects = append(answered.Subjects, slices.Compact(names))
	}
	return answered, nil
}

// objects are what the API server has taken.
type objects struct {
	roles               []*rbacv1.Role
	clusterRoles        []*rbacv1.ClusterRole
	roleBindings        []*rbacv1.RoleBinding
	clusterRoleBindings []*rbacv1.ClusterRoleBinding
}

// add takes an object, or says why it is refused.
func (o *objects) add(text []byte) []string {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := kjson.Unmarshal(text, &head); err != nil {
		return []string{err.Error()}
	}
	switch head.Kind {
	case "Role":
		role, internal := &rbacv1.Role{}, &rbac.Role{}
		if err := kjson.Unmarshal(text, role); err != nil {
			return []string{err.Error()}
		}
		if err := rbacv1conversion.Convert_v1_Role_To_rbac_Role(role, internal, nil); err != nil {
			return []string{err.Error()}
		}
		if errors := validation.ValidateRole(internal); len(errors) > 0 {
			return messages(errors)
		}
		o.roles = append(o.roles, role)
	case "ClusterRole":
		role, internal := &rbacv1.ClusterRole{}, &rbac.ClusterRole{}
		if err := kjson.Unmarshal(text, role); err != nil {
			return []string{err.Error()}
		}
		// rest.BeforeCreate takes the namespace away from what is of the whole cluster.
		role.Namespace = ""
		if err := rbacv1conversion.Convert_v1_ClusterRole_To_rbac_ClusterRole(role, internal, nil); err != nil {
			return []string{err.Error()}
		}
		if errors := validation.ValidateClusterRole(internal, validation.ClusterRoleValidationOptions{}); len(errors) > 0 {
			return messages(errors)
		}
		o.clusterRoles = append(o.clusterRoles, role)
	case "RoleBinding":
		binding, internal := &rbacv1.RoleBinding{}, &rbac.RoleBinding{}
		if err := kjson.Unmarshal(text, binding); err != nil {
			return []string{err.Error()}
		}
		rbacv1conversion.SetObjectDefaults_RoleBinding(binding)
		if err := rbacv1conversion.Convert_v1_RoleBinding_To_rbac_RoleBinding(binding, internal, nil); err != nil {
			return []string{err.Error()}
		}
		if errors := validation.ValidateRoleBinding(internal); len(errors) > 0 {
			return messages(errors)
		}
		o.roleBindings = append(o.roleBindings, binding)
	case "ClusterRoleBinding":
		binding, internal := &rbacv1.ClusterRoleBinding{}, &rbac.ClusterRoleBinding{}
		if err := kjson.Unmarshal(text, binding); err != nil {
			return []string{err.Error()}
		}
		binding.Namespace = ""
		rbacv1conversion.SetObjectDefaults_ClusterRoleBinding(binding)
		if err := rbacv1conversion.Convert_v1_ClusterRoleBinding_To_rbac_ClusterRoleBinding(binding, internal, nil); err != nil {
			return []string{err.Error()}
		}
		if errors := validation.ValidateClusterRoleBinding(internal); len(errors) > 0 {
			return messages(errors)
		}
		o.clusterRoleBindings = append(o.clusterRoleBindings, binding)
	default:
		return []string{fmt.Sprintf("kind %q", head.Kind)}
	}
	return nil
}

func messages(errors field.ErrorList) []string {
	texts := []string{}
	for _, err := range errors {
		texts = append(texts, err.Error())
	}
	return texts
}

var _ rbacregistry.RoleGetter = &objects{}

func (o *objects) GetRole(_ context.Context, namespace, name string) (*rbacv1.Role, error) {
	for _, role := range o.roles {
		if role.Namespace == namespace && role.Name == name {
			return role, nil
		}
	}
	return nil, notFound("roles", name)
}

func (o *objects) GetClusterRole(_ context.Context, name string) (*rbacv1.ClusterRole, error) {
	for _, role := range o.clusterRoles {
		if role.Name == name {
			return role, nil
		}
	}
	return nil, notFound("clusterroles", name)
}

func (o *objects) ListRoleBindings(_ context.Context, namespace string) ([]*rbacv1.RoleBinding, error) {
	found := []*rbacv1.RoleBinding{}
	for _, binding := range o.roleBindings {
		if binding.Namespace == namespace {
			found = append(found, binding)
		}
	}
	return found, nil
}

func (o *objects) ListClusterRoleBindings(context.Context) ([]*rbacv1.ClusterRoleBinding, error) {
	return o.clusterRoleBindings, nil
}

func notFound(resource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, name)
}

// stored is the one role that the reconciliation finds.
type stored struct {
	role *rbacv1.ClusterRole
}

func (s stored) Get(_, name string) (reconciliation.RuleOwner, error) {
	if s.role == nil || s.role.Name != name {
		return nil, notFound("clusterroles", name)
	}
	return reconciliation.ClusterRoleRuleOwner{ClusterRole: s.role}, nil
}

func (s stored) Create(role reconciliation.RuleOwner) (reconciliation.RuleOwner, error) {
	return role, nil
}
func (s stored) Update(role reconciliation.RuleOwner) (reconciliation.RuleOwner, error) {
	return role, nil
}

func reconcile(asked line) (response, error) {
	options := reconciliation.ReconcileRoleOptions{
		Role:   reconciliation.ClusterRoleRuleOwner{ClusterRole: asked.Expected},
		Client: stored{asked.Existing},
	}
	result, err := options.Run()
	if err != nil {
		return response{}, err
	}
	role, ok := result.Role.GetObject().(*rbacv1.ClusterRole)
	if !ok {
		return response{}, fmt.Errorf("not a ClusterRole: %T", result.Role.GetObject())
	}
	if result.Protected {
		role = asked.Existing
	}
	return response{Reconciled: role}, nil
}
