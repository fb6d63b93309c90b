package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
)

const key = "brokkr_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"

func load(environ ...string) (*Settings, error) {
	return Load(append([]string{"BROKKR__AGENT__PAK=" + key, "BROKKR__AGENT__BROKER_URL=http://broker:3000"}, environ...), nil)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := load()
	if err != nil {
		t.Fatal(err)
	}
	want := &Settings{
		Agent: Agent{PAK: key, BrokerURL: "http://broker:3000", Addr: ":8080", Namespace: "brokkr-system", Resync: 10 * time.Minute, PodLogs: 100, StatusEvery: time.Minute},
		Log:   Log{Level: "info", Format: "json"}, OTLP: OTLP{Sample: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestWhereValuesComeFrom(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "brokkr.yaml")
	if err := os.WriteFile(file, []byte("agent:\n  resync: 5m\n  namespaced: true\n  namespace: team\nlog:\n  level: error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load([]string{"BROKKR_CONFIG_FILE=" + file, "BROKKR__AGENT__PAK=" + key + "\n", "BROKER_URL=http://plain", "LOG_LEVEL=debug",
		"BROKKR__LOG__FORMAT=text", "BROKKR__AGENT__KUBECONFIG=/env", "BROKKR__AGENT__ADDR=127.0.0.1:0", "BROKKR__OTLP__ENDPOINT=http://collector:4318",
		"BROKKR__OTLP__SAMPLE=0.5", "BROKKR__AGENT__POD_LOGS=7", "BROKKR__AGENT__STATUS_EVERY=20s", "BROKKR__AGENT__FACTS=zone=north,price=2.5", "BROKKR__AGENT__WEBHOOK_NETWORKS=127.0.0.1/32,10.0.0.0/8",
		"BROKKR__AGENT__SERVICE_ACCOUNTS=team/*,2b5e1b36-8f0a-4b5f-9d53-6a1c0f3e7d42=shop/deployer", "BROKKR__AGENT__DEFAULT_SERVICE_ACCOUNT=stacks/plain", "BROKKR__AGENT__HEALTH_RULES=A.example.com=object.s == 'a,b' ? 'healthy' : 'failing'\nB.example.com='healthy'\n", "DATABASE_URL=postgres://other", "BROKKR__GATEWAY__ADDR=:1"}, map[string]any{"agent.kubeconfig": "/flag"})
	if err != nil {
		t.Fatal(err)
	}
	want := &Settings{
		Agent: Agent{PAK: key + "\n", BrokerURL: "http://plain", Addr: "127.0.0.1:0", Kubeconfig: "/flag", Namespace: "team", Namespaced: true, Resync: 5 * time.Minute, PodLogs: 7, StatusEvery: 20 * time.Second, Facts: "zone=north,price=2.5",
			WebhookNetworks: []string{"127.0.0.1/32", "10.0.0.0/8"},
			ServiceAccounts: []string{"team/*", "2b5e1b36-8f0a-4b5f-9d53-6a1c0f3e7d42=shop/deployer"}, DefaultServiceAccount: "stacks/plain",
			HealthRules: config.Lines{"A.example.com=object.s == 'a,b' ? 'healthy' : 'failing'", "B.example.com='healthy'"}},
		Log: Log{Level: "debug", Format: "text"}, OTLP: OTLP{Endpoint: "http://collector:4318", Sample: 0.5},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got := s.StatedFacts(); len(got) != 2 || got["zone"].Text != "north" || got["price"].Number == nil {
		t.Errorf("facts: %v", got)
	}
	if got := s.Networks(); len(got) != 2 || got[1].String() != "10.0.0.0/8" {
		t.Errorf("networks: %v", got)
	}
	rules := account.Rules{Default: "stacks/plain", Allowed: []account.Allowed{
		{Namespace: "team", Name: account.Any}, {Generator: "2b5e1b36-8f0a-4b5f-9d53-6a1c0f3e7d42", Namespace: "shop", Name: "deployer"}}}
	if diff := cmp.Diff(rules, s.Accounts()); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if got := s.Rules(Compiler(), func(i int, why string) { t.Errorf("rule %d %s", i, why) }); len(got) != 2 {
		t.Errorf("health rules: %v", got)
	}
	if s.Key() != key {
		t.Errorf("the key has a line's end: %q", s.Key())
	}
}

func TestWhatCannotWorkIsSaid(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"BROKKR__AGENT__PAK=":                                                        "agent.pak is empty: set BROKKR__AGENT__PAK",
		"BROKKR__AGENT__PAK=brokkr_topsecret":                                        "agent.pak is not a Brokkr PAK",
		"BROKKR__AGENT__BROKER_URL=":                                                 "agent.broker_url is empty: set BROKKR__AGENT__BROKER_URL",
		"BROKKR__AGENT__BROKER_URL=broker:3000":                                      `agent.broker_url is "broker:3000", not an http:// or https:// URL`,
		"BROKKR__AGENT__BROKER_URL=http://u:hush@b/":                                 `agent.broker_url is "http://u:xxxxx@b/", a URL with more`,
		"BROKKR__AGENT__CLIENT_CERT=/x":                                              "agent.client_key and agent.client_cert belong together",
		"BROKKR__AGENT__ADDR=":                                                       "agent.addr is empty",
		"BROKKR__AGENT__NAMESPACE=Not_One":                                           `agent.namespace is "Not_One"`,
		"BROKKR__AGENT__RESYNC=1ms":                                                  "agent.resync is 1ms, less than 1s",
		"BROKKR__AGENT__POD_LOGS=1001":                                               "agent.pod_logs is 1001, not 0 to 1000",
		"BROKKR__AGENT__PROTECTED_NAMESPACES=a,B_":                                   `agent.protected_namespaces has "B_", not a name that a namespace can have`,
		"BROKKR__AGENT__WEBHOOK_NETWORKS=here":                                       `agent.webhook_networks has "here", which is not a CIDR`,
		"BROKKR__AGENT__HEALTH_RULES=A.example.com='healthy'\nB.example.com=object.": "agent.health_rules[1] for B.example.com cannot be used: 1:8: Syntax error",
		"BROKKR__AGENT__HEALTH_RULES=Deployment.apps='healthy'":                      `agent.health_rules[0] is about "Deployment.apps"`,
		"BROKKR__AGENT__SERVICE_ACCOUNTS=team":                                       `agent.service_accounts has "team", which is not namespace/name`,
		"BROKKR__AGENT__SERVICE_ACCOUNTS=shop=team/a":                                `agent.service_accounts has "shop=team/a", where "shop" is not a generator's id`,
		"BROKKR__AGENT__DEFAULT_SERVICE_ACCOUNT=a/*":                                 `agent.default_service_account is "a/*", not namespace/name`,
		"BROKKR__AGENT__RESYNC=10":                                                   `agent.resync (BROKKR__AGENT__RESYNC) is "10", not a duration`,
		"BROKKR__AGENT__NAMESPACED=perhaps":                                          "agent.namespaced (BROKKR__AGENT__NAMESPACED)",
		"BROKKR__AGENT__STATUS_EVERY=1s":                                             "agent.status_every is 1s, less than 5s",
		"BROKKR__AGENT__FACTS=zone":                                                  "agent.facts is not a list such as zone=north,price=2.5",
		"BROKKR__AGENT__CLUSTER=x":                                                   "agent.cluster (BROKKR__AGENT__CLUSTER) is not a setting; agent has pak, broker_url, ca_file, client_cert, client_key, addr, kubeconfig, namespace, namespaced, resync, pod_logs, webhook_networks, protected_namespaces, service_accounts, default_service_account, health_rules, status_every, facts, join_token, name, cluster_name, key_secret",
		"BROKKR__AGNET__PAK=x":                                                       "agnet.pak (BROKKR__AGNET__PAK) is not a setting",
		"LOG_LEVEL=loud":                                                             `log.level is "loud"`,
		"BROKKR__LOG__FORMAT=xml":                                                    `log.format is "xml"`,
		"BROKKR__OTLP__ENDPOINT=collector:4318":                                      `otlp.endpoint is "collector:4318"`,
		"BROKKR__OTLP__SAMPLE=0":                                                     "otlp.sample is 0",
	} {
		_, err := load(variable)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: got %v, want one line with %q", variable, err, want)
		} else if strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: a secret is repeated: %v", variable, err)
		}
	}
}

