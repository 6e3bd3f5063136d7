// Command scheduling says what the scheduler's own helpers make of pods and nodes, so that tests can compare kubeassay
// with it.
//
// It reads one object a line (JSON), with a Pod and a Node of core/v1, and writes one object a line:
//
//	{"selected": true, "untolerated": "dedicated=data:NoSchedule"}
package main

import (
	corev1 "k8s.io/api/core/v1"
	helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	lines "kubeassay.dev/oracle_lines"
)

type request struct {
	Pod  corev1.Pod  `json:"pod"`
	Node corev1.Node `json:"node"`
}

type response struct {
	Selected    bool   `json:"selected"`
	Untolerated string `json:"untolerated"`
}

func main() {
	klog.SetLogger(klog.Logger{})
	lines.Answer(func(asked request) (any, error) { return judged(&asked), nil })
}

func judged(asked *request) response {
	answer := response{}
	// An error means that no term matched, as for the scheduler.
	answer.Selected, _ = nodeaffinity.GetRequiredNodeAffinity(&asked.Pod).Match(&asked.Node)
	blocks := func(taint *corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
	}
	taint, untolerated := helpers.FindMatchingUntoleratedTaint(
		klog.Logger{}, asked.Node.Spec.Taints, asked.Pod.Spec.Tolerations, blocks, false)
	if untolerated {
		answer.Untolerated = taint.ToString()
	}
	return answer
}
