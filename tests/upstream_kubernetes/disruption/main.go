// Command disruption says what the disruption controller of Kubernetes makes of PodDisruptionBudgets, so that tests can
// compare kubeassay with it.
//
// It reads one case a line (JSON) from standard input: a PodDisruptionBudget of policy/v1, and the workloads of its
// namespace, all of whose pods are there and ready:
//
//	{"budget": {...}, "workloads": [{"kind": "Deployment", "name": "web", "replicas": 3, "labels": {"app": "web"}}]}
//
// and writes one object a line: why an API server refuses the budget, or how many evictions the controller allows:
//
//	{"refused": [], "allowed": 1, "desired": 2, "expected": 3, "reason": "SufficientPods"}
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	scalefake "k8s.io/client-go/scale/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/apis/policy"
	conversion "k8s.io/kubernetes/pkg/apis/policy/v1"
	"k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/controller/disruption"
)

// atOnce is how many budgets one controller has: the fake client keeps a hundred changes at most.
const atOnce = 20

type workload struct {
	Kind     string            `json:"kind"`
	Name     string            `json:"name"`
	Replicas int32             `json:"replicas"`
	Labels   map[string]string `json:"labels"`
}

type question struct {
	Budget    json.RawMessage `json:"budget"`
	Workloads []workload      `json:"workloads"`
}

type response struct {
	Refused  []string `json:"refused"`
	Allowed  int32    `json:"allowed"`
	Desired  int32    `json:"desired"`
	Expected int32    `json:"expected"`
	Reason   string   `json:"reason"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	var objects [][]runtime.Object
	var answers []response
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			return err
		}
		namespace := fmt.Sprintf("case-%d", len(answers))
		budget, refused := decoded(asked.Budget)
		answers = append(answers, response{Refused: refused})
		objects = append(objects, nil)
		if len(refused) > 0 {
			continue
		}
		budget.Namespace, budget.Name, budget.Generation = namespace, "budget", 1
		all := []runtime.Object{budget}
		for _, one := range asked.Workloads {
			all = append(all, made(namespace, one)...)
		}
		objects[len(objects)-1] = all
	}
	if err := in.Err(); err != nil {
		return err
	}
	for first := 0; first < len(answers); first += atOnce {
		last := min(first+atOnce, len(answers))
		if err := controlled(slices.Concat(objects[first:last]...), answers, first, last); err != nil {
			return err
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	for _, answer := range answers {
		if err := encoder.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func decoded(value []byte) (*policyv1.PodDisruptionBudget, []string) {
	budget := &policyv1.PodDisruptionBudget{}
	if err := kjson.Unmarshal(value, budget); err != nil {
		return nil, []string{err.Error()}
	}
	refused := []string{}
	internal := &policy.PodDisruptionBudget{}
	if err := conversion.Convert_v1_PodDisruptionBudget_To_policy_PodDisruptionBudget(budget, internal, nil); err != nil {
		return nil, []string{err.Error()}
	}
	for _, err := range validation.ValidatePodDisruptionBudget(internal, validation.PodDisruptionBudgetValidationOptions{}) {
		refused = append(refused, err.Error())
	}
	return budget, refused
}

// made is a workload with what its controllers make of it.
func made(namespace string, one workload) []runtime.Object {
	meta := func(name string, kind schema.GroupVersionKind) metav1.ObjectMeta {
		found := metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + kind.Kind + name)}
		found.Labels = one.Labels
		return found
	}
	owned := func(found metav1.ObjectMeta, owner metav1.ObjectMeta, kind schema.GroupVersionKind) metav1.ObjectMeta {
		found.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&owner, kind)}
		return found
	}
	apps := func(kind string) schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind(kind) }
	kind := apps(one.Kind)
	own := meta(one.Name, kind)
	var objects []runtime.Object
	maker, makerKind := own, kind
	switch one.Kind {
	case "Deployment":
		objects = append(objects, &appsv1.Deployment{ObjectMeta: own, Spec: appsv1.DeploymentSpec{Replicas: &one.Replicas}})
		makerKind = apps("ReplicaSet")
		maker = owned(meta(one.Name+"-1", makerKind), own, kind)
		objects = append(objects, &appsv1.ReplicaSet{ObjectMeta: maker, Spec: appsv1.ReplicaSetSpec{Replicas: &one.Replicas}})
	case "ReplicaSet":
		objects = append(objects, &appsv1.ReplicaSet{ObjectMeta: own, Spec: appsv1.ReplicaSetSpec{Replicas: &one.Replicas}})
	case "StatefulSet":
		objects = append(objects, &appsv1.StatefulSet{ObjectMeta: own, Spec: appsv1.StatefulSetSpec{Replicas: &one.Replicas}})
	case "ReplicationController":
		makerKind = corev1.SchemeGroupVersion.WithKind(one.Kind)
		spec := corev1.ReplicationControllerSpec{Replicas: &one.Replicas}
		objects = append(objects, &corev1.ReplicationController{ObjectMeta: own, Spec: spec})
	case "DaemonSet":
		objects = append(objects, &appsv1.DaemonSet{ObjectMeta: own})
	case "Job":
		makerKind = batchv1.SchemeGroupVersion.WithKind(one.Kind)
		objects = append(objects, &batchv1.Job{ObjectMeta: own})
	}
	for number := range one.Replicas {
		pod := meta(fmt.Sprintf("%s-%s-%d", one.Name, one.Kind, number), corev1.SchemeGroupVersion.WithKind("Pod"))
		if one.Kind != "Pod" {
			pod = owned(pod, maker, makerKind)
		}
		ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
		status := corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{ready}}
		objects = append(objects, &corev1.Pod{ObjectMeta: pod, Status: status})
	}
	return objects
}

// controlled runs the controller until it has written the status of each budget.
func controlled(objects []runtime.Object, answers []response, first, last int) error {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	ctx = klog.NewContext(ctx, klog.Logger{})
	client := fake.NewSimpleClientset(objects...)
	client.Resources = []*metav1.APIResourceList{{GroupVersion: "apps/v1"}, {GroupVersion: "batch/v1"}}
	scales := &scalefake.FakeScaleClient{}
	scales.AddReactor("get", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		get := action.(clienttesting.GetAction)
		return true, nil, errors.NewNotFound(get.GetResource().GroupResource(), get.GetName())
	})
	factory := informers.NewSharedInformerFactory(client, 0)
	controller := disruption.NewDisruptionController(
		ctx,
		factory.Core().V1().Pods(),
		factory.Policy().V1().PodDisruptionBudgets(),
		factory.Core().V1().ReplicationControllers(),
		factory.Apps().V1().ReplicaSets(),
		factory.Apps().V1().Deployments(),
		factory.Apps().V1().StatefulSets(),
		client,
		testrestmapper.TestOnlyStaticRESTMapper(clientscheme.Scheme),
		scales,
		client.Discovery(),
	)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	// One worker: the fake discovery client is not safe for more.
	go controller.Run(ctx, 1)
	for number := first; number < last; number++ {
		if len(answers[number].Refused) > 0 {
			continue
		}
		for {
			namespace := fmt.Sprintf("case-%d", number)
			budget, err := client.PolicyV1().PodDisruptionBudgets(namespace).Get(ctx, "budget", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if len(budget.Status.Conditions) > 0 {
				status := budget.Status
				answers[number].Allowed, answers[number].Desired = status.DisruptionsAllowed, status.DesiredHealthy
				answers[number].Expected, answers[number].Reason = status.ExpectedPods, status.Conditions[0].Reason
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the controller says nothing of %s", namespace)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}
