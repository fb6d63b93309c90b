// Package charts_test holds the charts to what they promise. Its tests need Helm, whose path is in HELM (make test-charts),
// and are skipped without it; those that ask a real API server need one of internal/testenv too.
package charts_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	broker = "brokkr-broker"
	agent  = "brokkr-agent"
)

func updating() bool {
	return flag.Lookup("update") != nil && flag.Lookup("update").Value.String() == "true"
}

var _ = flag.Bool("update", false, "write golden renders and deploy/manifests anew")

// install is a chart with values, as one would install it.
type install struct {
	chart string // folder
	name  string // of the release
	args  []string
}

func set(values ...string) []string {
	var out []string
	for _, v := range values {
		out = append(out, "--set", v)
	}
	return out
}

func all() []string {
	return []string{
		"global.existing=", "microservices.enabled=true", "redis.enabled=true", "postgresql.enabled=true", "global.monitoring.enabled=true",
		"global.monitoring.podMonitor.enabled=true", "global.monitoring.serviceMonitor.enabled=true", "ingress.enabled=true",
		"ingress.hosts={brokkr.example.com}", "ingress.tlsSecret=brokkr-tls", "ingress.className=nginx", "httpRoute.enabled=true",
		"httpRoute.parentRefs[0].name=public", "httpRoute.hostnames={brokkr.example.com}", "api.autoscaling.enabled=true", "gateway.replicas=3",
	}[1:]
}

// matrix is what is rendered, compared with the last time, and tried on a real API server.
func matrix() map[string]install {
	own := set("global.database.existingSecret=my-database", "global.redis.existingSecret=my-redis", "global.keys.existingSecret=my-keys",
		"global.admin.existingSecret=my-admin", "global.joinToken.enabled=false")
	part := func(name string) install { // a release of its own; by the common name they find each other
		return install{broker + "/charts/" + name, name, append(slices.Clone(own), set("global.fullnameOverride=brokkr")...)}
	}
	url := "broker.url=http://brokkr-broker:3000"
	return map[string]install{
		"broker":             {broker, broker, set("postgresql.enabled=true")},
		"broker-development": {broker, broker, []string{"-f", broker + "/values/development.yaml"}},
		"broker-staging":     {broker, broker, []string{"-f", broker + "/values/staging.yaml"}},
		"broker-production":  {broker, broker, []string{"-f", broker + "/values/production.yaml"}},
		"broker-external":    {broker, broker, own},
		"broker-replicas":    {broker, broker, set("postgresql.enabled=true", "redis.enabled=true", "autoscaling.enabled=true", "postgresql.persistence.keepOnUninstall=false")},
		"broker-all":         {broker, "acme", set(all()...)},
		"broker-tls": {broker, broker, set("postgresql.enabled=true", "redis.enabled=true", "microservices.enabled=true",
			"global.tls.existingSecret=my-tls", "global.tls.clientCA.existingSecret=my-agents")},
		"broker-cert-manager": {broker, broker, set("postgresql.enabled=true", "global.tls.certManager.enabled=true", "global.tls.certManager.issuer=mine")},
		"broker-authorities": {broker, broker, append(set("microservices.enabled=true", "global.database.caSecret=my-database-ca", "global.redis.caSecret=my-redis-ca",
			"api.extraEnv[0].name=HTTPS_PROXY", "api.extraEnv[0].value=http://proxy.example.com"), own...)},
		"api":              part("api"),
		"gateway":          part("gateway"),
		"scheduler":        part("scheduler"),
		"agent":            {agent, agent, set(url)},
		"agent-namespaced": {agent, agent, set(url, "rbac.scope=namespace", "auth.existingSecret=my-pak")},
		"agent-all": {agent, "edge-1", set(url, "join.token=brokkrjoin_BRabcdef_"+strings.Repeat("a", 32), "rbac.roles=true", "rbac.definitions=true",
			"rbac.webhooks=true", "rbac.storage=true", "rbac.builds=true", "rbac.impersonate[0].name=deployer", "rbac.impersonate[0].namespace=web",
			"agent.healthRules[0]=Database.example.com=object.status.ready ? 'healthy' : 'progressing'",
			"monitoring.podMonitor.enabled=true", "otlp.endpoint=http://collector:4318",
			"broker.caSecret=my-tls", "broker.clientCertSecret=my-certificate")},
	}
}

func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	binary := os.Getenv("HELM")
	if binary == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.String(), nil
}

func (i install) template(t *testing.T, more ...string) (string, error) {
	t.Helper()
	return helm(t, slices.Concat([]string{"template", i.name, i.chart, "-n", "brokkr"}, i.args, more)...)
}

