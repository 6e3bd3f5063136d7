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
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	networkingv1 "k8s.io/api/networking/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/networking"
	conversion "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/features"
)

type response struct {
	PolicyTypes []networkingv1.PolicyType `json:"policyTypes"`
	Refused     []string                  `json:"refused"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	gates := map[string]bool{string(features.StrictIPCIDRValidation): false}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	for in.Scan() {
		if err := encoder.Encode(judged(in.Bytes())); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return out.Flush()
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
