package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// remind is after how long a trouble that lasts is said again.
const remind = 10 * time.Minute

// trouble is what keeps on failing. It is said once, again if its cause changes and after a long while, and once when it is over.
// It is one goroutine's.
type trouble struct {
	code  string // of the present failure; empty: there is none
	since time.Time
	until time.Time // when it is said again
}

// note takes the outcome of an attempt at what.
func (t *trouble) note(ctx context.Context, log *slog.Logger, now time.Time, what string, err error) {
	if err == nil {
		if t.code != "" {
			log.InfoContext(ctx, what+" works again", "since", t.since.UTC())
		}
		*t = trouble{}
		return
	}
	code := fault.CodeOf(err)
	if t.code == "" {
		t.since = now
	}
	if code != t.code || !now.Before(t.until) {
		log.WarnContext(ctx, what+" fails; it is tried again", "error", err.Error(), "code", code, "since", t.since.UTC())
		t.until = now.Add(remind)
	}
	t.code = code
}
