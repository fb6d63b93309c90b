package wiring_test

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/services/scheduler/internal/wiring"
)

// The whole process serves while its Redis is away, and says what it misses; where things are is for the log alone.
func TestProcess(t *testing.T) {
	t.Parallel()
	away := testenv.Nobody(t)
	addr, logs := testenv.Serve(t, wiring.Main, "scheduler (scheduler.addr)", "DATABASE_URL="+testenv.Postgres(t), "REDIS_URL=redis://"+away,
		"BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=off", "BROKKR__SCHEDULER__ADDR=127.0.0.1:0")
	for path, want := range map[string]string{"/healthz": "OK", "/readyz": "Ready"} {
		if status, body := testenv.Ask(t, "http://"+addr+path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want 200 %s", path, status, body, want)
		}
	}
	if _, body := testenv.Ask(t, "http://"+addr+"/metrics"); !strings.Contains(body, "brokkr_scheduler_shards_held") {
		t.Errorf("metrics without the shards that it holds:\n%.2000s", body)
	}
	status, body := testenv.Ask(t, "http://"+addr+"/health")
	if status != http.StatusOK || !strings.Contains(body, `"status":"degraded"`) || !strings.Contains(body, `"name":"signals","status":"failing"`) {
		t.Errorf("/health: %d %s, want 200, degraded by its signals", status, body)
	}
	if strings.Contains(body, away) {
		t.Errorf("/health tells everybody where Redis is: %s", body)
	}
	if said := logs.String(); !strings.Contains(said, away) {
		t.Errorf("the log does not say which Redis is away:\n%s", said)
	}
}

func TestAStartThatCannotSucceedSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	database := testenv.Postgres(t)
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"no database": {nil, "configuration: no database: set DATABASE_URL"},
		"absent":      {[]string{"BROKKR__SECRETS__KEYS=plaintext", "DATABASE_URL=postgres://u@127.0.0.1:1/x"}, "cannot reach PostgreSQL at 127.0.0.1:1"},
		"setting":     {[]string{"BROKKR__SCHEDULER__ADR=x"}, "configuration: scheduler.adr (BROKKR__SCHEDULER__ADR) is not a setting; scheduler has "},
		"several":     {[]string{"BROKKR__SCHEDULER__ADDR=", "LOG_LEVEL=loud"}, "configuration: log.level is \"loud\", not debug, info, warn or error\nno database: "},
		"others too":  {[]string{"BROKKR__AGENT__PAK=x", "BROKKR__API__ADDR=x", "BROKKR__BROKER__STATE_DIR=x", "BROKKR__LIMITS__BODY=1"}, "configuration: no database: "},
		"redis":       {[]string{"REDIS_URL=localhost:6379"}, "configuration: redis.url is not a redis:// or rediss:// URL"},
		"taken port":  {[]string{"DATABASE_URL=" + database, "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=off", "BROKKR__SCHEDULER__ADDR=" + taken.Addr().String()}, "scheduler (scheduler.addr): address " + taken.Addr().String() + " is in use"},
		"taken admin": {[]string{"DATABASE_URL=" + database, "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=" + taken.Addr().String()}, "admin (admin.addr): address " + taken.Addr().String() + " is in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			err := wiring.Main(t.Context(), "1.2.3", tt.environ, &logs)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that begins with %q", err, tt.want)
			}
		})
	}
}
