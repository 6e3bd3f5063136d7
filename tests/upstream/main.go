// Command upstream judges pods by Kubernetes' own Pod Security checks, so that tests can compare kubeassay with them.
//
// It reads one JSON object a line from standard input, {"pod": {...}}, and writes one a line to standard output:
//
//	{"results": [{"level": "baseline", "from": 0, "to": 33, "failing": ["hostPorts"]}, ...]}
//
// "from" and "to" are minor versions of Kubernetes, both inclusive; neighbouring versions with the same answer are joined.
// "failing" are the ids of the checks that do not allow the pod, sorted, without the checks that others override at that
// level and version. A pod that does not decode gives {"error": "..."}.
//
// With the argument "checks" it writes the ids, levels and versions of all checks in place of that.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	lines "kubeassay.dev/oracle_lines"
)

// newestMinor is the newest minor version that is judged. It may exceed the newest one that a check names.
const newestMinor = 37

type request struct {
	Pod json.RawMessage `json:"pod"`
}

type result struct {
	Level   api.Level        `json:"level"`
	From    int              `json:"from"`
	To      int              `json:"to"`
	Failing []policy.CheckID `json:"failing"`
}

type response struct {
	Results []result `json:"results,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type checkVersion struct {
	ID        policy.CheckID   `json:"id"`
	Level     api.Level        `json:"level"`
	Since     string           `json:"since"`
	Overrides []policy.CheckID `json:"overrides"`
}

func main() {
	checks := policy.DefaultChecks()
	if slices.Equal(os.Args[1:], []string{"checks"}) {
		list(checks)
		return
	}
	evaluator, err := policy.NewEvaluator(checks, nil)
	lines.Must(err)
	planned := plans(checks)
	lines.AnswerRaw(func(line []byte) (any, error) { return judge(planned, evaluator, line), nil })
}

// list writes what versions checks have, one a line.
func list(checks []policy.Check) {
	encoder := json.NewEncoder(os.Stdout)
	for _, check := range checks {
		for _, version := range check.Versions {
			overrides := append([]policy.CheckID{}, version.OverrideCheckIDs...)
			lines.Must(encoder.Encode(checkVersion{check.ID, check.Level, version.MinimumVersion.String(), overrides}))
		}
	}
}

// active is one check as it holds at one level and version.
type active struct {
	id       policy.CheckID
	check    int // index of the check
	revision int // index of its version
}

// plan is what holds at one level and version.
type plan struct {
	level  api.Level
	minor  int
	active []active
}

type planned struct {
	checks []policy.Check
	plans  []plan
}

// plans chooses, for each level and version, the newest revision of each check, and drops what is overridden.
func plans(checks []policy.Check) planned {
	all := planned{checks: checks}
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		for minor := 0; minor <= newestMinor; minor++ {
			judged := api.MajorMinorVersion(1, minor)
			overridden := map[policy.CheckID]bool{}
			var found []active
			for number, check := range checks {
				if level == api.LevelBaseline && check.Level != api.LevelBaseline {
					continue
				}
				revision := -1
				for i, version := range check.Versions {
					if !judged.Older(version.MinimumVersion) {
						revision = i
					}
				}
				if revision < 0 {
					continue
				}
				found = append(found, active{check.ID, number, revision})
				for _, id := range check.Versions[revision].OverrideCheckIDs {
					overridden[id] = true
				}
			}
			found = slices.DeleteFunc(found, func(a active) bool { return overridden[a.id] })
			all.plans = append(all.plans, plan{level, minor, found})
		}
	}
	return all
}

func judge(all planned, evaluator policy.Evaluator, line []byte) response {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		return response{Error: err.Error()}
	}
	var pod corev1.Pod
	// The decoder of Kubernetes' own clients: case-sensitive, integers stay integers.
	if err := kjson.Unmarshal(asked.Pod, &pod); err != nil {
		return response{Error: err.Error()}
	}
	setVolumeDefaults(&pod.Spec)
	verdicts := map[[2]int]bool{}
	var results []result
	for _, plan := range all.plans {
		failing := []policy.CheckID{}
		for _, check := range plan.active {
			key := [2]int{check.check, check.revision}
			allowed, known := verdicts[key]
			if !known {
				allowed = all.checks[check.check].Versions[check.revision].CheckPod(&pod.ObjectMeta, &pod.Spec).Allowed
				verdicts[key] = allowed
			}
			if !allowed {
				failing = append(failing, check.id)
			}
		}
		slices.Sort(failing)
		// The evaluator has the last word on versions and overrides; it only does not say which check fails.
		at := api.LevelVersion{Level: plan.level, Version: api.MajorMinorVersion(1, plan.minor)}
		forbidden := 0
		for _, result := range evaluator.EvaluatePod(at, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				forbidden++
			}
		}
		if forbidden != len(failing) {
			return response{Error: fmt.Sprintf("%s: %d checks fail, the evaluator counts %d", at, len(failing), forbidden)}
		}
		if last := len(results) - 1; last >= 0 && results[last].Level == plan.level && slices.Equal(results[last].Failing, failing) {
			results[last].To = plan.minor
			continue
		}
		results = append(results, result{plan.level, plan.minor, plan.minor, failing})
	}
	return response{Results: results}
}

// setVolumeDefaults does what the API server does before admission: a volume that names no source is an emptyDir.
func setVolumeDefaults(spec *corev1.PodSpec) {
	for i := range spec.Volumes {
		source := reflect.ValueOf(&spec.Volumes[i].VolumeSource).Elem()
		empty := true
		for field := range source.NumField() {
			empty = empty && source.Field(field).IsNil()
		}
		if empty {
			spec.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
}
