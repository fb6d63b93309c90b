package charts_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// policed is a broker in the namespace brokkr, with an agent beside it and one in another namespace.
type policed struct {
	broker install
	also   []install // releases beside it
	agent  []string  // more values of the agents
	url    string    // of the broker, if not its public Service's
	closed bool      // to those who are no agents
}

// fromOfTheGuide is who may call by the example of docs/install.md, as JSON.
func fromOfTheGuide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\nnetworkPolicy:")
	block, _, _ := strings.Cut(rest, "```")
	var values struct {
		NetworkPolicy struct {
			From []any `json:"from"`
		} `json:"networkPolicy"`
	}
	if err := yaml.UnmarshalStrict([]byte("networkPolicy:"+block), &values); err != nil || len(values.NetworkPolicy.From) != 2 {
		t.Fatalf("got %v, %v; want agents and a controller", values, err)
	}
	out, err := json.Marshal(values.NetworkPolicy.From)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func installs(t *testing.T) map[string]policed {
	t.Helper()
	m := matrix()
	with := func(name string, more ...string) install {
		i := m[name]
		i.args = append(slices.Clone(i.args), set(more...)...)
		return i
	}
	agents := func(prefixes ...string) (args []string) {
		for _, prefix := range prefixes {
			args = append(args, "--set-json", prefix+"networkPolicy.from="+fromOfTheGuide(t))
		}
		return append(args, set("ingress.enabled=true", "ingress.hosts={a.example.com}")...)
	}
	narrowedTo := func(name string, agents []string, more ...string) install {
		i := with(name, more...)
		i.args = append(i.args, agents...)
		return i
	}
	narrowed := func(agents []string, more ...string) install { return narrowedTo("broker", agents, more...) }
	apart := []string{"microservices.enabled=true", "redis.enabled=true", "api.ingress.enabled=true", "api.ingress.hosts={b.example.com}"}
	out := map[string]policed{
		"narrowed":                 {broker: narrowed(agents("")), closed: true},
		"narrowed, services apart": {broker: narrowed(agents("gateway.", "api."), apart...), closed: true},
		"narrowed, with monitors": {broker: narrowed(agents("gateway.", "api."), append(slices.Clone(apart), "global.monitoring.enabled=true", "global.monitoring.serviceMonitor.enabled=true")...),
			agent: set("monitoring.podMonitor.enabled=true"), closed: true},
		"other ports": {
			broker: install{broker, broker, set("microservices.enabled=true", "global.database.url=postgres://u:p@db.example.com:25060/brokkr", "global.redis.url=rediss://:p@redis.example.com:6380/0",
				"global.config.otlp.endpoint=https://traces.example.com:4317", "gateway.apiURL=https://api.example.com:8443")},
			agent: set("otlp.endpoint=http://traces.example.com:4319", "networkPolicy.ports={443,6443,8443,16443,3000,8080}"),
		},
		"releases apart": {broker: m["gateway"], also: []install{m["api"], m["scheduler"]}, url: "http://brokkr-gateway.brokkr:8080"},
		"releases apart, without a common name": {broker: with("gateway", "global.fullnameOverride=", "apiURL=http://api:3000"),
			also: []install{with("api", "global.fullnameOverride="), with("scheduler", "global.fullnameOverride=")}, url: "http://gateway.brokkr:8080"},
		"narrowed, releases apart": {broker: narrowedTo("gateway", agents("")), also: []install{narrowedTo("api", agents("")), m["scheduler"]}, url: "http://brokkr-gateway.brokkr:8080", closed: true},
		"broker elsewhere":         {broker: m["broker"], agent: set("networkPolicy.ports={443,6443,8443,16443}"), url: "https://brokkr.example.com:9443"},
	}
	for name, i := range m {
		if i.chart == broker {
			out[name] = policed{broker: i}
		}
	}
	return out
}

func (p policed) cluster(t *testing.T) *cluster {
	t.Helper()
	url := p.url
	if url == "" {
		url = "http://" + p.broker.name + ".brokkr:3000"
	}
	agents := func() []*unstructured.Unstructured {
		return install{agent, agent, slices.Concat(set("broker.url="+url), p.agent)}.objects(t)
	}
	here := append(p.broker.objects(t), agents()...)
	for _, i := range p.also {
		here = append(here, i.objects(t)...)
	}
	return theCluster(t, map[string][]*unstructured.Unstructured{"brokkr": here, "edge": agents()})
}

// forEach runs a test for each of the installs.
func forEach(t *testing.T, test func(t *testing.T, p policed, c *cluster)) {
	t.Helper()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	for name, p := range installs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := p.cluster(t)
			if len(c.pods) < 5 { // broker or its parts, its test, two agents, their tests
				t.Fatalf("got only %d pods", len(c.pods))
			}
			test(t, p, c)
		})
	}
}

