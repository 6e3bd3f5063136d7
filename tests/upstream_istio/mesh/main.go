// Command mesh says what Istio makes of PeerAuthentications and DestinationRules, so that tests can compare kubeassay
// with it.
//
// It reads one question a line (JSON) from standard input: Istio's objects and Services as YAML texts, and workloads; and
// writes one object a line: the mTLS mode of each port that is asked for, and for each client what its clusters send.
package main

import (
	"fmt"
	"strings"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/security/authn"
	"istio.io/istio/pilot/pkg/serviceregistry/kube"
	"istio.io/istio/pilot/pkg/serviceregistry/memory"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/log"

	lines "kubeassay.dev/oracle_lines"
)

type pod struct {
	Namespace string
	Labels    map[string]string
	Port      uint32
}

type question struct {
	Objects  string
	Services []string
	Modes    []pod
	Clients  []pod
}

type answer struct {
	Modes []string `json:"modes"`
	// Clients: for each, name of the cluster → "none", "ISTIO_MUTUAL", "TLS" or "auto".
	Clients []map[string]string `json:"clients"`
	Error   string              `json:"error,omitempty"`
}

func main() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	routes = noRoutes()
	lines.Answer(func(asked question) (answer, error) {
		found, err := ask(asked)
		if err != nil {
			found = answer{Error: err.Error()}
		}
		return found, nil
	})
}

func ask(asked question) (answer, error) {
	push, env, err := push(asked)
	if err != nil {
		return answer{}, err
	}
	var found answer
	for _, one := range asked.Modes {
		policy := authn.NewMtlsPolicy(push, push.AuthnPolicies, one.Namespace, one.Labels, false)
		found.Modes = append(found.Modes, policy.GetMutualTLSModeForPort(one.Port).String())
	}
	for _, client := range asked.Clients {
		clusters, err := clusters(push, env, client)
		if err != nil {
			return answer{}, err
		}
		found.Clients = append(found.Clients, clusters)
	}
	return found, nil
}

// noRoutes stands for VirtualServices, of which there are none.
func noRoutes() *model.VirtualServiceController {
	store := model.NewFakeStore()
	found := model.NewVirtualServiceController(
		store,
		model.VSControllerOptions{KrtDebugger: krt.GlobalDebugHandler},
		meshwatcher.NewTestWatcher(mesh.DefaultMeshConfig()),
	)
	stop := make(chan struct{})
	go store.Run(stop)
	go found.Run(stop)
	for !store.HasSynced() || !found.HasSynced() {
		time.Sleep(time.Millisecond)
	}
	return found
}

var routes *model.VirtualServiceController

func push(asked question) (*model.PushContext, *model.Environment, error) {
	env := model.NewEnvironment()
	env.Watcher = meshwatcher.NewTestWatcher(mesh.DefaultMeshConfig())
	env.NetworksWatcher = meshwatcher.NewFixedNetworksWatcher(nil)
	store := model.NewFakeStore()
	configs, _, err := crd.ParseInputs(asked.Objects)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range configs {
		one.Domain = "cluster.local"
		if _, err := store.Create(one); err != nil {
			return nil, nil, fmt.Errorf("%s/%s: %w", one.Namespace, one.Name, err)
		}
	}
	var services []*model.Service
	for _, text := range asked.Services {
		var service corev1.Service
		if err := yaml.Unmarshal([]byte(text), &service); err != nil {
			return nil, nil, err
		}
		services = append(services, kube.ConvertService(service, nil, "cluster.local", "Kubernetes", "cluster.local"))
	}
	env.ConfigStore = store
	env.VirtualServiceController = routes
	env.ServiceDiscovery = memory.NewServiceDiscovery(services...)
	env.Init()
	context := model.NewPushContext()
	context.InitContext(env, nil, nil)
	env.SetPushContext(context)
	return context, env, nil
}

func clusters(push *model.PushContext, env *model.Environment, client pod) (map[string]string, error) {
	proxy := &model.Proxy{
		Type:            model.SidecarProxy,
		ID:              "pod." + client.Namespace,
		ConfigNamespace: client.Namespace,
		DNSDomain:       client.Namespace + ".svc.cluster.local",
		IPAddresses:     []string{"1.1.1.1"},
		Labels:          client.Labels,
		Metadata:        &model.NodeMetadata{Namespace: client.Namespace, Labels: client.Labels, IstioVersion: "1.31.0"},
		IstioVersion:    model.ParseIstioVersion("1.31.0"),
	}
	proxy.SetSidecarScope(push)
	proxy.SetServiceTargets(env.ServiceDiscovery)
	proxy.DiscoverIPMode()
	generator := core.NewConfigGenerator(model.DisabledCache{})
	resources, _ := generator.BuildClusters(proxy, &model.PushRequest{Push: push})
	found := map[string]string{}
	for _, resource := range resources {
		var one cluster.Cluster
		if err := resource.Resource.UnmarshalTo(&one); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(one.Name, "outbound|") {
			continue
		}
		sent, err := sends(&one)
		if err != nil {
			return nil, err
		}
		found[one.Name] = sent
	}
	return found, nil
}

// sends says by which transport socket a cluster reaches its endpoints.
func sends(one *cluster.Cluster) (string, error) {
	if len(one.TransportSocketMatches) > 0 {
		return "auto", nil
	}
	if one.TransportSocket == nil {
		return "none", nil
	}
	var context tls.UpstreamTlsContext
	if err := one.TransportSocket.GetTypedConfig().UnmarshalTo(&context); err != nil {
		return "", err
	}
	for _, secret := range context.CommonTlsContext.GetTlsCertificateSdsSecretConfigs() {
		if secret.Name == "default" {
			return "ISTIO_MUTUAL", nil
		}
	}
	return "TLS", nil
}
