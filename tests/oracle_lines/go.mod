module kubeassay.dev/oracle_lines

go 1.26.0
