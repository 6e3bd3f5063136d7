// Command oracle_yaml reads YAML as Kubernetes' clients do, so that tests can compare kubeassay's reading with theirs.
//
// It reads one JSON object a line from standard input, {"text": "..."}, and writes one a line to standard output:
// {"json": ...}, the first document of the text as sigs.k8s.io/yaml converts it to JSON, or {"error": "..."}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/yaml"
)

type request struct {
	Text string `json:"text"`
}

type response struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	decoder := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var asked request
		if err := decoder.Decode(&asked); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := encoder.Encode(answer(asked.Text)); err != nil {
			return err
		}
	}
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
