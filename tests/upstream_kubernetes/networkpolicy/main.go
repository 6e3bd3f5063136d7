// Command networkpolicy says what an API server makes of NetworkPolicies, so that tests can compare kubeassay with it.
//
// It reads one NetworkPolicy of networking.k8s.io/v1 a line (JSON) from standard input and writes one object a line:
//
//	{"policyTypes": ["Ingress"], "refused": ["spec.ingress[0].ports[0].port: Invalid value: ..."]}
//
// The policy is decoded, defaulted and validated as on creation, but for StrictIPCIDRValidation: the newest releases refuse
// CIDRs with host bits or leading zeros in new objects, older ones took them, and those that are stored go on meaning
// what they meant.
package main

import (
	networkingv1 "k8s.io/api/networking/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/networking"
	conversion "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/features"

	lines "kubeassay.dev/oracle_lines"
)

type response struct {
	PolicyTypes []networkingv1.PolicyType `json:"policyTypes"`
	Refused     []string                  `json:"refused"`
}

func main() {
	gates := map[string]bool{string(features.StrictIPCIDRValidation): false}
	lines.Must(utilfeature.DefaultMutableFeatureGate.SetFromMap(gates))
	lines.AnswerRaw(func(line []byte) (any, error) { return judged(line), nil })
}

func judged(line []byte) response {
	answer := response{PolicyTypes: []networkingv1.PolicyType{}, Refused: []string{}}
	policy := &networkingv1.NetworkPolicy{}
	if err := kjson.Unmarshal(line, policy); err != nil {
		answer.Refused = append(answer.Refused, err.Error())
		return answer
	}
	conversion.SetObjectDefaults_NetworkPolicy(policy)
	answer.PolicyTypes = policy.Spec.PolicyTypes
	internal := &networking.NetworkPolicy{}
	if err := conversion.Convert_v1_NetworkPolicy_To_networking_NetworkPolicy(policy, internal, nil); err != nil {
		answer.Refused = append(answer.Refused, err.Error())
		return answer
	}
	for _, problem := range validation.ValidateNetworkPolicy(internal, validation.NetworkPolicyValidationOptions{}) {
		answer.Refused = append(answer.Refused, problem.Error())
	}
	return answer
}