func TestWithoutAPAK(t *testing.T) {
	t.Parallel()
	const token = "brokkrjoin_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	names := []string{"BROKKR__AGENT__NAME=edge-1", "BROKKR__AGENT__CLUSTER_NAME=cluster-1"}
	for name, tt := range map[string]struct {
		environ []string
		want    string // problem; empty: none
		secret  string
	}{
		"a token":                   {append(names, "BROKKR__AGENT__JOIN_TOKEN="+token+"\n"), "", "brokkr-agent-edge-1"},
		"a token, another Secret":   {append(names, "BROKKR__AGENT__JOIN_TOKEN="+token, "BROKKR__AGENT__KEY_SECRET=key"), "", "key"},
		"the name alone":            {names[:1], "", "brokkr-agent-edge-1"},
		"the Secret alone":          {[]string{"BROKKR__AGENT__KEY_SECRET=key"}, "", "key"},
		"a token without a name":    {[]string{"BROKKR__AGENT__JOIN_TOKEN=" + token, "BROKKR__AGENT__CLUSTER_NAME=c"}, "agent.name is empty: set BROKKR__AGENT__NAME", ""},
		"a token without a cluster": {[]string{"BROKKR__AGENT__JOIN_TOKEN=" + token, "BROKKR__AGENT__NAME=edge-1"}, "agent.cluster_name is empty", ""},
		"a token that is none":      {append(names, "BROKKR__AGENT__JOIN_TOKEN=brokkr_topsecret"), "agent.join_token is not a join token", ""},
		"a name with blanks":        {[]string{"BROKKR__AGENT__NAME=Edge 1"}, `agent.key_secret is empty, and "brokkr-agent-Edge 1", after agent.name, is not a name that a Secret can have: set BROKKR__AGENT__KEY_SECRET`, ""},
		"a Secret with blanks":      {[]string{"BROKKR__AGENT__KEY_SECRET=a key"}, `agent.key_secret is "a key", not a name`, ""},
	} {
		s, err := load(append(tt.environ[:len(tt.environ):len(tt.environ)], "BROKKR__AGENT__PAK=")...)
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%s: got %v, want %q", name, err, tt.want)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case s.Secret() != tt.secret || strings.TrimSpace(s.Token()) != s.Token():
			t.Errorf("%s: got Secret %q, token %q", name, s.Secret(), s.Token())
		case strings.Contains(fmt.Sprint(config.Effective(s), s), "GK3QN7"):
			t.Errorf("%s: the log has the token", name)
		}
	}
}

