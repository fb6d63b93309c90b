package bundle_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/bundle"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	const config = "# of the web\napiVersion: v1\nkind: ConfigMap # plain\nmetadata: {name: c}\ndata: {mode: fast}\n"
	const hidden = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  password: '***'\n"
	for name, tt := range map[string]struct{ reason, in, want string }{
		"NoSecret":   {"what has no Secret is left byte for byte", "\n" + config + "---\n" + config[:0] + strings.Replace(config, "name: c", "name: d", 1) + "\n...\n", "\n" + config + "---\n" + strings.Replace(config, "name: c", "name: d", 1) + "\n...\n"},
		"Among":      {"the others stay as they are", config + "---\n# the password is canary\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: canary}\n---\n" + strings.Replace(config, "name: c", "name: d", 1), config + "---\n" + hidden + "---\n" + strings.Replace(config, "name: c", "name: d", 1)},
		"Data":       {"data too, and binary", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: Y2FuYXJ5, b: !!binary Y2FuYXJ5}\n", "apiVersion: v1\ndata:\n  a: '***'\n  b: '***'\nkind: Secret\nmetadata:\n  name: s\n"},
		"JSON":       {"JSON with an escaped kind", `{"apiVersion":"v1","kind":"S\u0065cret","metadata":{"name":"s"},"stringData":{"password":"canary"}}`, hidden},
		"Alias":      {"an alias does not carry the value out", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData: {password: &p canary}\n", hidden},
		"List":       {"items of lists", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: canary}}\n", hidden},
		"Annotation": {"kubectl's copy", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {kubectl.kubernetes.io/last-applied-configuration: canary}}\n", "apiVersion: v1\nkind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '***'\n  name: s\n"},
		"Odd":        {"what the API would not take is secret all the same", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: canary\n", "apiVersion: v1\ndata: '***'\nkind: Secret\nmetadata:\n  name: s\n"},
		"Marker":     {"a first marker stays", "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: canary}\n", "---\n" + hidden},
		"Other":      {"a Secret of another group is no Secret", "apiVersion: x.example/v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b}\n", "apiVersion: x.example/v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b}\n"},
		"Empty":      {"nothing is nothing", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := bundle.Redact([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Errorf("%s: -want +got:\n%s", tt.reason, d)
			}
			if strings.Contains(string(got), "canary") || strings.Contains(string(got), "Y2FuYXJ5") {
				t.Error("the value shows")
			}
			before, err := bundle.Parse([]byte(tt.in), bundle.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			after, err := bundle.Parse(got, bundle.Limits{})
			if err != nil || len(after) != len(before) {
				t.Errorf("%d objects after, %v, want the %d from before", len(after), err, len(before))
			}
		})
	}
	if got, err := bundle.Redact([]byte("kind: [")); err == nil {
		t.Errorf("what cannot be read is shown: %s", got)
	}
}