// What the programs are told to reach they reach, though every pod is isolated.
func TestPoliciesLetThroughWhatIsNeeded(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, _ policed, c *cluster) {
		needs := c.needs(t)
		if len(needs) < 30 {
			t.Errorf("got only %d connections: %v", len(needs), needs)
		}
		for _, n := range needs {
			if !c.lets(t, n.from, n.to, n.port, n.protocol) {
				t.Errorf("%v is shut out: %s %s", n, n.from.name, n.why)
			}
		}
	})
}

// Of all other connections between any two pods none is possible, in or out, but to what is for everybody.
func TestPoliciesShutOutTheRest(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, p policed, c *cluster) {
		if tried, open := c.open(t, p.closed); len(open) > 0 || tried < 200 {
			t.Errorf("of %d connections that nobody needs these are possible: %v", tried, open)
		}
		for _, from := range c.pods { // nor anything unheard of to the outside
			for _, port := range []int32{22, 25, 3306, 9090, 10250} {
				if to := c.other(t, "internet"); c.lets(t, from.peer, to, port, corev1.ProtocolTCP) {
					t.Errorf("%s reaches the internet at %d", from.name, port)
				}
			}
		}
	})
}

// open are connections that are needed by nobody and possible.
func (c *cluster) open(t *testing.T, closed bool) (tried int, out []connection) {
	t.Helper()
	needed := map[string]bool{}
	for _, n := range c.needs(t) {
		needed[n.String()] = true
	}
	ours := map[string]bool{}
	var all []peer
	for _, p := range c.pods {
		ours[p.name] = true
		all = append(all, p.peer)
	}
	all = append(all, c.others...)
	for _, from := range all {
		for _, to := range all {
			if from.name == to.name || !ours[from.name] && !ours[to.name] || to.outside() {
				continue
			}
			for _, port := range append(slices.Collect(maps.Values(to.ports)), 22, 9090, 9999) {
				if !closed && public(to, port) && !ours[from.name] && to.labels["app.kubernetes.io/component"] != "api" {
					continue
				}
				tried++
				n := connection{from: from, to: to, port: port, protocol: corev1.ProtocolTCP}
				if !needed[n.String()] && c.lets(t, from, to, port, corev1.ProtocolTCP) && !anywhere(from, to, port) {
					out = append(out, n)
				}
			}
		}
	}
	return tried, out
}

// public are the ports that anybody may call, until networkPolicy.from says who; at the api's it has to say so first.
func public(p peer, port int32) bool {
	return slices.Contains([]string{"broker", "api", "gateway"}, p.labels["app.kubernetes.io/component"]) && port == p.ports["http"]
}

// anywhere: brokers and APIs of clusters may be anywhere at the agents' ports, so agents may call each public one.
func anywhere(from, to peer, port int32) bool {
	return from.labels["app.kubernetes.io/component"] == "agent" && public(to, port)
}

// Without any one of the rules something that is needed would be shut out; and without the policies much would be open that is not.
func TestEachRuleOfThePoliciesIsNeeded(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, p policed, c *cluster) {
		needs := c.needs(t)
		works := func() bool {
			for _, n := range needs {
				if !c.lets(t, n.from, n.to, n.port, n.protocol) {
					return false
				}
			}
			return true
		}
		for i := range c.policies {
			policy := &c.policies[i]
			in, out := policy.Spec.Ingress, policy.Spec.Egress
			for r := range in {
				if policy.Spec.Ingress = slices.Delete(slices.Clone(in), r, r+1); works() && !idle(p, policy.Name, in[r].Ports[0].Port.StrVal) {
					t.Errorf("nobody needs what %s lets in by rule %d: %v", policy.Name, r, in[r])
				}
			}
			policy.Spec.Ingress = in
			for r := range out {
				if policy.Spec.Egress = slices.Delete(slices.Clone(out), r, r+1); works() {
					t.Errorf("nobody needs what %s lets out by rule %d: %v", policy.Name, r, out[r])
				}
			}
			policy.Spec.Egress = out
		}
		c.policies = nil
		if _, open := c.open(t, p.closed); len(open) < 20 {
			t.Errorf("without policies only %v is open: the tests would hardly see that one is missing", open)
		}
	})
}

// idle are rules whose users may not be there: callers of an api that is behind the gateway, or of a broker that these agents are not of.
func idle(p policed, policy, port string) bool {
	return port == "http" && (strings.HasSuffix(policy, "api") || policy == p.broker.name && strings.HasPrefix(p.url, "https:"))
}
