// Command injection says into which pods Istio injects its sidecar, so that tests can compare kubeassay with it.
//
// It reads one question a line (JSON) from standard input: the values of the chart, the labels of a namespace, and a Pod;
// and writes one object a line: {"injected": true, "webhooks": […]}. The webhooks' selectors are those of the rendered chart; whether a pod
// that one selects is injected, the webhook itself says.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"istio.io/istio/operator/pkg/helm"
	"istio.io/istio/operator/pkg/values"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/kube/inject"
	"istio.io/istio/pkg/log"

	lines "kubeassay.dev/oracle_lines"
)

type question struct {
	Values          map[string]any
	NamespaceLabels map[string]string
	Pod             corev1.Pod
}

type answer struct {
	Injected bool `json:"injected"`
	// Webhooks are the configurations that the chart installs, as YAML texts.
	Webhooks []string `json:"webhooks"`
	Error    string   `json:"error,omitempty"`
}

// installed is what one rendering of the chart installs.
type installed struct {
	webhooks []admissionregistration.MutatingWebhook
	texts    []string
	server   *http.ServeMux
}

type watcher struct {
	config *inject.Config
	values string
}

func (w watcher) SetHandler(func(*inject.Config, string) error) {}
func (w watcher) Run(<-chan struct{})                           {}
func (w watcher) Get() (*inject.Config, string, error)          { return w.config, w.values, nil }

func main() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	charts := map[string]*installed{}
	lines.Answer(func(asked question) (answer, error) {
		key, _ := json.Marshal(asked.Values)
		chart, known := charts[string(key)]
		var err error
		if !known {
			if chart, err = install(asked.Values); err == nil {
				charts[string(key)] = chart
			}
		}
		var found answer
		if err == nil {
			found.Webhooks = chart.texts
			found.Injected, err = chart.injects(asked)
		}
		if err != nil {
			found = answer{Error: err.Error()}
		}
		return found, nil
	})
}

func install(of map[string]any) (*installed, error) {
	text, err := json.Marshal(map[string]any{"spec": map[string]any{"values": of}})
	if err != nil {
		return nil, err
	}
	iop, err := values.MapFromJSON(text)
	if err != nil {
		return nil, err
	}
	rendered, _, err := helm.Render("istio", "istio-system", "istio-control/istio-discovery", iop, nil)
	if err != nil {
		return nil, err
	}
	found := &installed{server: http.NewServeMux()}
	for _, one := range rendered {
		switch one.GetKind() {
		case "MutatingWebhookConfiguration":
			// One template makes a document for each tag.
			for _, text := range strings.Split(one.Content, "\n---") {
				var webhooks admissionregistration.MutatingWebhookConfiguration
				if err := yaml.Unmarshal([]byte(text), &webhooks); err != nil {
					return nil, err
				}
				if len(webhooks.Webhooks) > 0 {
					found.webhooks = append(found.webhooks, webhooks.Webhooks...)
					found.texts = append(found.texts, text)
				}
			}
		case "ConfigMap":
			var stated corev1.ConfigMap
			if err := yaml.Unmarshal([]byte(one.Content), &stated); err != nil {
				return nil, err
			}
			if config, isInjector := stated.Data["config"]; isInjector {
				if err := found.serve(config, stated.Data["values"]); err != nil {
					return nil, err
				}
			}
		}
	}
	return found, nil
}

func (i *installed) serve(config, of string) error {
	parsed, err := inject.UnmarshalConfig([]byte(config))
	if err != nil {
		return err
	}
	env := model.NewEnvironment()
	env.Watcher = meshwatcher.NewTestWatcher(mesh.DefaultMeshConfig())
	_, err = inject.NewWebhook(inject.WebhookParameters{Watcher: watcher{&parsed, of}, Env: env, Mux: i.server})
	return err
}

func (i *installed) injects(asked question) (bool, error) {
	namespace := labels.Set{"kubernetes.io/metadata.name": asked.Pod.Namespace}
	for key, value := range asked.NamespaceLabels {
		namespace[key] = value
	}
	for _, webhook := range i.webhooks {
		ofNamespace, err := metav1.LabelSelectorAsSelector(webhook.NamespaceSelector)
		if err != nil {
			return false, err
		}
		ofPod, err := metav1.LabelSelectorAsSelector(webhook.ObjectSelector)
		if err != nil {
			return false, err
		}
		if ofNamespace.Matches(namespace) && ofPod.Matches(labels.Set(asked.Pod.Labels)) {
			return i.review(asked.Pod)
		}
	}
	return false, nil
}

func (i *installed) review(pod corev1.Pod) (bool, error) {
	raw, err := json.Marshal(pod)
	if err != nil {
		return false, err
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Namespace: pod.Namespace, Object: runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		return false, err
	}
	request := httptest.NewRequest(http.MethodPost, "/inject", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	i.server.ServeHTTP(recorder, request)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &review); err != nil {
		return false, fmt.Errorf("%d %s", recorder.Code, recorder.Body.String())
	}
	if !review.Response.Allowed {
		return false, fmt.Errorf("%v", review.Response.Result)
	}
	return len(review.Response.Patch) > 0, nil
}
