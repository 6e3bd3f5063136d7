// Command structural says what an API server makes of custom resources, so that tests can compare kubeassay with it.
//
// It reads one object a line (JSON) from standard input, a schema and an object, and writes one a line:
//
//	{"schema": {"type": "object", ...}, "object": {"apiVersion": "a.b/v1", ...}}
//	{"structural": true, "unknown": ["spec.a"], "invalid": ["spec.b: Required value"]}
//
// The object is defaulted, pruned and validated as on creation (customresource_handler.go of apiextensions-apiserver), but
// for its metadata and for rules in CEL. "structural" is false for a schema that a CustomResourceDefinition must not have;
// nothing else is said then.
package main

import (
	"context"
	"encoding/json"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	kjson "k8s.io/apimachinery/pkg/util/json"

	lines "kubeassay.dev/oracle_lines"
)

type request struct {
	Schema json.RawMessage `json:"schema"`
	Object json.RawMessage `json:"object"`
}

type response struct {
	Structural bool     `json:"structural"`
	Unknown    []string `json:"unknown"`
	Invalid    []string `json:"invalid"`
}

func main() {
	lines.AnswerRaw(func(line []byte) (any, error) {
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			return nil, err
		}
		return judged(asked)
	})
}

func judged(asked request) (any, error) {
	answer := response{Unknown: []string{}, Invalid: []string{}}
	var stated apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(asked.Schema, &stated); err != nil {
		return answer, nil
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&stated, &internal, nil); err != nil {
		return answer, nil
	}
	schema, err := structuralschema.NewStructural(&internal)
	if err != nil || len(structuralschema.ValidateStructural(nil, schema)) > 0 {
		return answer, nil
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return answer, nil
	}
	answer.Structural = true
	object := map[string]any{}
	if err := kjson.Unmarshal(asked.Object, &object); err != nil {
		return nil, err
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, schema)
	defaulting.Default(object, schema)
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	answer.Unknown = append(answer.Unknown, pruning.PruneWithOptions(object, schema, true, options)...)
	for _, problem := range validation.ValidateCustomResource(nil, object, validator) {
		answer.Invalid = append(answer.Invalid, problem.Error())
	}
	for _, problem := range listtype.ValidateListSetsAndMaps(nil, schema, object) {
		answer.Invalid = append(answer.Invalid, problem.Error())
	}
	for _, problem := range objectmeta.Validate(context.Background(), nil, object, schema, true) {
		answer.Invalid = append(answer.Invalid, problem.Error())
	}
	return answer, nil
}
