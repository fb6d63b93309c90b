// Package window reads maintenance windows: from each moment that a cron expression names, for a while.
package window

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

// horizon is how far ahead a next opening is looked for. Within it lies every day that a cron expression can name.
const horizon = 5 * 366

// Opening is whether waves may begin now. Changes is when that ends or begins; zero: not within years.
type Opening struct {
	Open    bool
	Changes time.Time
}

// At says whether one of the windows is open at now; without windows it always is. Zone returns the time zone of a name
// (time.LoadLocation). A window that cannot be read is Invalid.
func At(windows []policy.Window, now time.Time, zone func(name string) (*time.Location, error)) (Opening, error) {
	if len(windows) == 0 {
		return Opening{Open: true}, nil
	}
	var out Opening
	for _, w := range windows {
		c, err := Parse(w.Cron)
		if err != nil {
			return Opening{}, err
		}
		d := time.Duration(w.Duration)
		if d <= 0 {
			return Opening{}, fault.Newf(fault.Invalid, "invalid_window", "the window %q has no duration", w.Cron)
		}
		loc := time.UTC
		if w.Timezone != "" {
			if loc, err = zone(w.Timezone); err != nil {
				return Opening{}, fault.Newf(fault.Invalid, "invalid_window", "the time zone %q is not known", w.Timezone).Because(err)
			}
		}
		local := now.In(loc)
		if began := c.Last(local, local.Add(-d)); !began.IsZero() { // one that is longer than the time between two moments is always open
			if end := began.Add(d); !out.Open || end.After(out.Changes) {
				out = Opening{Open: true, Changes: end.UTC()}
			}
			continue
		}
		if next := c.Next(local); !out.Open && !next.IsZero() && (out.Changes.IsZero() || next.Before(out.Changes)) {
			out.Changes = next.UTC()
		}
	}
	return out, nil
}
