module kubeassay.dev/oracle_yaml

go 1.26.0

require sigs.k8s.io/yaml v1.6.0

require go.yaml.in/yaml/v2 v2.4.4 // indirect

require kubeassay.dev/oracle_lines v0.0.0

replace kubeassay.dev/oracle_lines => ../oracle_lines
