// Command oracle_yaml reads YAML as Kubernetes' clients do, so that tests can compare kubeassay's reading with theirs.
//
// It reads one JSON object a line from standard input, {"text": "..."}, and writes one a line to standard output:
// {"json": ...}, the first document of the text as sigs.k8s.io/yaml converts it to JSON, or {"error": "..."}.
package main

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"

	lines "kubeassay.dev/oracle_lines"
)

type request struct {
	Text string `json:"text"`
}

type response struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	lines.Answer(func(asked request) (any, error) { return answer(asked.Text), nil })
}

// answer converts one text. The parser panics on some malformed texts; that is an error as any other.
func answer(text string) (answered response) {
	defer func() {
		if cause := recover(); cause != nil {
			answered = response{Error: fmt.Sprint("panic: ", cause)}
		}
	}()
	converted, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{JSON: converted}
}