func (i install) objects(t *testing.T, more ...string) []*unstructured.Unstructured {
	t.Helper()
	text, err := i.template(t, more...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, doc := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
		u := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(doc), &u.Object); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// settled takes what is made by chance out of a render.
func settled(text string) string {
	for _, key := range []string{"password", "url", "secrets-keys", "pak", "pak-hash", "join-token"} {
		text = regexp.MustCompile(`(?m)^  `+key+`: [A-Za-z0-9+/=]+$`).ReplaceAllString(text, "  "+key+": MADE")
	}
	return text
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if updating() {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what the charts render; if that is meant, `make manifests` writes it anew (-want +got):\n%s", file, diff)
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	for name, i := range matrix() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := helm(t, append([]string{"lint", "--strict", i.chart}, i.args...)...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestRenders(t *testing.T) {
	t.Parallel()
	for name, i := range matrix() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := i.template(t)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".yaml"), settled(text))
		})
	}
}

// The manifests are for those without Helm: no hooks, and Secrets that one makes before.
func TestManifests(t *testing.T) {
	t.Parallel()
	m := matrix()
	for file, name := range map[string]string{"brokkr-broker.yaml": "broker-external", "brokkr-microservices.yaml": "broker-production", "brokkr-agent.yaml": "agent"} {
		i := m[name]
		if name == "broker-production" {
			i.args = append(slices.Clone(i.args), set("global.monitoring.podMonitor.enabled=false")...)
		}
		text, err := i.template(t, "--no-hooks")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("..", "deploy", "manifests", file), "# Rendered from charts/ by `make manifests`; see docs/install.md. Namespace: brokkr.\n"+text)
	}
}

