package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	closeDay = `LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE`
	// The newest record about a stack stays for as long as there is none that is newer.
	moveNewest = `UPDATE decisions SET day = '-infinity' WHERE day = $1 AND (stack_id, generation) IN (SELECT stack_id, generation FROM stack_placements)`
)

// dropDay drops the shelf of a day, but keeps the records in it that are the newest about their stacks: among what has no day. Nobody
// writes to the day meanwhile.
func (s session) dropDay(ctx context.Context, name string) error {
	day, err := time.Parse(days().format, strings.TrimPrefix(name, "decisions_"))
	if err != nil {
		return fmt.Errorf("read the day of shelf %s: %w", name, err)
	}
	if _, err := s.exec(ctx, "limit locks", limitLocks); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "close day of decisions", fmt.Sprintf(closeDay, name)); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "keep newest decisions", moveNewest, micro(day)); err != nil {
		return err
	}
	s.store.day.CompareAndSwap(day.Unix(), 0)
	_, err = s.exec(ctx, "drop day of decisions", fmt.Sprintf(dropShelf, name))
	return err
}

// dayOf returns the day whose shelf is there for these records, as far as they are of the same day as the newest of them: what is of
// another day, or of one without a shelf, goes to what has no day. So a commit makes no table, and fails for want of none. It asks
// once a day and process.
func (s session) dayOf(ctx context.Context, rows []decidedRow) (time.Time, error) {
	var newest time.Time
	for _, r := range rows {
		if r.Record.At.After(newest) {
			newest = r.Record.At
		}
	}
	day := days().of(newest)
	if s.store.day.Load() == day.Unix() {
		return day, nil
	}
	is, err := one[bool](ctx, s, "look for day of decisions", nil, hasTable, days().name("decisions", day))
	if err != nil || !is {
		return time.Unix(0, 0), err // no record is of that day
	}
	s.store.day.Store(day.Unix())
	return day, nil
}