func TestProtectedNamespaces(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none.yaml")
	if err := os.WriteFile(none, []byte("agent: {protected_namespaces: []}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"a namespace of its own":                  {[]string{"BROKKR__AGENT__NAMESPACE=brokkr"}, "[kube-system brokkr]"},
		"where objects go that name none":         {[]string{"BROKKR__AGENT__NAMESPACE=default"}, "[kube-system]"},
		"in the system's":                         {[]string{"BROKKR__AGENT__NAMESPACE=kube-system"}, "[kube-system]"},
		"an agent that has but one":               {[]string{"BROKKR__AGENT__NAMESPACE=team", "BROKKR__AGENT__NAMESPACED=true"}, "[]"},
		"an agent that has but one, and its list": {[]string{"BROKKR__AGENT__NAMESPACE=team", "BROKKR__AGENT__NAMESPACED=true", "BROKKR__AGENT__PROTECTED_NAMESPACES=team"}, "[team]"},
		"a list":  {[]string{"BROKKR__AGENT__NAMESPACE=brokkr", "BROKKR__AGENT__PROTECTED_NAMESPACES=kube-system,vault"}, "[kube-system vault]"},
		"nothing": {[]string{"BROKKR__AGENT__NAMESPACE=brokkr", "BROKKR_CONFIG_FILE=" + none}, "[]"},
	} {
		s, err := load(tt.environ...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := fmt.Sprint(s.Protected("default")); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestOwnNamespace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "namespace")
	if got, err := ownNamespace(path); got != "brokkr-system" || err != nil {
		t.Errorf("outside of a pod: got %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("team-a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ownNamespace(path); got != "team-a" || err != nil {
		t.Errorf("in a pod: got %q, %v", got, err)
	}
	if _, err := ownNamespace(t.TempDir()); err == nil {
		t.Error("what cannot be read is taken for an absent file")
	}
}

func TestTheLogHasEverythingButTheKey(t *testing.T) {
	t.Parallel()
	s, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(config.Effective(s), s, *s); strings.Contains(text, "GK3QN7") || !strings.Contains(text, "http://broker:3000") {
		t.Errorf("got %s", text)
	}
}

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	keys := config.Keys(&Settings{})
	for _, key := range keys {
		if !strings.Contains(string(page), "| `"+key+"` |") {
			t.Errorf("docs/configuration.md does not have %s", key)
		}
	}
	for _, row := range strings.Split(string(page), "\n") {
		rest, isRow := strings.CutPrefix(row, "| `agent.")
		name, _, _ := strings.Cut(rest, "`")
		if isRow && !slices.Contains(keys, "agent."+name) {
			t.Errorf("docs/configuration.md has agent.%s, which the agent does not have", name)
		}
	}
}