func TestSharedTemplatesAreCopies(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("shared.tpl")
	if err != nil {
		t.Fatal(err)
	}
	copies, err := filepath.Glob(broker + "/charts/*/templates/_shared.tpl")
	if err != nil || len(copies) != 5 {
		t.Fatalf("got %v, %v; want five copies in the subcharts", copies, err)
	}
	for _, c := range append(copies, broker+"/templates/_shared.tpl") {
		if got, err := os.ReadFile(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not a copy of shared.tpl (%v): run charts/sync.sh", c, err)
		}
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	apart := func(more ...string) install {
		return install{broker, broker, set(append([]string{"postgresql.enabled=true", "microservices.enabled=true", "redis.enabled=true"}, more...)...)}
	}
	for want, i := range map[string]install{
		"--set postgresql.enabled=true":     {broker, broker, nil},
		"needs Redis":                       {broker, broker, set("postgresql.enabled=true", "microservices.enabled=true")},
		"More than one replica needs Redis": {broker, broker, set("postgresql.enabled=true", "replicas=2")},
		"does not belong into a ConfigMap":  {broker, broker, set("postgresql.enabled=true", "config.database.url=postgres://x")},
		"additional properties 'postgresq'": {broker, broker, set("postgresql.enabled=true", "postgresq.enabled=true")},
		"additional properties 'replica'":   {broker, broker, set("postgresql.enabled=true", "microservices.enabled=true", "redis.enabled=true", "api.replica=2")},
		"Both postgresql.enabled and":       {broker, broker, set("postgresql.enabled=true", "global.database.url=postgres://x")},
		"all-in-one broker's: networkPolicy.from. Set them for each service: api.networkPolicy.from": apart("networkPolicy.from[0].podSelector.matchLabels.a=b"),
		"all-in-one broker's: config.":                                              apart("config.log.level=debug"),
		"broker's: extraEnv, podLabels, replicas, autoscaling.enabled.":             apart("replicas=2", "podLabels.a=b", "autoscaling.enabled=true", "extraEnv[0].name=A", "extraEnv[0].value=b"),
		"makes no Secrets":                                                          {broker + "/charts/api", broker, nil},
		"certificate to the gateway, and the api asks for none: ingress.enabled of": apart("global.tls.existingSecret=x", "global.tls.clientCA.existingSecret=x", "api.ingress.enabled=true"),
		"none: httpRoute.enabled, service.type=LoadBalancer, networkPolicy.from of": apart("global.tls.existingSecret=x", "global.tls.clientCA.existingSecret=x", "api.httpRoute.enabled=true",
			"api.service.type=LoadBalancer", "api.networkPolicy.from[0].podSelector.matchLabels.a=b"),
		"does not know where the api is":          {broker + "/charts/gateway", broker, append(matrix()["gateway"].args, set("global.fullnameOverride=")...)},
		"broker.url is missing":                   {agent, agent, nil},
		"Both auth.existingSecret and auth.pak":   {agent, agent, set("broker.url=http://x", "auth.existingSecret=x", "auth.pak=brokkr_BRabcdef_"+strings.Repeat("a", 32))},
		"does not match pattern '^(brokkr_BR":     {agent, agent, set("broker.url=http://x", "auth.pak=secret")},
		"value must be one of 'cluster', 'namesp": {agent, agent, set("broker.url=http://x", "rbac.scope=everywhere")},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			if _, err := i.template(t); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// Secrets are in Secrets alone, and in none of ours where there is one of yours.
func TestSecretsAreInSecretsAlone(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	key := "brokkr_BRabcdef_" + strings.Repeat("c", 32)
	for name, c := range map[string]struct {
		install
		secrets []string
	}{
		"broker": {install{broker, broker, set("global.database.url=postgres://u:"+canary+"@h/d", "global.redis.url=redis://:"+canary+"@h")}, []string{canary}},
		"agent":  {install{agent, agent, set("broker.url=http://x", "auth.pak="+key)}, []string{key}},
	} {
		for _, u := range c.objects(t) {
			text, err := yaml.Marshal(u.Object)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.secrets {
				if u.GetKind() != "Secret" && strings.Contains(string(text), s) {
					t.Errorf("%s: %s %s shows a secret:\n%s", name, u.GetKind(), u.GetName(), text)
				}
			}
		}
	}
	for _, name := range []string{"broker-external", "broker-production", "agent-namespaced"} {
		i := matrix()[name]
		for _, u := range i.objects(t) {
			if u.GetKind() == "Secret" {
				t.Errorf("%s makes the Secret %s though yours are named", name, u.GetName())
			}
		}
	}
}

// Each start has a key of its own; none is in the chart.
func TestSecretsAreMadeByChance(t *testing.T) {
	t.Parallel()
	made := func() map[string]string {
		out := map[string]string{}
		for _, u := range matrix()["broker"].objects(t) {
			if u.GetKind() == "Secret" {
				data, _, _ := unstructured.NestedStringMap(u.Object, "data")
				for k, v := range data {
					out[u.GetName()+"/"+k] = v
				}
			}
		}
		return out
	}
	one, two := made(), made()
	if len(one) != 6 {
		t.Errorf("got %v, want six values", slices.Sorted(maps.Keys(one)))
	}
	for k, v := range one {
		if v == two[k] || len(v) < 32 {
			t.Errorf("%s is %q and %q in two renders", k, v, two[k])
		}
	}
}

// The agent may do nothing that opens the cluster to it, unless it is told to.
func TestTheAgentIsNoClusterAdmin(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"agent", "agent-namespaced", "agent-all"} {
		for _, u := range matrix()[name].objects(t) {
			rules, _, _ := unstructured.NestedSlice(u.Object, "rules")
			for _, r := range rules {
				text, err := yaml.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				for _, bad := range []string{"'*'", "escalate", "bind\n", "nodes/", "pods/exec", "serviceaccounts/token"} {
					if strings.Contains(string(text), bad) && u.GetKind() != "Ingress" {
						t.Errorf("%s: %s %s has %s:\n%s", name, u.GetKind(), u.GetName(), bad, text)
					}
				}
				if strings.Contains(string(text), "nodes") && !strings.Contains(string(text), "verbs:\n- list\n") {
					t.Errorf("%s: more than the list of nodes:\n%s", name, text)
				}
				if name == "agent" && strings.Contains(string(text), "impersonate") {
					t.Errorf("%s: may impersonate:\n%s", name, text)
				}
			}
			if name == "agent-namespaced" && strings.HasPrefix(u.GetKind(), "Cluster") {
				t.Errorf("%s has the %s %s", name, u.GetKind(), u.GetName())
			}
		}
	}
}

// Each program has an image, of ko's and of the Dockerfile's.
func TestEveryProgramHasAnImage(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../deploy/images.sh")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var mains []string
	for _, pattern := range []string{"../cmd/*/main.go", "../services/*/cmd/*/main.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		mains = append(mains, found...)
	}
	if len(mains) < 6 {
		t.Fatalf("found only %v", mains)
	}
	for _, m := range mains {
		dir := filepath.ToSlash(filepath.Dir(m))
		name := filepath.Base(dir)
		if name == "brokkr" {
			name = "brokkr-cli"
		}
		if want := "\n" + name + " ./" + strings.TrimPrefix(dir, "../") + "\n"; !strings.Contains(string(script), want) {
			t.Errorf("deploy/images.sh has no %s", want)
		}
		if !regexp.MustCompile(regexp.QuoteMeta(name) + `[|)]`).Match(file) {
			t.Errorf("deploy/Dockerfile knows no SERVICE %s", name)
		}
	}
}
