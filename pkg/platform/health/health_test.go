package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/health"
)

// component can be broken or made to hang.
type component struct {
	broken, hangs atomic.Bool
	takes         time.Duration
	asked         atomic.Int64
}

func (c *component) probe(ctx context.Context) error {
	c.asked.Add(1)
	if c.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(c.takes)
	if c.broken.Load() {
		return errors.New("it is broken")
	}
	return nil
}

func get(h http.HandlerFunc) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	return rec
}

func TestReadyDependsOnRequiredComponentsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var database, cache component
		c := health.New("1.2.3", slog.New(slog.DiscardHandler),
			health.Check{Name: "database", Required: true, Reason: "database unavailable", Probe: database.probe},
			health.Check{Name: "cache", Reason: "cache unavailable", Probe: cache.probe})
		check := func(what string, rec *httptest.ResponseRecorder, status int, body string) {
			t.Helper()
			if rec.Code != status || (body != "" && rec.Body.String() != body) {
				t.Errorf("%s: got %d %q, want %d %q", what, rec.Code, rec.Body, status, body)
			}
			if again := rec.Header().Get("Retry-After"); (again != "") != (status == http.StatusServiceUnavailable) {
				t.Errorf("%s: a %d with Retry-After %q", what, rec.Code, again)
			}
		}
		check("all well", get(c.Ready), http.StatusOK, "Ready")
		cache.broken.Store(true)
		time.Sleep(2 * time.Second)
		check("an optional one broken", get(c.Ready), http.StatusOK, "Ready")
		check("detail", get(c.Detail), http.StatusOK, "")
		database.broken.Store(true)
		check("within two seconds", get(c.Ready), http.StatusOK, "Ready")
		time.Sleep(2 * time.Second)
		check("a required one broken", get(c.Ready), http.StatusServiceUnavailable, "database unavailable")
		check("live", get(c.Live), http.StatusOK, "OK")
		check("detail", get(c.Detail), http.StatusServiceUnavailable, "")
		database.broken.Store(false)
		time.Sleep(2 * time.Second)
		check("mended", get(c.Ready), http.StatusOK, "Ready")
		c.Drain()
		check("draining", get(c.Ready), http.StatusServiceUnavailable, "shutting down")
		check("live in a drain", get(c.Live), http.StatusOK, "OK")
	})
}

// In real time: who waits for a round waits for a lock, and virtual time stands still then.
func TestAHangingComponentCostsBoundedTimeAndIsAskedOnce(t *testing.T) {
	t.Parallel()
	var database component
	database.hangs.Store(true)
	c := health.New("v", slog.New(slog.DiscardHandler), health.Check{Name: "database", Required: true, Reason: "database unavailable", Probe: database.probe})
	began := time.Now()
	done := make(chan int, 20)
	for range cap(done) {
		go func() { done <- get(c.Ready).Code }()
	}
	for range cap(done) {
		if code := <-done; code != http.StatusServiceUnavailable {
			t.Errorf("got %d, want 503", code)
		}
	}
	if took := time.Since(began); took > 2500*time.Millisecond || database.asked.Load() != 1 {
		t.Errorf("20 questions took %s and asked %d times, want about 750ms and once", took, database.asked.Load())
	}
}

func TestDetailShowsEachComponentAndItsLastError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := component{takes: 3 * time.Millisecond}
		cache.broken.Store(true)
		c := health.New("1.2.3", slog.New(slog.DiscardHandler), health.Check{Name: "cache", Probe: cache.probe})
		read := func() (out struct {
			Status        string             `json:"status"`
			Version       string             `json:"version"`
			UptimeSeconds int64              `json:"uptime_seconds"`
			Time          time.Time          `json:"time"`
			Components    []health.Component `json:"components"`
		}) {
			if err := json.Unmarshal(get(c.Detail).Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		first := read()
		if !first.Time.Equal(time.Now()) {
			t.Errorf("its time is %s, want now", first.Time)
		}
		if first.Status != "degraded" || first.Version != "1.2.3" || first.Components[0].Error != "it is broken" {
			t.Errorf("got %+v, want degraded with the error", first)
		}
		cache.broken.Store(false)
		time.Sleep(3 * time.Second)
		second := read()
		got := second.Components[0]
		if second.Status != "ok" || second.UptimeSeconds != 3 || got.Error != "" || got.LastError != "it is broken" || got.FailedAt == nil || got.LatencyMS != 3 {
			t.Errorf("got %+v, want ok with the last error kept, and how long it took", second)
		}
	})
}

// What everybody may read does not say where a component is; the log does, once when it begins to fail and once when it works again.
func TestWhereAComponentIsIsForTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		var failing atomic.Bool
		c := health.New("1.2.3", slog.New(slog.NewTextHandler(&logs, nil)), health.Check{Name: "database", Required: true, Private: true, Reason: "database unavailable",
			Probe: func(context.Context) error {
				if failing.Load() {
					return errors.New("10.1.2.3:5432 refuses user brokkr")
				}
				return nil
			}})
		round := func() string {
			time.Sleep(2 * time.Second)
			return get(c.Detail).Body.String()
		}
		if body := round(); !strings.Contains(body, `"status":"ok"`) || logs.Len() != 0 {
			t.Errorf("all well: %s, and the log says %q", body, logs.String())
		}
		failing.Store(true)
		for range 3 {
			if body := round(); strings.Contains(body, "10.1.2.3") || strings.Contains(body, "user") || !strings.Contains(body, `"error":"database unavailable"`) {
				t.Errorf("it shows %s, want the reason alone", body)
			}
		}
		if said := logs.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "10.1.2.3:5432 refuses user brokkr") {
			t.Errorf("the log says %q, want one line with the cause", said)
		}
		failing.Store(false)
		if body := round(); strings.Contains(body, "10.1.2.3") || !strings.Contains(body, `"last_error":"database unavailable"`) {
			t.Errorf("afterwards it shows %s, want the reason as the last error", body)
		}
		round()
		if said := logs.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "works again") {
			t.Errorf("the log says %q, want one more line", said)
		}
	})
}
