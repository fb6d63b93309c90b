package command_test

import (
	"strings"
	"testing"
)

func TestAdminReload(t *testing.T) {
	t.Parallel()
	post := "POST /admin/config/reload"
	for name, tt := range map[string]struct {
		args   string
		answer answer
		exit   int
	}{
		"admin-reload": {"admin reload", ok(`{"reloaded_at":"2026-08-02T12:00:00Z","success":true,"changes":[{"key":"log.level","old_value":"info","new_value":"debug"}],` +
			`"needs_restart":["redis.url","api.addr"],"message":"needs a restart: redis.url, api.addr"}`), 0},
		"admin-reload-json":     {"admin reload -o json", ok(`{"reloaded_at":"2026-08-02T12:00:00Z","success":true,"changes":[],"needs_restart":[],"message":"nothing has changed"}`), 0},
		"admin-reload-nothing":  {"admin reload", ok(`{"reloaded_at":"2026-08-02T12:00:00Z","success":true,"changes":[],"needs_restart":[],"message":"nothing has changed"}`), 0},
		"admin-reload-invalid":  {"admin reload", ok(`{"reloaded_at":"2026-08-02T12:00:00Z","success":false,"changes":[],"message":"nothing was changed: configuration: log.level (c.yaml) is \"loud\""}`), 1},
		"admin-reload-disabled": {"admin reload", refused(503, "config_reload_disabled", "this process has no configuration file to read again"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := run{routes: routes{post: {tt.answer}}, args: strings.Fields(tt.args)}.do(t)
			if res.exit != tt.exit {
				t.Errorf("exit %d, want %d", res.exit, tt.exit)
			}
			res.golden(t, t.Name())
		})
	}
}
