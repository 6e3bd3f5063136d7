// The definitions of openreports.io, of which tests/reporting/test_openreports.py reads the YAML in the module cache.
module kubeassay.dev/upstream-reports

go 1.24.0

require github.com/openreports/reports-api v0.2.1
