package app

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Reloader reads the configuration of this process anew and puts into force what may change while it runs: all, or nothing.
type Reloader func(ctx context.Context) Reload

// Reload is what became of it.
type Reload struct {
	At      time.Time
	Done    bool // false: nothing was changed, Message says why
	Changes []SettingChange
	Restart []string // keys that need a restart
	Message string
}

// SettingChange is a setting as its user writes it, before and after, secrets redacted.
type SettingChange struct{ Key, Old, New string }

// ReloadConfiguration reloads the configuration of this process; Unavailable, code config_reload_disabled, if it has no file.
// A configuration that is not valid changes nothing and is no error: the answer says so.
func (a *App) ReloadConfiguration(ctx context.Context) (Reload, error) {
	if a.Reload == nil {
		return Reload{}, fault.New(fault.Unavailable, "config_reload_disabled",
			"this process has no configuration file to read again: name one in BROKKR_CONFIG_FILE and start it anew")
	}
	out := a.Reload(ctx)
	out.At = a.now()
	if !out.Done {
		return out, nil
	}
	e := audit.Did(audit.ConfigReloaded, "", nil, nil).With("changes", strconv.Itoa(len(out.Changes)))
	for _, c := range out.Changes {
		e = e.With(c.Key, c.Old+" -> "+c.New)
	}
	if len(out.Restart) > 0 {
		e = e.With("needs_restart", strings.Join(out.Restart, ", "))
	}
	return out, a.write(ctx, func(ctx context.Context, tx ports.Repositories) error { return a.did(ctx, tx, e) })
}
