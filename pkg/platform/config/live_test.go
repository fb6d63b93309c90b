package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/platform/config"
)

// running is a process with a file: its address may change while it runs, everything else may not.
type running struct {
	live *config.Live[settings]
	path string
	addr string
	bad  error // what its second part says
}

func run(t *testing.T, content string) *running {
	t.Helper()
	r := &running{path: write(t, "c.yaml", content)}
	load := func() (*settings, error) {
		s := &settings{}
		s.Server.Addr = "default"
		return s, config.Load(s, config.Source{Environ: []string{config.FileVariable + "=" + r.path}})
	}
	s, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r.addr = s.Server.Addr
	r.live = config.NewLive(s, load)
	r.live.On(func(next *settings) (func(), error) { return func() { r.addr = next.Server.Addr }, nil }, "server.addr")
	r.live.On(func(*settings) (func(), error) { return func() {}, r.bad }, "database.url")
	return r
}

func (r *running) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(r.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReloadPutsIntoForceWhatCanBeAndNamesTheRest(t *testing.T) {
	t.Parallel()
	r := run(t, "server: {addr: a, wait: 1s}\ndatabase: {url: canary1}\n")
	r.write(t, "server: {addr: b, wait: 2s}\ndatabase: {url: canary2}\n")
	for range 2 { // what needs a restart is told as long as it does
		out := r.live.Reload()
		if r.addr != "b" || out.Err != nil || !cmp.Equal(out.Restart, []string{"server.wait"}) || out.Message() != "needs a restart: server.wait" {
			t.Errorf("address %s, %+v", r.addr, out)
		}
		want := []config.Change{{Key: "server.addr", Old: "a", New: "b"}, {Key: "database.url", Old: "***", New: "***"}}
		if d := cmp.Diff(want, out.Changes); d != "" {
			t.Error(d)
		}
		r.write(t, "server: {addr: a, wait: 2s}\ndatabase: {url: canary1}\n")
		if out := r.live.Reload(); len(out.Changes) != 2 || r.addr != "a" {
			t.Errorf("back again: %+v", out)
		}
		r.write(t, "server: {addr: b, wait: 2s}\ndatabase: {url: canary2}\n")
	}
	r.write(t, "server: {addr: a, wait: 1s}\ndatabase: {url: canary1}\n")
	if out := r.live.Reload(); out.Message() != "nothing has changed" {
		t.Errorf("got %+v, want nothing", out)
	}
}

func TestAReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	r := run(t, "server: {addr: a}\n")
	for want, content := range map[string]string{"server.addr is bad": "server: {addr: bad}\n", "server.odd": "server: {addr: b, odd: 1}\n", "yaml: line": "server: [\n"} {
		r.write(t, content)
		out := r.live.Reload()
		if r.addr != "a" || out.Err == nil || !strings.Contains(out.Message(), "nothing was changed: ") || !strings.Contains(out.Message(), want) {
			t.Errorf("%s: address %s, %+v", want, r.addr, out)
		}
	}
	r.write(t, "server: {addr: b}\n")
	r.bad = errors.New("no such certificate")
	if out := r.live.Reload(); r.addr != "a" || !errors.Is(out.Err, r.bad) || len(out.Changes) != 0 {
		t.Errorf("a part that cannot: address %s, %+v", r.addr, out)
	}
	r.bad = nil
	if out := r.live.Reload(); r.addr != "b" || len(out.Changes) != 1 || out.Message() != "" {
		t.Errorf("once it can: address %s, %+v", r.addr, out)
	}
}

func TestHasFile(t *testing.T) {
	t.Parallel()
	if config.HasFile(nil) || config.HasFile([]string{"BROKKR_CONFIG_FILE="}) || !config.HasFile([]string{"A=b", "BROKKR_CONFIG_FILE=x"}) {
		t.Error("a file is named by a value of BROKKR_CONFIG_FILE")
	}
}
