package process_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/process"
)

// told is a configuration that tells of each reload.
type told struct {
	outcome config.Outcome
	asked   chan struct{}
}

func (c told) Reload() config.Outcome {
	c.asked <- struct{}{}
	return c.outcome
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func reloading(t *testing.T, o config.Outcome) (*process.Process, *process.Reloader, told, *lines) {
	t.Helper()
	log := &lines{}
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "x", Output: log})
	if err != nil {
		t.Fatal(err)
	}
	c := told{outcome: o, asked: make(chan struct{}, 1)}
	p := &process.Process{Name: "brokkr-x", Telemetry: tel, Group: &lifecycle.Group{Log: tel.Log}}
	return p, p.AddReload(c), c, log
}

func TestSIGHUPReloads(t *testing.T) {
	p, _, c, log := reloading(t, config.Outcome{Changes: []config.Change{{Key: "log.level", Old: "info", New: "debug"}}, Restart: []string{"redis.url"}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Group.Run(ctx) }()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.asked:
	case <-time.After(10 * time.Second):
		t.Error("SIGHUP did not reload")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"changes":{"log.level":{"old":"info","new":"debug"}}`, `need a restart","service":"x","keys":["redis.url"]`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
}

func TestAReloadIsLoggedAndCounted(t *testing.T) {
	t.Parallel()
	p, r, c, log := reloading(t, config.Outcome{Err: errors.New("log.level is loud")})
	if out := r.Reload(t.Context()); out.Err == nil || len(c.asked) != 1 || !strings.Contains(log.String(), `nothing was changed","service":"x","error":"log.level is loud"`) {
		t.Errorf("got %+v, log %s", out, log)
	}
	families, err := p.Telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "brokkr_config_reloads_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if want := map[string]float64{"failed": 1, "reloaded": 0}[m.GetLabel()[0].GetValue()]; m.GetCounter().GetValue() != want {
				t.Errorf("%v, want %v", m, want)
			}
		}
		return
	}
	t.Error("reloads are not counted")
}

func TestTheLogLevelChangesWhileTheProcessRuns(t *testing.T) {
	t.Parallel()
	p, _, _, log := reloading(t, config.Outcome{})
	common := process.Defaults(process.Off)
	common.Log.Level = "debug"
	p.Telemetry.Log.DebugContext(t.Context(), "before")
	set, err := p.LogLevel(common)
	if err != nil {
		t.Fatal(err)
	}
	p.Telemetry.Log.DebugContext(t.Context(), "prepared")
	set()
	p.Telemetry.Log.With("a", 1).DebugContext(t.Context(), "after")
	if got := log.String(); strings.Contains(got, "before") || strings.Contains(got, "prepared") || !strings.Contains(got, "after") {
		t.Errorf("got %s", got)
	}
	common.Log.Level = "loud"
	if _, err := p.LogLevel(common); err == nil {
		t.Error("a level that is none was taken")
	}
}
