package charts_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// summed are the checksums by which Deployments and StatefulSets make their pods anew, by name.
func (i install) summed(t *testing.T) map[string]string {
	t.Helper()
	c := theCluster(t, nil)
	out := map[string]string{}
	for _, u := range i.objects(t) {
		if u.GetKind() == "Deployment" {
			out[u.GetName()] = into[struct {
				Spec struct {
					Template corev1.PodTemplateSpec `json:"template"`
				} `json:"spec"`
			}](t, u).Spec.Template.Annotations["checksum/config"]
		}
		u.SetNamespace("brokkr")
		c.add(t, u)
	}
	if len(out) == 0 || slices.Contains(slices.Collect(maps.Values(out)), "") {
		t.Fatalf("got the checksums %v", out)
	}
	return out
}

// A process reads its configuration and its Secrets when it starts; so pods are made anew when they change, and not else.
func TestChangedConfigurationMakesPodsAnew(t *testing.T) {
	t.Parallel()
	apart := set("global.database.url=postgres://u:p@h/d", "global.redis.url=redis://h", "microservices.enabled=true")
	one := set("global.database.url=postgres://u:p@h/d")
	joined := set("broker.url=http://x", "join.token=brokkrjoin_BRabcdef_"+strings.Repeat("a", 32))
	keyed := set("broker.url=http://x", "auth.pak=brokkr_BRabcdef_"+strings.Repeat("a", 32))
	for change, c := range map[string]struct {
		chart string
		args  []string
		whose []string // whose pods are made anew; the others stay
	}{
		"global.config.log.level=debug":                             {broker, apart, []string{"x-api", "x-gateway", "x-scheduler"}},
		"global.database.url=postgres://u:q@h/d":                    {broker, apart, []string{"x-api", "x-gateway", "x-scheduler"}},
		"global.redis.url=redis://other":                            {broker, apart, []string{"x-api", "x-gateway", "x-scheduler"}},
		"gateway.config.log.level=debug":                            {broker, apart, []string{"x-gateway"}},
		"api.config.log.level=debug":                                {broker, apart, []string{"x-api"}},
		"scheduler.config.log.level=debug":                          {broker, apart, []string{"x-scheduler"}},
		"gateway.apiURL=http://other:3000":                          {broker, apart, []string{"x-gateway"}},
		"api.service.annotations.a=b":                               {broker, apart, nil},
		"config.log.level=debug":                                    {broker, one, []string{"x"}},
		"global.tls.existingSecret=mine":                            {broker, one, []string{"x"}},
		"service.annotations.b=c":                                   {broker, one, nil},
		"log.level=debug":                                           {agent, joined, []string{"x"}},
		"broker.url=http://y":                                       {agent, joined, []string{"x"}},
		"join.token=brokkrjoin_BRabcdef_" + strings.Repeat("b", 32): {agent, joined, []string{"x"}},
		"auth.pak=brokkr_BRabcdef_" + strings.Repeat("b", 32):       {agent, keyed, []string{"x"}},
		"networkPolicy.enabled=false":                               {agent, joined, nil},
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			before := install{c.chart, "x", c.args}.summed(t)
			after := install{c.chart, "x", append(slices.Clone(c.args), set(change)...)}.summed(t)
			var changed []string
			for name := range before {
				if before[name] != after[name] {
					changed = append(changed, name)
				}
			}
			if slices.Sort(changed); !slices.Equal(changed, c.whose) {
				t.Errorf("pods of %v are made anew, want %v", changed, c.whose)
			}
		})
	}
}

// Files of Secrets are read by their process alone, and a pod has none that it does not need: only servers see the key of their certificate.
func TestFilesOfSecretsAreNarrow(t *testing.T) {
	t.Parallel()
	mounted := 0
	for name, i := range matrix() {
		c := theCluster(t, nil)
		for _, u := range i.objects(t) {
			u.SetNamespace("brokkr")
			c.add(t, u)
		}
		for _, p := range c.pods {
			for _, v := range p.spec.Volumes {
				if v.Secret == nil {
					continue
				}
				mounted++
				if v.Secret.DefaultMode == nil || *v.Secret.DefaultMode&0o007 != 0 {
					t.Errorf("%s: %s: everybody in the pod may read %s", name, p.name, v.Name)
				}
				own := v.Name == "client-cert" || v.Name == "tls" && slices.Contains([]string{"broker", "api", "gateway"}, p.labels["app.kubernetes.io/component"])
				if all := len(v.Secret.Items) == 0; all != own {
					t.Errorf("%s: %s: %s holds all keys: %v, want %v", name, p.name, v.Name, all, own)
				}
			}
		}
	}
	if mounted < 8 {
		t.Errorf("only %d Secrets are mounted", mounted)
	}
}

// What is in a Secret that a chart makes is nowhere else: not in the ConfigMaps, not in pods, not in annotations.
func TestWhatSecretsHoldIsNowhereElse(t *testing.T) {
	t.Parallel()
	for name, i := range matrix() {
		var values []string
		text := map[string]string{}
		for _, u := range i.objects(t) {
			if u.GetKind() != "Secret" {
				text[u.GetKind()+" "+u.GetName()] = fmt.Sprint(u.Object)
				continue
			}
			c := theCluster(t, nil)
			u.SetNamespace("brokkr")
			c.add(t, u)
			for _, v := range c.secrets["brokkr/"+u.GetName()] {
				if v != "" {
					values = append(values, v)
				}
			}
		}
		for what, text := range text {
			for _, v := range values {
				if strings.Contains(text, v) {
					t.Errorf("%s: %s shows what is in a Secret", name, what)
				}
			}
		}
		if len(values) == 0 && (name == "broker" || name == "agent-all") {
			t.Errorf("%s makes no Secret", name)
		}
	}
}

