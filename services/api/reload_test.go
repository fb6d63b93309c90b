package api_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/services/api"
)

type reloadAnswer struct {
	ReloadedAt time.Time `json:"reloaded_at"`
	Success    bool      `json:"success"`
	Changes    []struct {
		Key string `json:"key"`
		Old string `json:"old_value"`
		New string `json:"new_value"`
	} `json:"changes"`
	Restart []string `json:"needs_restart"`
	Message *string  `json:"message"`
}

func TestReloadAnswersWhatHasChangedAndLeavesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	w.reload = config.Outcome{Changes: []config.Change{{Key: "log.level", Old: "info", New: "debug"}}, Restart: []string{"redis.url"}}
	rec := w.checked(asAdmin, request{method: http.MethodPost, path: "/admin/config/reload"})
	got := decode[reloadAnswer](t, rec)
	if rec.Code != 200 || !got.Success || len(got.Changes) != 1 || got.Changes[0].Key != "log.level" || got.Changes[0].Old != "info" || got.Changes[0].New != "debug" ||
		got.ReloadedAt.IsZero() || got.Message == nil || *got.Message != "needs a restart: redis.url" {
		t.Errorf("%d: %s", rec.Code, rec.Body)
	}
	e := w.entries()[0]
	if d := cmp.Diff(map[string]string{"changes": "1", "log.level": "info -> debug", "needs_restart": "redis.url"}, e.Details); e.Action != audit.ConfigReloaded || d != "" {
		t.Errorf("%s: %s", e.Action, d)
	}
}

func TestAReloadThatFailsSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	before := len(w.entries())
	w.reload = config.Outcome{Err: errors.New(`configuration: log.level is "loud"`)}
	rec := w.checked(asAdmin, request{method: http.MethodPost, path: "/admin/config/reload"})
	got := decode[reloadAnswer](t, rec)
	if rec.Code != 200 || got.Success || len(got.Changes) != 0 || got.Message == nil || *got.Message != `nothing was changed: configuration: log.level is "loud"` {
		t.Errorf("%d: %s", rec.Code, rec.Body)
	}
	if n := len(w.entries()); n != before {
		t.Errorf("it left %d entries", n-before)
	}
}

func TestWithoutAFileThereIsNothingToReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	other := *w
	other.handler = w.handlerOf(w.store.(*memory.Store), func(d *api.Deps) { d.Reload = nil }) //nolint:forcetypeassert // newWorld made it
	rec := httptest.NewRecorder()
	other.handler.ServeHTTP(rec, w.build(asAdmin, request{method: http.MethodPost, path: "/admin/config/reload"}))
	if rec.Code != 503 || code(t, rec) != "config_reload_disabled" || rec.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}
