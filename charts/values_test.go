package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// leaves calls f with the path and value of everything in values that has nothing below.
func leaves(values map[string]any, prefix string, f func(path string, value any)) {
	for k, v := range values {
		path := strings.TrimPrefix(prefix+"."+k, ".")
		if m, ok := v.(map[string]any); ok && len(m) > 0 {
			leaves(m, path, f)
			continue
		}
		f(path, v)
	}
}

// another is a value that is not v, as JSON.
func another(path string, v any) string {
	name := path[strings.LastIndex(path, ".")+1:]
	if s, ok := map[string]string{
		"tolerations": `[{"key":"canary"}]`, "topologySpreadConstraints": `[{"maxSkew":7}]`, "extraEnv": `[{"name":"CANARY","value":"x"}]`, "config": `{"log":{"level":"canary"}}`,
		"databasePorts": `[77]`, "ports": `[77]`, "hosts": `["canary.example.com"]`, "hostnames": `["canary.example.com"]`, "dnsNames": `["canary.example.com"]`, "impersonate": `[{"name":"canary","namespace":"x"}]`,
		"scope": `"namespace"`,
	}[name]; ok {
		return s
	}
	switch v := v.(type) {
	case bool:
		return fmt.Sprint(!v)
	case float64:
		return fmt.Sprint(v + 5)
	case string:
		return `"canary"`
	case []any:
		return `[{"canary":"x"}]`
	case map[string]any:
		return `{"canary":"x"}`
	default: // null
		return "31000"
	}
}

// asJSON says the same as --set by --set-json, of which the last one wins.
func asJSON(args []string) []string {
	out := slices.Clone(args)
	for n, arg := range out {
		if n == 0 || out[n-1] != "--set" {
			continue
		}
		key, value, _ := strings.Cut(arg, "=")
		if list, ok := strings.CutPrefix(value, "{"); ok {
			value = `["` + strings.TrimSuffix(list, "}") + `"]`
		} else if !json.Valid([]byte(value)) {
			value = `"` + value + `"`
		}
		out[n-1], out[n] = "--set-json", key+"="+value
	}
	return out
}

// Each option does something: the render changes with it, in one of a few installs.
func TestEveryValueIsUsed(t *testing.T) {
	t.Parallel()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	m := matrix()
	with := func(name string, more ...string) install {
		i := m[name]
		i.args = append(append([]string{}, i.args...), set(more...)...)
		return i
	}
	monitored := []string{"global.monitoring.enabled=true", "global.monitoring.podMonitor.enabled=true"}
	served := []string{"global.monitoring.enabled=true", "global.monitoring.serviceMonitor.enabled=true"}
	for chart, tries := range map[string][]install{
		broker: {with("broker", "ingress.enabled=true", "ingress.hosts={a.b}", "httpRoute.enabled=true", "httpRoute.parentRefs[0].name=x",
			"service.type=NodePort", "redis.enabled=true"), with("broker", "redis.enabled=true", "replicas=2"),
			with("broker", served...), with("broker"), with("broker", append(monitored, "autoscaling.enabled=true", "redis.enabled=true")...), with("broker-external"), {broker, broker, nil},
			with("broker", "global.tls.certManager.enabled=true", "global.tls.certManager.issuer=x"), with("broker", "global.tls.existingSecret=x"),
			{broker, broker, set("postgresql.enabled=false", "global.database.existingSecret=x")}},
		broker + "/charts/api": {with("api", "ingress.enabled=true", "ingress.hosts={a.b}", "httpRoute.enabled=true", "httpRoute.parentRefs[0].name=x",
			"service.type=NodePort", "replicas=2"), with("api", served...), with("api"), with("api", "global.tls.existingSecret=x"), with("api", append(monitored, "autoscaling.enabled=true")...)},
		broker + "/charts/gateway": {with("gateway", "ingress.enabled=true", "ingress.hosts={a.b}", "httpRoute.enabled=true", "httpRoute.parentRefs[0].name=x",
			"service.type=NodePort", "replicas=2"), with("gateway", served...), with("gateway"), with("gateway", "global.tls.existingSecret=x"), with("gateway", append(monitored, "autoscaling.enabled=true")...)},
		broker + "/charts/scheduler": {with("scheduler", "replicas=2"), with("scheduler", served...), with("scheduler"), with("scheduler", "global.tls.existingSecret=x"), with("scheduler", append(monitored, "autoscaling.enabled=true")...)},
		agent:                        {with("agent", "monitoring.podMonitor.enabled=true"), {agent, agent, set("broker.url=http://x", "rbac.scope=cluster")}},
	} {
		text, err := os.ReadFile(chart + "/values.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		for n := range tries {
			tries[n].args = asJSON(tries[n].args)
		}
		base := make([]string, len(tries))
		for n, i := range tries {
			if out, err := i.template(t, "--skip-schema-validation"); err == nil {
				base[n] = settled(out)
			}
		}
		var wg sync.WaitGroup
		slots := make(chan struct{}, 4)
		leaves(values, "", func(path string, value any) {
			if ofTheWhole(chart, path) {
				return
			}
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				change := another(path, value)
				if !json.Valid([]byte(change)) {
					t.Errorf("%s: %s is no JSON", path, change)
				}
				for n, i := range tries {
					out, err := i.template(t, "--skip-schema-validation", "--set-json", path+"="+change)
					if err != nil && base[n] != "" && !strings.Contains(err.Error(), "Both ") && !strings.Contains(err.Error(), "is missing") {
						t.Errorf("%s: %s=%s: %v", chart, path, change, err)
						return
					}
					if settled(out) != base[n] {
						return
					}
				}
				t.Errorf("%s: %s does nothing", chart, path)
			})
		})
		wg.Wait()
	}
}

