package stack

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Treatment is how agents treat what a stack has in their clusters. Empty fields are the defaults, of which each is the first
// value that the field can have.
type Treatment struct {
	Prune          string   `json:"prune,omitempty"`           // what leaves the bundle, or goes with the stack: delete | orphan
	PruneAdopted   bool     `json:"prune_adopted,omitempty"`   // also what was there before the stack
	PruneProtected bool     `json:"prune_protected,omitempty"` // also claims and definitions
	Adopt          string   `json:"adopt,omitempty"`           // what belongs to nobody: always | if_no_diff | never
	Drift          string   `json:"drift,omitempty"`           // what has changed since it was applied: correct | report | ignore
	IgnorePaths    []string `json:"ignore_paths,omitempty"`    // JSON pointers to fields that are left to others
	ServiceAccount string   `json:"service_account,omitempty"` // namespace/name, as whom objects are read and written; empty: as the agent decides
	HealthRules    []string `json:"health_rules,omitempty"`    // Kind.group=expression in CEL: how custom resources are
	// StreamLogs says that the logs of the stack's pods are told where nothing nearer to a pod says otherwise. It is never said in a
	// treatment: it is what the stack's annotation says (Annotated).
	StreamLogs bool `json:"stream_logs,omitempty"`
}

// AnnotationStreamLogs is the annotation of a stack, "true", by which the logs of its pods are told.
const AnnotationStreamLogs = "brokkr.io/stream-logs"

// Annotated returns the treatment of a stack that has these annotations.
func (t Treatment) Annotated(annotations map[string]string) Treatment {
	t.StreamLogs = annotations[AnnotationStreamLogs] == "true"
	return t
}

// Defaults are what empty fields stand for.
const (
	DefaultPrune = "delete"
	DefaultAdopt = "always"
	DefaultDrift = "correct"
)

const (
	maxIgnorePaths = 64
	maxIgnorePath  = 256
)

// Problem is what is wrong with a field.
type Problem struct {
	Path    string `json:"path"` // from the stack on: treatment.ignore_paths[2]
	Message string `json:"message"`
}

// Parsed returns the treatment with defaults that are spelled out left empty, so that what means the same is the same. It is Invalid,
// with every problem and its path, if a field has a value that it cannot have. The expressions of health rules are asked of check, if one
// is given: the language is not this package's.
func (t Treatment) Parsed(check ...func(expression string) error) (Treatment, error) {
	var all []Problem
	bad := func(path, format string, args ...any) {
		all = append(all, Problem{"treatment." + path, fmt.Sprintf(format, args...)})
	}
	choose := func(path string, v *string, words ...string) {
		switch {
		case *v == words[0]:
			*v = ""
		case *v != "" && !slices.Contains(words, *v):
			bad(path, "is %q, not %s or %s", *v, strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
		}
	}
	choose("prune", &t.Prune, DefaultPrune, "orphan")
	choose("adopt", &t.Adopt, DefaultAdopt, "if_no_diff", "never")
	choose("drift", &t.Drift, DefaultDrift, "report", "ignore")
	if len(t.IgnorePaths) > maxIgnorePaths {
		bad("ignore_paths", "has %d paths, more than %d", len(t.IgnorePaths), maxIgnorePaths)
	}
	for i, p := range t.IgnorePaths {
		if why := badPointer(p); why != "" {
			bad(fmt.Sprintf("ignore_paths[%d]", i), "is %q, %s", p, why)
		} else if slices.Contains(t.IgnorePaths[:i], p) {
			bad(fmt.Sprintf("ignore_paths[%d]", i), "is %q, which is there twice", p)
		}
	}
	if t.ServiceAccount != "" && !isAccount(t.ServiceAccount) {
		bad("service_account", "is %q, not namespace/name of a service account", t.ServiceAccount)
	}
	ParseHealthRules(t.HealthRules, func(expression string) error {
		for _, c := range check {
			if err := c(expression); err != nil {
				return err
			}
		}
		return nil
	}, func(i int, why string) { bad(fmt.Sprintf("health_rules[%d]", i), "%s", why) })
	if len(all) > 0 {
		return Treatment{}, InvalidTreatment(all...)
	}
	if len(t.IgnorePaths) == 0 {
		t.IgnorePaths = nil
	}
	t.StreamLogs = false
	if len(t.HealthRules) == 0 {
		t.HealthRules = nil
	}
	return t, nil
}

// InvalidTreatment is the error of a treatment with these problems, of which there is one at least.
func InvalidTreatment(all ...Problem) error {
	first := all[0].Path + " " + all[0].Message
	if len(all) > 1 {
		first += fmt.Sprintf(" (and %d more problems)", len(all)-1)
	}
	return fault.New(fault.Invalid, "invalid_treatment", first).With("problems", all)
}

// Full returns the treatment with defaults spelled out.
func (t Treatment) Full() Treatment {
	fill := func(v *string, standard string) {
		if *v == "" {
			*v = standard
		}
	}
	fill(&t.Prune, DefaultPrune)
	fill(&t.Adopt, DefaultAdopt)
	fill(&t.Drift, DefaultDrift)
	return t
}

// Equal reports whether two treatments are the same. Of those that Parsed has returned, that is whether they mean the same.
func (t Treatment) Equal(u Treatment) bool {
	return t.Prune == u.Prune && t.PruneAdopted == u.PruneAdopted && t.PruneProtected == u.PruneProtected && t.Adopt == u.Adopt &&
		t.Drift == u.Drift && t.ServiceAccount == u.ServiceAccount && t.StreamLogs == u.StreamLogs && slices.Equal(t.IgnorePaths, u.IgnorePaths) &&
		slices.Equal(t.HealthRules, u.HealthRules)
}

// IsZero reports whether everything is as by default.
func (t Treatment) IsZero() bool { return t.Equal(Treatment{}) }

// badPointer says why p is no JSON pointer to what others may own; empty: it is one. What an object is, its name and its kind,
// nobody else can own.
func badPointer(p string) string {
	switch {
	case len(p) > maxIgnorePath:
		return fmt.Sprintf("longer than %d bytes", maxIgnorePath)
	case !strings.HasPrefix(p, "/"):
		return "no JSON pointer: it begins with /, as in /spec/replicas"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "with control characters"
	case strings.HasSuffix(p, "/") || strings.Contains(p, "//"):
		return "no JSON pointer to a field: a part of it is empty"
	}
	rest := strings.NewReplacer("~0", "", "~1", "").Replace(p)
	if strings.Contains(rest, "~") {
		return "no JSON pointer: ~ is written ~0 there, and / in a name ~1"
	}
	switch p {
	case "/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace":
		return "by which the object is what it is: it cannot be left to others"
	}
	return ""
}

// isAccount reports whether s is namespace/name as Kubernetes has them.
func isAccount(s string) bool {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || len(namespace) > 63 || len(name) > 253 || !isLabel(namespace) {
		return false
	}
	return isName(name)
}

// isLabel reports whether s consists of lower-case letters, digits and dashes, with no dash at either end.
func isLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}
