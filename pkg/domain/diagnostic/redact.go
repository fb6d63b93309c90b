package diagnostic

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Redacted stands where a secret value was.
const Redacted = "***"

// MinSecret is the length in bytes below which a value is not looked for: it would be found everywhere.
const MinSecret = 6

// Redactor takes secret values out of texts.
type Redactor struct{ replace *strings.Replacer }

// NewRedactor returns a redactor of these values and of the lines of those that have several.
func NewRedactor(secrets []string) Redactor {
	var all []string
	for _, s := range secrets {
		all = append(all, s)
		if lines := strings.Split(s, "\n"); len(lines) > 1 {
			all = append(all, lines...)
		}
	}
	var pairs []string
	// Where one value begins with another, the longer one goes.
	slices.SortFunc(all, func(x, y string) int { return len(y) - len(x) })
	for _, s := range slices.Compact(all) {
		if s = strings.TrimSpace(s); len(s) >= MinSecret {
			pairs = append(pairs, s, Redacted)
		}
	}
	return Redactor{replace: strings.NewReplacer(pairs...)}
}

// Text returns s without the values.
func (r Redactor) Text(s string) string { return r.replace.Replace(s) }

// JSON returns a JSON document without the values in its texts, whatever escapes it writes them with; keys stay, they are the
// document's shape. What is not JSON is Invalid.
func (r Redactor) JSON(document string) (string, error) {
	dec := json.NewDecoder(strings.NewReader(document))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return "", fault.New(fault.Invalid, "invalid_diagnostic_result", "it is not one JSON document")
	}
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.value(v)); err != nil {
		return "", fault.New(fault.Invalid, "invalid_diagnostic_result", "it is not a JSON document that can be kept").Because(err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func (r Redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.Text(v)
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		for k, item := range v {
			v[k] = r.value(item)
		}
	}
	return v
}

// Checked returns the answer as it may be kept, without the values: each part is a JSON document of the contract's kind (a list of
// pods, a list of events, a map of log tails) and bounded; else Invalid.
func (r Result) Checked(secrets Redactor) (Result, error) {
	for _, part := range []struct {
		name  string
		begin string
		text  *string
	}{{"pod_statuses", "[", &r.PodStatuses}, {"events", "[", &r.Events}, {"log_tails", "{", r.LogTails}} {
		if part.text == nil {
			continue
		}
		if len(*part.text) > MaxPart {
			return r, fault.Newf(fault.Invalid, "invalid_diagnostic_result", "%s has %d bytes, more than %d", part.name, len(*part.text), MaxPart)
		}
		clean, err := secrets.JSON(*part.text)
		if err != nil || !strings.HasPrefix(clean, part.begin) {
			return r, fault.Newf(fault.Invalid, "invalid_diagnostic_result", "%s is not a JSON %s", part.name,
				map[string]string{"[": "list", "{": "object"}[part.begin])
		}
		if part.text == r.LogTails {
			r.LogTails = &clean
			continue
		}
		*part.text = clean
	}
	return r, nil
}