// ofTheWhole are the global values that a part has for others.
func ofTheWhole(chart, path string) bool {
	part, isPart := strings.CutPrefix(chart, broker+"/charts/")
	if !isPart {
		return false
	}
	switch {
	case path == "global.database.url", path == "global.redis.url", path == "global.joinToken.enabled", path == "global.monitoring.serviceMonitor.enabled":
		return path != "global.monitoring.serviceMonitor.enabled"
	case part == "scheduler" && strings.HasPrefix(path, "global.tls."), part == "api" && strings.HasPrefix(path, "global.tls.clientCA"):
		return true
	case strings.HasPrefix(path, "global.tls.certManager."):
		return path != "global.tls.certManager.enabled"
	case path == "global.admin.existingSecret":
		return part != "api"
	}
	return false
}

// An account that several generators may name is one Role; a star is all accounts of its namespace, and the Roles of single ones go with it.
func TestEachAccountIsImpersonatedOnce(t *testing.T) {
	t.Parallel()
	i := install{agent, "edge-1", []string{"--set", "broker.url=http://x", "--set-json", `rbac.impersonate=[
		{"namespace": "web", "name": "deployer", "generator": "2b5e1b36-8f0a-4b5f-9d53-6a1c0f3e7d42"},
		{"namespace": "web", "name": "deployer", "generator": "9c0f3c1e-7a43-4f6f-9a2e-0d7f4c1b2a30"},
		{"namespace": "web", "name": "123"}, {"namespace": "shop", "name": "deployer"},
		{"namespace": "free", "name": "any"}, {"namespace": "free", "name": "*"}, {"namespace": "free", "name": "*", "generator": "9c0f3c1e-7a43-4f6f-9a2e-0d7f4c1b2a30"}]`}}
	rules, bound := map[string]string{}, map[string]string{}
	for _, u := range i.objects(t) {
		if !strings.Contains(u.GetName(), "-as-") {
			continue
		}
		at := u.GetNamespace() + "/" + u.GetName()
		if u.GetKind() == "RoleBinding" {
			if _, twice := bound[at]; twice {
				t.Errorf("%s is bound twice", at)
			}
			bound[at], _, _ = unstructured.NestedString(u.Object, "roleRef", "name")
			continue
		}
		if _, twice := rules[at]; twice {
			t.Errorf("%s is there twice", at)
		}
		found, _, err := unstructured.NestedSlice(u.Object, "rules")
		text, bad := json.Marshal(found)
		if err != nil || bad != nil {
			t.Fatal(err, bad)
		}
		rules[at] = string(text)
	}
	rule := func(names string) string {
		return `[{"apiGroups":[""],` + names + `"resources":["serviceaccounts"],"verbs":["impersonate"]}]`
	}
	want := map[string]string{
		"web/brokkr-edge-1-as-deployer": rule(`"resourceNames":["deployer"],`), "web/brokkr-edge-1-as-123": rule(`"resourceNames":["123"],`),
		"shop/brokkr-edge-1-as-deployer": rule(`"resourceNames":["deployer"],`), "free/brokkr-edge-1-as-any": rule(""),
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("the roles (-want +got):\n%s", diff)
	}
	for at := range want {
		if !strings.HasSuffix(at, "/"+bound[at]) || bound[at] == "" {
			t.Errorf("%s is bound to %q", at, bound[at])
		}
	}
}