// notes are what is printed after an install: helm renders them for clusters only, so here as a ConfigMap of a copy of the chart.
func (i install) notes(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), i.chart)
	text, err := os.ReadFile(filepath.Join(i.chart, "templates", "NOTES.txt"))
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(i.chart))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "notes.txt"), text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "templates", "zz.yaml"), []byte(`{"kind": "ConfigMap", "data": {"notes": {{ tpl (.Files.Get "notes.txt") . | toJson }}}}`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	i.chart = dir
	return into[corev1.ConfigMap](t, i.objects(t, "--show-only", "templates/zz.yaml")[0]).Data["notes"]
}

// What is printed after an install leads on: the agent that it tells to install is one that the chart takes, and it is told of
// each thing without which it could not connect.
func TestNotesLeadOn(t *testing.T) {
	t.Parallel()
	m := matrix()
	with := func(name string, more ...string) install {
		i := m[name]
		i.args = append(slices.Clone(i.args), set(more...)...)
		return i
	}
	for name, c := range map[string]struct {
		install
		says []string
		not  string
	}{
		"a first try": {m["broker"], []string{"http://brokkr-broker.brokkr:3000", "helm test brokkr-broker -n brokkr", "get secret brokkr-broker-admin -o", "helm install brokkr-agent ./charts/brokkr-agent -n brokkr --set broker.url=http://brokkr-broker:3000\n",
			"Keep a copy of the Secret brokkr-broker-keys"}, "ca.crt"},
		"another name":          {m["broker-all"], []string{"http://acme.brokkr:3000", "--set broker.url=http://acme:3000 --set join.existingSecret=acme-join\n", "https://brokkr.example.com\n"}, "brokkr-broker-join"},
		"production":            {m["broker-production"], []string{"brokkr join-token create fleet", "the PAK whose hash is in the Secret brokkr-admin"}, "helm install brokkr-agent"},
		"TLS, and certificates": {m["broker-tls"], []string{"https://brokkr-broker.brokkr:3000", "get secret my-tls -o jsonpath='{.data.ca\\.crt}'", "--ca-file ca.crt", "--set broker.caSecret=my-tls \\\n      --set broker.clientCertSecret="}, "http://"},
		"TLS of cert-manager":   {m["broker-cert-manager"], []string{"get secret brokkr-broker-tls -o", "--set broker.caSecret=brokkr-broker-tls\n"}, "clientCertSecret"},
		"an agent that joins":   {m["agent"], []string{"reports to http://brokkr-broker:3000", "Make a token where the admin is", "create secret generic brokkr-broker-join", "helm test brokkr-agent -n brokkr", "work in all namespaces"}, ""},
		"an agent with a key":   {m["agent-namespaced"], []string{"work in the namespace brokkr alone"}, "no credentials"},
		"an agent with a token": {with("agent", "join.token=brokkrjoin_BRabcdef_"+strings.Repeat("a", 32)), []string{"brokkr get agents"}, "no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes := c.notes(t)
			for _, want := range c.says {
				if !strings.Contains(notes, want) {
					t.Errorf("the notes do not say %q:\n%s", want, notes)
				}
			}
			if c.not != "" && strings.Contains(notes, c.not) || strings.Contains(notes, "<no value>") {
				t.Errorf("the notes say %q:\n%s", c.not, notes)
			}
			_, command, found := strings.Cut(notes, "helm install brokkr-agent ./charts/")
			if !found {
				return
			}
			command, _, _ = strings.Cut(command, "\n\n")
			command = strings.NewReplacer("\\\n", " ", "<a Secret with a certificate by my-agents>", "mine").Replace(command)
			if out, err := helm(t, append([]string{"template", "brokkr-agent"}, strings.Fields(command)...)...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// The bundled PostgreSQL admits the connections of all processes, also while an upgrade replaces them.
func TestTheBundledDatabaseAdmitsAllProcesses(t *testing.T) {
	t.Parallel()
	const (
		admitted = 100 - 3 // but those for superusers
		usual    = 20      // of database.max_connections
		aside    = 4       // that listen, and ask whether it answers
	)
	for _, name := range []string{"broker", "broker-development", "broker-staging"} {
		sum := int64(0)
		objects := matrix()[name].objects(t)
		for _, u := range objects {
			if u.GetKind() != "Deployment" || u.GetLabels()["app.kubernetes.io/component"] == "redis" { // which asks no database
				continue
			}
			d := into[appsv1.Deployment](t, u)
			most := int64(0) // of those that have no configuration of Brokkr, such as Redis
			for _, c := range objects {
				if c.GetKind() != "ConfigMap" || c.GetName() != d.Name {
					continue
				}
				var config struct {
					Database struct {
						MaxConnections int64 `json:"max_connections"`
					} `json:"database"`
				}
				text, _, err := unstructured.NestedString(c.Object, "data", "config.yaml")
				if err == nil {
					err = yaml.Unmarshal([]byte(text), &config)
				}
				if err != nil {
					t.Fatal(err)
				}
				most = cmp.Or(config.Database.MaxConnections, usual)
			}
			if most == 0 {
				continue
			}
			sum += (int64(*d.Spec.Replicas) + int64(d.Spec.Strategy.RollingUpdate.MaxSurge.IntVal)) * (most + aside)
		}
		if sum == 0 || sum > admitted {
			t.Errorf("%s: its processes may have %d connections, and the bundled PostgreSQL admits %d", name, sum, admitted)
		}
	}
}
