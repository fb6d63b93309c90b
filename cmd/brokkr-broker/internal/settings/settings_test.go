package settings_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/settings"
	"github.com/colliery-io/brokkr/pkg/platform/config"
)

func noVariable(string) string { return "" }

func load(environ ...string) (*settings.Settings, error) {
	return settings.Load(append(environ, "DATABASE_URL=postgres://h/d"), noVariable, nil)
}

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	s, err := load()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	keys := append(config.Keys(s), "api.addr", "gateway.addr", "scheduler.addr",
		"api.tls_cert", "api.tls_key", "gateway.tls_cert", "gateway.tls_key", "gateway.tls_client_ca") // those of the processes apart
	for _, key := range keys {
		if !strings.Contains(string(page), "| `"+key+"` |") {
			t.Errorf("docs/configuration.md does not have %s", key)
		}
	}
	for _, row := range strings.Split(string(page), "\n") {
		rest, isRow := strings.CutPrefix(row, "| `")
		key, _, _ := strings.Cut(rest, "`")
		if isRow && !strings.HasPrefix(key, "agent.") && !slices.Contains(keys, key) {
			t.Errorf("docs/configuration.md has %s, which no server has", key)
		}
	}
}

func TestWhatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load("BROKKR__LIMITS__BODY=1", "BROKKR__GATEWAY__AUTH_FAILURES=0", "BROKKR__SCHEDULER__POLL=1", "BROKKR__BROKER__ADR=:1", "BROKKR__BROKER__ADDR=", "BROKKR__CORS__ORIGINS=*", "BROKKR__BROKER__TLS_KEY=/k", "BROKKR__BROKER__TLS_CLIENT_CA=/c")
	for _, want := range []string{"limits.body is 1 bytes", "gateway.auth_failures is 0", `scheduler.poll (BROKKR__SCHEDULER__POLL) is "1", not a duration`, "broker.adr (BROKKR__BROKER__ADR) is not a setting; broker has addr", "broker.addr is empty", "cors.origins has an origin that cannot be allowed",
		"broker.tls_key and broker.tls_cert belong together", "broker.tls_client_ca is set without broker.tls_cert"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func TestOneEnvironmentServesSeveralPrograms(t *testing.T) {
	t.Parallel()
	if _, err := load("BROKKR__API__ADDR=:1", "BROKKR__GATEWAY__ADDR=:2", "BROKKR__GATEWAY__TLS_CERT=/x", "BROKKR__GATEWAY__TLS_CLIENT_CA=/x", "BROKKR__SCHEDULER__ADDR=:3", "BROKKR__AGENT__PAK=x"); err != nil {
		t.Errorf("got %v, want the other programs' settings ignored", err)
	}
}

func TestStateDir(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ []string
		flags   map[string]any
		want    string
	}{
		"Default":  {nil, nil, "/state/brokkr"},
		"Flag":     {[]string{"BROKKR__BROKER__STATE_DIR=/env"}, map[string]any{"broker.state_dir": "/flag"}, "/flag"},
		"NotAsked": {[]string{"DATABASE_URL=postgres://h/d"}, nil, ""},
	} {
		s, err := settings.Load(tt.environ, func(name string) string { return map[string]string{"XDG_STATE_HOME": "/state"}[name] }, tt.flags)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Broker.StateDir; got != tt.want && (name != "Default" || got != "/var/lib/brokkr") { // that is root's
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
