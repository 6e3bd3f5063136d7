// Command horizontal says what an API server makes of HorizontalPodAutoscalers, so that tests can compare kubeassay with
// it.
//
// It reads one HorizontalPodAutoscaler a line (JSON) from standard input and writes one object a line:
//
//	{"refused": [], "min": 1, "max": 5, "metrics": [{"type": "Resource", "name": "cpu", "utilization": 80}]}
//
// The object is decoded, defaulted, converted and validated as on creation.
package main

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	"k8s.io/kubernetes/pkg/apis/autoscaling/validation"

	lines "kubeassay.dev/oracle_lines"
)

type metric struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	Container   string `json:"container"`
	Utilization *int32 `json:"utilization"`
	Value       string `json:"value"`
}

type response struct {
	Refused []string `json:"refused"`
	Min     *int32   `json:"min"`
	Max     int32    `json:"max"`
	Metrics []metric `json:"metrics"`
}

func main() {
	lines.AnswerRaw(func(line []byte) (any, error) { return judged(line), nil })
}

func judged(line []byte) response {
	answer := response{Refused: []string{}, Metrics: []metric{}}
	decoded, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), line)
	if err != nil {
		answer.Refused = append(answer.Refused, err.Error())
		return answer
	}
	hpa := decoded.(*autoscaling.HorizontalPodAutoscaler)
	options := validation.HorizontalPodAutoscalerSpecValidationOptions{
		MinReplicasLowerBound:           0,
		ScaleTargetRefValidationOptions: validation.CrossVersionObjectReferenceValidationOptions{},
		ObjectMetricsValidationOptions:  validation.CrossVersionObjectReferenceValidationOptions{AllowEmptyAPIGroup: true},
	}
	for _, err := range validation.ValidateHorizontalPodAutoscaler(hpa, options) {
		answer.Refused = append(answer.Refused, err.Error())
	}
	answer.Min, answer.Max = hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas
	for _, spec := range hpa.Spec.Metrics {
		answer.Metrics = append(answer.Metrics, read(spec))
	}
	return answer
}

func read(spec autoscaling.MetricSpec) metric {
	found := metric{Type: string(spec.Type)}
	var target autoscaling.MetricTarget
	switch {
	case spec.Resource != nil:
		found.Name, target = string(spec.Resource.Name), spec.Resource.Target
	case spec.ContainerResource != nil:
		found.Name, found.Container = string(spec.ContainerResource.Name), spec.ContainerResource.Container
		target = spec.ContainerResource.Target
	case spec.Pods != nil:
		found.Name, target = spec.Pods.Metric.Name, spec.Pods.Target
	case spec.Object != nil:
		found.Name, target = spec.Object.Metric.Name, spec.Object.Target
	case spec.External != nil:
		found.Name, target = spec.External.Metric.Name, spec.External.Target
	}
	// As the controller looks at them: an average value, else a utilization, else a value.
	switch {
	case target.AverageValue != nil:
		found.Value = target.AverageValue.String()
	case target.AverageUtilization != nil:
		found.Utilization = target.AverageUtilization
	case target.Value != nil:
		found.Value = target.Value.String()
	}
	return found
}
