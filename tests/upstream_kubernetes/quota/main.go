// Command quota says what Kubernetes' own quota and limit range admission make of objects, so that tests can compare
// kubeassay with it.
//
// It reads one JSON object a line from standard input and writes one a line to standard output:
//
//	{"quotas": [...], "limitRanges": [...], "objects": [...]}
//	{"quotas": ["", "why it is refused", ...], "limitRanges": ["", ...], "answers": [
//	  {"breaches": 0, "usage": {"pods": "1"}, "matches": [true], "unstated": [false], "admitted": true}, ...]}
//
// "objects" are Pods, PersistentVolumeClaims, Services and ConfigMaps. They are decoded and defaulted as by an API
// server, completed and judged by the LimitRanges that are not refused, and measured by the quota evaluators. "matches"
// and "unstated" are by quota. "admitted" is the answer of CheckRequest, one object after the other, with the quotas that
// are not refused; an object that is admitted counts from then on.
//
// An argument (1.34) is the version whose feature gates hold.
package main

import (
	"encoding/json"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	quota "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/helper/qos"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/quota/v1/evaluator/core"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/utils/clock"

	lines "kubeassay.dev/oracle_lines"
)

type line struct {
	Quotas      []json.RawMessage `json:"quotas"`
	LimitRanges []json.RawMessage `json:"limitRanges"`
	Objects     []json.RawMessage `json:"objects"`
}

type answer struct {
	Breaches int               `json:"breaches"`
	Usage    map[string]string `json:"usage"`
	Matches  []bool            `json:"matches"`
	Unstated []bool            `json:"unstated"`
	Admitted bool              `json:"admitted"`
}

type reply struct {
	Quotas      []string `json:"quotas"`
	LimitRanges []string `json:"limitRanges"`
	Answers     []answer `json:"answers"`
}

var evaluators = map[string]quota.Evaluator{
	"Pod":                   core.NewPodEvaluator(nil, clock.RealClock{}),
	"Service":               core.NewServiceEvaluator(nil),
	"PersistentVolumeClaim": core.NewPersistentVolumeClaimEvaluator(nil),
	"ConfigMap": generic.NewObjectCountEvaluator(
		schema.GroupResource{Resource: "configmaps"}, nil, corev1.ResourceConfigMaps),
}

var plurals = map[string]string{
	"Pod": "pods", "Service": "services", "PersistentVolumeClaim": "persistentvolumeclaims", "ConfigMap": "configmaps",
}

func main() {
	if len(os.Args) > 1 {
		lines.Must(utilfeature.DefaultMutableFeatureGate.SetEmulationVersion(version.MustParse(os.Args[1])))
	}
	lines.Answer(func(asked line) (any, error) { return judge(asked), nil })
}

func judge(asked line) reply {
	said := reply{}
	quotas := []corev1.ResourceQuota{}
	effective := []int{}
	for i, raw := range asked.Quotas {
		one := corev1.ResourceQuota{}
		why := ""
		if err := json.Unmarshal(raw, &one); err != nil {
			why = err.Error()
		} else {
			legacyscheme.Scheme.Default(&one)
			internal := api.ResourceQuota{}
			lines.Must(corev1conversion.Convert_v1_ResourceQuota_To_core_ResourceQuota(&one, &internal, nil))
			if errs := validation.ValidateResourceQuota(&internal); len(errs) > 0 {
				why = errs.ToAggregate().Error()
			}
		}
		said.Quotas = append(said.Quotas, why)
		if why == "" {
			effective = append(effective, i)
			one.Status.Hard = one.Spec.Hard
			one.Status.Used = corev1.ResourceList{}
			for name := range one.Spec.Hard {
				one.Status.Used[name] = resource.Quantity{}
			}
			quotas = append(quotas, one)
		}
	}
	ranges := []*corev1.LimitRange{}
	for _, raw := range asked.LimitRanges {
		one := &corev1.LimitRange{}
		why := ""
		if err := json.Unmarshal(raw, one); err != nil {
			why = err.Error()
		} else {
			legacyscheme.Scheme.Default(one)
			internal := api.LimitRange{}
			lines.Must(corev1conversion.Convert_v1_LimitRange_To_core_LimitRange(one, &internal, nil))
			if errs := validation.ValidateLimitRange(&internal); len(errs) > 0 {
				why = errs.ToAggregate().Error()
			}
		}
		said.LimitRanges = append(said.LimitRanges, why)
		if why == "" {
			ranges = append(ranges, one)
		}
	}
	for _, raw := range asked.Objects {
		kind, object := read(raw)
		one := answer{Breaches: limited(ranges, object), Usage: map[string]string{}}
		evaluator := evaluators[kind]
		usage, err := evaluator.Usage(object)
		lines.Must(err)
		for name, value := range usage {
			one.Usage[string(name)] = value.AsDec().String()
		}
		one.Matches = make([]bool, len(asked.Quotas))
		one.Unstated = make([]bool, len(asked.Quotas))
		for i, number := range effective {
			one.Matches[number], err = evaluator.Matches(&quotas[i], object)
			lines.Must(err)
			required := evaluator.MatchingResources(quota.ResourceNames(quotas[i].Status.Hard))
			one.Unstated[number] = evaluator.Constraints(required, object) != nil
		}
		attributes := admission.NewAttributesRecord(object, nil, schema.GroupVersionKind{Version: "v1", Kind: kind},
			"shop", "name", schema.GroupVersionResource{Version: "v1", Resource: plurals[kind]}, "", admission.Create, nil,
			false, nil)
		after, err := resourcequota.CheckRequest(quotas, attributes, evaluator, nil)
		one.Admitted = err == nil
		if err == nil {
			quotas = after
		}
		said.Answers = append(said.Answers, one)
	}
	return said
}

// read decodes an object as an API server does, and defaults it.
func read(raw json.RawMessage) (string, runtime.Object) {
	var head struct{ Kind string }
	lines.Must(json.Unmarshal(raw, &head))
	versioned, err := legacyscheme.Scheme.New(schema.GroupVersionKind{Version: "v1", Kind: head.Kind})
	lines.Must(err)
	lines.Must(json.Unmarshal(raw, versioned))
	legacyscheme.Scheme.Default(versioned)
	internal, err := legacyscheme.Scheme.ConvertToVersion(versioned, schema.GroupVersion{Version: runtime.APIVersionInternal})
	lines.Must(err)
	accessor, err := meta.Accessor(internal)
	lines.Must(err)
	accessor.SetNamespace("shop")
	return head.Kind, internal
}

// limited completes an object by LimitRanges and counts the reasons why they refuse it. What the registry does to a new
// pod between mutating and validating admission is done, too.
func limited(ranges []*corev1.LimitRange, object runtime.Object) int {
	breaches := 0
	count := func(err error) {
		if list, ok := err.(interface{ Errors() []error }); ok {
			breaches += len(list.Errors())
		}
	}
	switch typed := object.(type) {
	case *api.Pod:
		for _, one := range ranges {
			lines.Must(limitranger.PodMutateLimitFunc(one, typed))
		}
		podutil.DropDisabledPodFields(typed, nil)
		podutil.DefaultPodLevelResources(typed)
		typed.Status.QOSClass = qos.GetPodQOS(typed)
		for _, one := range ranges {
			count(limitranger.PodValidateLimitFunc(one, typed))
		}
	case *api.PersistentVolumeClaim:
		for _, one := range ranges {
			count(limitranger.PersistentVolumeClaimValidateLimitFunc(one, typed))
		}
	}
	return breaches
}
