package arch

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Run with -count=1: the test cache does not know that it reads other packages.
func TestImports(t *testing.T) {
	t.Parallel()
	g, err := Load(t.Context(), "../..")
	if err != nil {
		t.Fatalf("load the import graph: %v", err)
	}
	for _, v := range Check(g, Rules()) {
		t.Error(v)
	}
}

func TestEveryRuleHasAReasonAndASubject(t *testing.T) {
	t.Parallel()
	g, err := Load(t.Context(), "../..")
	if err != nil {
		t.Fatalf("load the import graph: %v", err)
	}
	names := map[string]bool{}
	for _, r := range Rules() {
		if r.Why == "" || r.Name == "" || names[r.Name] {
			t.Errorf("rule %q needs a name of its own and a reason", r.Name)
		}
		names[r.Name] = true
		if r.Only == nil && r.Deny == nil {
			t.Errorf("rule %q says nothing", r.Name)
		}
		if !Bound(g, r) {
			t.Errorf("rule %q binds no package: %v", r.Name, r.Of)
		}
	}
}

// fake is a small module with packages of every ring.
func fake(imports map[string][]string) Graph {
	g := Graph{Module: "example.com/m", Packages: map[string]Package{}}
	for _, s := range []string{"time", "net/http", "testing", "context"} {
		g.Packages[s] = Package{Path: s, Standard: true}
	}
	for from, to := range imports {
		path := func(n string) string {
			if rest, own := strings.CutPrefix(n, "./"); own {
				return g.Module + "/" + rest
			}
			return n
		}
		p := Package{Path: path(from)}
		for _, i := range to {
			p.Imports = append(p.Imports, path(i))
		}
		g.Packages[p.Path] = p
	}
	return g
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason  string
		imports map[string][]string
		want    []string // rule: from -> import
	}{
		"CleanHouse": {
			reason: "imports that point inwards are fine",
			imports: map[string][]string{
				"./pkg/domain/agent":             {"time"},
				"./pkg/ports":                    {"context", "./pkg/domain/agent"},
				"./pkg/adapters/postgres":        {"./pkg/ports", "github.com/lib/pq"},
				"./services/api/internal/app":    {"./pkg/ports"},
				"./services/api/internal/wiring": {"./pkg/adapters/postgres", "./services/api/internal/app"},
			},
		},
		"DomainReachesOut": {
			reason:  "the domain has neither I/O nor knowledge of outer rings",
			imports: map[string][]string{"./pkg/domain/agent": {"net/http", "./pkg/ports", "github.com/google/uuid"}},
			want: []string{"domain is pure: ./pkg/domain/agent -> ./pkg/ports", "domain is pure: ./pkg/domain/agent -> github.com/google/uuid",
				"domain is pure: ./pkg/domain/agent -> net/http"},
		},
		"UseCaseKnowsAdapter": {
			reason:  "a use case sees ports only",
			imports: map[string][]string{"./services/api/internal/app": {"./pkg/adapters/postgres"}},
			want:    []string{"use cases see ports: ./services/api/internal/app -> ./pkg/adapters/postgres"},
		},
		"ServicesMeetInCode": {
			reason:  "services meet on the wire",
			imports: map[string][]string{"./services/gateway": {"./services/api"}},
			want:    []string{"gateway is alone: ./services/gateway -> ./services/api"},
		},
		"AgentLinksADatabaseDriverFarDown": {
			reason: "the agent's rule looks at everything that it links",
			imports: map[string][]string{
				"./services/agent/cmd/brokkr-agent":     {"./services/agent/internal/observe"},
				"./services/agent/internal/observe":     {"example.org/lib"},
				"example.org/lib":                       {"github.com/lib/pq"},
				"github.com/lib/pq":                     {"time"},
				"./services/agent/internal/reconcile/x": {"time"},
			},
			want: []string{"agent stays small: ./services/agent/cmd/brokkr-agent -> github.com/lib/pq",
				"agent stays small: ./services/agent/internal/observe -> github.com/lib/pq"},
		},
		"CLIReachesTheStore": {
			reason:  "the CLI talks HTTP",
			imports: map[string][]string{"./cmd/brokkr": {"./pkg/ports"}},
			want:    []string{"cli speaks http: ./cmd/brokkr -> ./pkg/ports"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, v := range Check(fake(tt.imports), Rules()) {
				got = append(got, v.Rule.Name+": "+v.From+" -> "+v.Import)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: violations (-want +got):\n%s", tt.reason, diff)
			}
		})
	}
}

func TestViolationSaysHow(t *testing.T) {
	t.Parallel()
	g := fake(map[string][]string{"./a": {"./b"}, "./b": {"testing"}})
	got := Check(g, []Rule{{Name: "n", Why: "because", Of: []string{"./a"}, Deny: []string{"testing"}, Linked: true}})
	if len(got) != 1 {
		t.Fatalf("violations: got %v, want one", got)
	}
	if want := "./a imports testing (by ./b)\n    rule \"n\": because"; got[0].String() != want {
		t.Errorf("text: got %q, want %q", got[0].String(), want)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"./pkg/domain/...", "./pkg/domain", true},
		{"./pkg/domain/...", "./pkg/domain/agent", true},
		{"./pkg/domain/...", "./pkg/domainx", false},
		{"./services/*/internal/app/...", "./services/api/internal/app", true},
		{"./services/*/internal/app/...", "./services/api/internal/transport", false},
		{"./services/api", "./services/api/internal", false},
		{"testing", "testing", true},
		{"testing", "testing/synctest", false},
	} {
		if got := match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("match(%q, %q) = %t, want %t", tt.pattern, tt.name, got, tt.want)
		}
	}
}
