package process

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/colliery-io/brokkr/pkg/platform/config"
)

// Reloader reads the configuration of a process anew when it is asked to, or told by SIGHUP.
type Reloader struct {
	live interface{ Reload() config.Outcome }
	log  *slog.Logger
	note func(result string)
	hups chan os.Signal
}

// What became of a reload, in metrics.
const (
	reloaded    = "reloaded"
	notReloaded = "failed"
)

// AddReload makes the process reload live at each SIGHUP while it runs, and returns what does so at any other time.
func (p *Process) AddReload(live interface{ Reload() config.Outcome }) *Reloader {
	r := &Reloader{live: live, log: p.Telemetry.Log, hups: make(chan os.Signal, 1), note: p.Telemetry.CountBy(p.Name, "brokkr_config_reloads_total",
		"Reloads of the configuration by result.", "result", reloaded, notReloaded)}
	signal.Notify(r.hups, syscall.SIGHUP) // from now on it ends the process no more
	p.Group.Add("reload", r.run)
	return r
}

// LogLevel is the part of a live configuration that sets log.level.
func (p *Process) LogLevel(c Common) (commit func(), err error) {
	return p.Telemetry.LogLevel(c.Log.Level)
}

func (r *Reloader) run(ctx context.Context) error {
	defer signal.Stop(r.hups)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hups:
			r.Reload(ctx)
		}
	}
}

// Reload reads the configuration anew, puts into force what can be changed while the process runs, and logs what became of it.
func (r *Reloader) Reload(ctx context.Context) config.Outcome {
	out := r.live.Reload()
	if out.Err != nil {
		r.note(notReloaded)
		r.log.ErrorContext(ctx, "the configuration was not reloaded: nothing was changed", "error", out.Err.Error())
		return out
	}
	r.note(reloaded)
	changes := make([]any, 0, len(out.Changes))
	for _, c := range out.Changes {
		changes = append(changes, slog.Group(c.Key, "old", c.Old, "new", c.New))
	}
	r.log.InfoContext(ctx, "configuration reloaded", slog.Group("changes", changes...))
	if len(out.Restart) > 0 {
		r.log.WarnContext(ctx, "settings have changed that need a restart", "keys", out.Restart)
	}
	return out
}
