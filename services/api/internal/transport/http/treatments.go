package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// treatmentJSON is a stack's treatment, with defaults spelled out in answers. In a request what is absent is as by default.
type treatmentJSON struct {
	Prune          string   `json:"prune"`
	PruneAdopted   bool     `json:"prune_adopted"`
	PruneProtected bool     `json:"prune_protected"`
	Adopt          string   `json:"adopt"`
	Drift          string   `json:"drift"`
	IgnorePaths    []string `json:"ignore_paths"`
	ServiceAccount string   `json:"service_account"`
	HealthRules    []string `json:"health_rules"`
}

// UnmarshalJSON is strict also where the rest of a body may have more than is known: who mistypes a field must not be given the
// default, which deletes.
func (t *treatmentJSON) UnmarshalJSON(b []byte) error {
	type bare treatmentJSON
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode((*bare)(t))
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		path := "treatment"
		if wrong.Field != "" {
			path += "." + wrong.Field
		}
		return stack.InvalidTreatment(stack.Problem{Path: path, Message: fmt.Sprintf("must be %s, not %s", said(wrong.Type), wrong.Value)})
	default:
		name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ") // encoding/json has no type for it
		if !unknown {
			return err
		}
		return stack.InvalidTreatment(stack.Problem{Path: "treatment." + strings.Trim(name, `"`), Message: "is not known"})
	}
}

// said is a type of treatmentJSON in the words of JSON.
func said(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the others are not in it
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list of texts"
	case reflect.Struct:
		return "an object"
	default:
		return "a text"
	}
}

// treatment is what a request says.
func (t treatmentJSON) treatment() stack.Treatment {
	return stack.Treatment{Prune: t.Prune, PruneAdopted: t.PruneAdopted, PruneProtected: t.PruneProtected, Adopt: t.Adopt, Drift: t.Drift,
		IgnorePaths: t.IgnorePaths, ServiceAccount: t.ServiceAccount, HealthRules: t.HealthRules}
}

func treatmentOf(t stack.Treatment) treatmentJSON {
	t = t.Full()
	out := treatmentJSON{Prune: t.Prune, PruneAdopted: t.PruneAdopted, PruneProtected: t.PruneProtected, Adopt: t.Adopt, Drift: t.Drift,
		IgnorePaths: t.IgnorePaths, ServiceAccount: t.ServiceAccount, HealthRules: t.HealthRules}
	if out.IgnorePaths == nil {
		out.IgnorePaths = []string{}
	}
	if out.HealthRules == nil {
		out.HealthRules = []string{}
	}
	return out
}
