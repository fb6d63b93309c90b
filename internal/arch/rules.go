package arch

// Rules returns the table. ARCHITECTURE.md tells the same in words.
func Rules() []Rule {
	// What a part without I/O has no business with.
	world := []string{"context", "os/...", "net/...", "database/...", "log/...", "syscall", "math/rand/...", "crypto/rand", "testing/..."}
	rules := []Rule{
		{
			Name: "domain is pure",
			Why:  "the domain is data and rules: time, snapshots and ids are arguments, so that every rule is tested without doubles",
			Of:   []string{"./pkg/domain/..."},
			Only: []string{std, "./pkg/domain/..."},
			Deny: world,
			Grants: map[string][]string{
				"./pkg/domain/pak":       {"github.com/mr-tron/base58"},           // the key's alphabet, pure arithmetic: docs/adr/0005
				"./pkg/domain/policy":    {"go.yaml.in/yaml/v3"},                  // the document's text, with lines: docs/adr/0026
				"./pkg/domain/placement": {"github.com/klauspost/compress/flate"}, // records, pure arithmetic: docs/adr/0047
			},
		},
		{
			Name: "ports speak domain",
			Why:  "a port is a promise in the product's own words; a technology in its signature would leak into each use case",
			Of:   []string{"./pkg/ports"},
			Only: []string{std, "./pkg/domain/..."},
			Deny: []string{"os/...", "net/...", "database/..."},
		},
		{
			Name: "wire has no behaviour",
			Why:  "agents of other versions read these messages: shapes only, nothing of the inside",
			Of:   []string{"./pkg/wire/..."},
			Only: []string{std},
			Deny: world,
		},
		{
			Name: "bundle is pure",
			Why:  "api, agent and CLI read a bundle alike: bytes in, objects or the place of the mistake out",
			Of:   []string{"./pkg/bundle/..."},
			Only: []string{std, "./pkg/domain/...", "go.yaml.in/yaml/...", "sigs.k8s.io/yaml/...", "k8s.io/apimachinery/..."},
			Deny: world,
		},
		{
			Name: "override is pure",
			Why:  "scheduler and api come to the same manifests for a cluster: a bundle and patches in, a bundle out",
			Of:   []string{"./pkg/override/..."},
			Only: []string{std, "./pkg/bundle", "./pkg/domain/...", "github.com/evanphx/json-patch/...", "k8s.io/api/...", "k8s.io/apimachinery/...", "sigs.k8s.io/yaml/..."},
			Deny: world,
		},
		{
			Name: "a template sees its parameters alone",
			Why:  "what a template cannot reach cannot leak: its engine has no files, network, environment, clock or chance to give away",
			Of:   []string{"./pkg/tera/..."},
			Only: []string{std},
			Deny: []string{"os/...", "net/...", "time", "syscall", "database/...", "log/...", "math/rand/...", "crypto/...", "text/template/...", "html/template/...", "plugin", "testing/..."},
		},
		{
			Name: "a stack template is pure",
			Why:  "broker and CLI turn a template and parameters into the same bundle, from nothing else",
			Of:   []string{"./pkg/stacktemplate/..."},
			Only: []string{std, "./pkg/domain/...", "./pkg/misfit", "./pkg/tera", "github.com/santhosh-tekuri/jsonschema/..."},
			Deny: []string{"os/...", "net/...", "time", "syscall", "database/...", "log/...", "math/rand/...", "crypto/rand", "testing/..."},
		},
		{
			Name: "what does not fit is told alike",
			Why:  "broker and CLI complain about values in the same words, and never with the value: an error of a schema in, lines out",
			Of:   []string{"./pkg/misfit/..."},
			Only: []string{std, "github.com/santhosh-tekuri/jsonschema/...", "golang.org/x/text/..."},
			Deny: world,
		},
		{
			Name: "identity sees ports",
			Why:  "who is asking is found out alike by every public face, over any store",
			Of:   []string{"./pkg/identity/..."},
			Only: []string{std, "./pkg/domain/...", "./pkg/ports", "golang.org/x/time/rate"},
		},
		{
			Name: "trail sees ports",
			Why:  "who changed what is noted alike by every service, over any store",
			Of:   []string{"./pkg/trail/..."},
			Only: []string{std, "./pkg/domain/...", "./pkg/ports", "github.com/google/uuid"},
		},
		{
			Name: "platform knows no product",
			Why:  "plumbing that knows product words would be a second place for rules; of ours it knows errors, pages and preconditions alone",
			Of:   []string{"./pkg/platform/..."},
			Deny: []string{"./..."},
			Grants: map[string][]string{
				// The error vocabulary, and the words of every list and every conditional request: none is about one thing of the product.
				"./pkg/platform/...": {"./pkg/platform/...", "./pkg/domain/fault", "./pkg/domain/page", "./pkg/precondition"},
			},
		},
		{
			Name: "adapters point inwards",
			Why:  "an adapter translates one technology; knowing a service or another adapter would tie them together",
			Of:   []string{"./pkg/adapters/..."},
			Deny: []string{"./services/...", "./cmd/...", "./internal/...", "./pkg/identity/...", "./pkg/trail/...",
				"./pkg/adapters/memory/...", "./pkg/adapters/postgres/...", "./pkg/adapters/redis/...", "./pkg/adapters/kube/...", "./pkg/adapters/observed/...",
				"./pkg/adapters/outbound/..."},
			Grants: map[string][]string{
				"./pkg/adapters/memory/...":   {"./pkg/adapters/memory/..."},
				"./pkg/adapters/postgres/...": {"./pkg/adapters/postgres/..."},
				"./pkg/adapters/redis/...":    {"./pkg/adapters/redis/..."},
				"./pkg/adapters/kube/...":     {"./pkg/adapters/kube/..."},
				"./pkg/adapters/observed/...": {"./pkg/adapters/observed/..."},
			},
		},
		{
			Name: "use cases see ports",
			Why:  "what a service does is told without a technology, and runs in tests on the memory adapter",
			Of:   []string{"./services/*/internal/..."},
			Not: []string{"./services/*/internal/transport/...", "./services/*/internal/wiring", // the edge towards callers, and who chooses
				"./services/agent/internal/broker", "./services/agent/internal/command", "./services/agent/internal/settings"}, // the agent's edge: HTTP, flags, configuration
			Deny: []string{"./pkg/adapters/...", "./pkg/platform/...", "./cmd/...", "net/http/...", "database/...",
				"github.com/go-kit/...", "github.com/gorilla/...", "github.com/jmoiron/...", "github.com/lib/...", "github.com/redis/..."},
			Grants: map[string][]string{
				// The trace of a change is part of what they carry on: from the call to the outbox, to assignment and report.
				"./services/*/internal/...": {"./pkg/platform/telemetry"},
			},
		},
		{
			Name: "transport sees use cases",
			Why:  "a route decodes, calls and encodes; a store behind its use case's back would skip the rules",
			Of:   []string{"./services/*/internal/transport/..."},
			Deny: []string{"./pkg/adapters/...", "./cmd/...", "database/...", "github.com/jmoiron/...", "github.com/lib/...", "github.com/redis/..."},
		},
		{
			Name: "services get their adapters",
			Why:  "a face takes ports: the same code runs as its own process, inside brokkr-broker and in tests; only wiring and main choose technologies",
			Of:   []string{"./services/api", "./services/gateway", "./services/scheduler"},
			Deny: []string{"./pkg/adapters/...", "database/...", "github.com/jmoiron/...", "github.com/lib/...", "github.com/redis/..."},
		},
		{
			Name: "SQL in one place",
			Why:  "one adapter knows tables and driver errors; SQL elsewhere escapes tenancy, the outbox and the conformance suite",
			Of:   []string{"./..."},
			Not:  []string{"./pkg/adapters/postgres/...", "./pkg/platform/localpg/...", "./internal/testenv/...", "./test/fleetsim/internal/bench"}, // it counts rows from outside
			Deny: []string{"database/sql/...", "github.com/lib/pq/...", "github.com/jmoiron/sqlx/...", "github.com/pressly/goose/..."},
		},
		{
			Name: "Redis in one place",
			Why:  "Redis is a cache and a doorbell; anything that talks to it directly could come to rely on it",
			Of:   []string{"./..."},
			Not:  []string{"./pkg/adapters/redis/...", "./internal/testenv/..."},
			Deny: []string{"github.com/redis/..."},
		},
		{
			Name: "the control plane has no Kubernetes client",
			Why:  "clusters are reached by their agents alone, outbound; the broker holds no kubeconfig",
			Of:   []string{"./services/api/...", "./services/gateway/...", "./services/scheduler/...", "./cmd/brokkr-broker/..."},
			Deny: []string{"k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/...", "github.com/fluxcd/..."}, Linked: true,
		},
		{
			Name: "agent stays small",
			Why:  "it runs in each cluster: no database driver, no Redis, no server-side go-kit, nothing of tests in its binary; fluxcd/pkg/ssa would double its memory, and so would the parts of client-go that know every kind",
			Of:   []string{"./services/agent/..."},
			Deny: []string{"github.com/lib/pq/...", "github.com/jmoiron/...", "github.com/pressly/...", "github.com/redis/...",
				"github.com/go-kit/...", "github.com/gorilla/mux", "github.com/fluxcd/pkg/ssa/...", "testing/...",
				"k8s.io/client-go/kubernetes/...", "k8s.io/client-go/informers/...", "k8s.io/client-go/discovery/..."},
			Linked: true,
		},
		{
			Name: "clients speak http",
			Why:  "anybody's program imports it: no server's inside, no port, no adapter comes along",
			Of:   []string{"./pkg/client/..."},
			Deny: []string{"./pkg/ports/...", "./pkg/adapters/...", "./pkg/platform/...", "./pkg/identity/...", "./pkg/trail/...", "./services/...", "./cmd/...", "./internal/...",
				"database/...", "github.com/lib/...", "github.com/redis/..."},
		},
		{
			Name: "cli speaks http",
			Why:  "what the CLI can do, any client of the API can do; a way around it would be a way around authorization",
			Of:   []string{"./cmd/brokkr/..."},
			Deny: []string{"./pkg/ports/...", "./pkg/adapters/...", "./services/...", "database/...", "github.com/lib/...", "github.com/redis/..."},
		},
		{
			Name: "tests stay in tests",
			Why:  "test servers and suites never ship",
			Of:   []string{"./..."},
			Not:  []string{"./internal/...", "./pkg/ports/porttest/...", "./pkg/ports/cluster/clustertest/..."},
			Deny: []string{"testing/...", "./internal/testenv/...", "./internal/testcert/...", "./internal/statechart/...", "./internal/accesstest/...", "./pkg/ports/porttest/...", "./pkg/ports/cluster/clustertest/...", "pgregory.net/rapid/...", "github.com/google/go-cmp/..."},
		},
	}
	// The services' internal folders are closed to each other by the compiler already; this closes their faces too.
	services := []string{"api", "gateway", "scheduler", "agent"}
	for _, s := range services {
		r := Rule{
			Name: s + " is alone",
			Why:  "services meet on the wire, in Postgres rows and in Redis signals only, so that each is deployed and replaced by itself",
			Of:   []string{"./services/" + s + "/..."},
			Deny: []string{"./cmd/..."},
		}
		for _, other := range services {
			if other != s {
				r.Deny = append(r.Deny, "./services/"+other+"/...")
			}
		}
		rules = append(rules, r)
	}
	return rules
}
