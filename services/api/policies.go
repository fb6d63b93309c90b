package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

// maxPolicy bounds the document of a policy, in bytes.
const maxPolicy = 256 << 10

// policies is the language of policies as use cases see it.
type policies struct{}

func (policies) Read(content []byte, isYAML bool) (policy.Document, []app.PolicyProblem) {
	wrong := func(path, format string, args ...any) []app.PolicyProblem {
		return []app.PolicyProblem{{Path: path, Message: fmt.Sprintf(format, args...)}}
	}
	if len(content) > maxPolicy {
		return policy.Document{}, wrong("", "the document has %d bytes; %d are allowed", len(content), maxPolicy)
	}
	if isYAML {
		text, err := yaml.YAMLToJSONStrict(content)
		if err != nil {
			return policy.Document{}, wrong("", "the document is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		content = text
	}
	var d policy.Document
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		var typ *json.UnmarshalTypeError
		if errors.As(err, &typ) {
			return d, wrong(typ.Field, "it must be %s, not %s", typ.Type, typ.Value)
		}
		return d, wrong("", "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return d, wrong("", "there is something behind the document")
	}
	if err := tenancy.CheckName("invalid_policy", "the policy's name", d.Name); err != nil {
		return d, wrong("name", "%s", err.Error())
	}
	return d, nil
}
