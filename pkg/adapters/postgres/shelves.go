package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// shelving is tables whose partitions, the shelves, each hold what is of one span of time (UTC). A shelf's name says which.
type shelving struct {
	width  time.Duration
	format string
	tables []string
}

// hours are the shelves of what is observed.
func hours() shelving { return shelving{time.Hour, "2006010215", []string{"k8s_events", "pod_logs"}} }

// days are the shelves of what is decided.
func days() shelving { return shelving{24 * time.Hour, "20060102", []string{"decisions"}} }

func (x shelving) of(at time.Time) time.Time { return at.UTC().Truncate(x.width) }

func (x shelving) name(table string, at time.Time) string {
	return table + "_" + x.of(at).Format(x.format)
}

// over returns the shelves of a table that hold nothing of before or later.
func (s session) over(ctx context.Context, x shelving, table string, before time.Time) ([]string, error) {
	names, err := many[string](ctx, s, "list shelves", listShelves, table)
	if err != nil {
		return nil, err
	}
	first := x.name(table, before)
	return slices.DeleteFunc(names, func(n string) bool { // those that are named for something else stay
		_, err := time.Parse(x.format, strings.TrimPrefix(n, table+"_"))
		return err != nil || n >= first
	}), nil
}

const (
	// makingShelves is the key of the lock under which shelves come and go: replicas would else meet in it.
	makingShelves = 0x62726f6b6b720c
	lockShelves   = `SELECT pg_advisory_xact_lock($1)`
	hasTable      = `SELECT to_regclass('public.' || $1) IS NOT NULL`
	listShelves   = `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY 1`
	dropMarks     = `DELETE FROM observation_marks WHERE updated_at < $1`

	limitLocks = `SET LOCAL lock_timeout = '2s'`
	// A table that is attached locks its parent far less than one that is made as its part.
	makeShelf   = `CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)`
	attachShelf = `ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`
	dropShelf   = `DROP TABLE %s`
)

// shelve makes sure that what is taken at the moment at has its shelves. It asks once an hour and process.
func (s *Store) shelve(ctx context.Context, at time.Time) error {
	hour := hours().of(at)
	if s.shelf.Load() == hour.Unix() {
		return nil
	}
	if err := s.inTransaction(ctx, func(ctx context.Context, in session) error { return in.makeShelves(ctx, hours(), hour, hour) }); err != nil {
		return err
	}
	s.shelf.Store(hour.Unix())
	return nil
}

// makeShelves makes those that are missing, from one moment to another.
func (s session) makeShelves(ctx context.Context, x shelving, from, to time.Time) error {
	if _, err := s.exec(ctx, "limit locks", limitLocks); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "lock shelves", lockShelves, int64(makingShelves)); err != nil {
		return err
	}
	for at := x.of(from); !at.After(to); at = at.Add(x.width) {
		for _, table := range x.tables {
			name := x.name(table, at)
			is, err := one[bool](ctx, s, "look for shelf", nil, hasTable, name)
			if err != nil {
				return err
			}
			if is {
				continue
			}
			if _, err := s.exec(ctx, "make shelf", fmt.Sprintf(makeShelf, name, table)); err != nil {
				return err
			}
			bounds := fmt.Sprintf(attachShelf, name, table, at.Format(time.RFC3339), at.Add(x.width).Format(time.RFC3339))
			if _, err := s.exec(ctx, "attach shelf", bounds); err != nil {
				return err
			}
		}
	}
	return nil
}

// Keep implements ports.Observations. Each shelf is dropped in a transaction of its own, which waits for readers no longer
// than two seconds: the rest is left for the next time.
func (r observations) Keep(ctx context.Context, before, until time.Time) (int, error) {
	err := r.s.atomically(ctx, func(ctx context.Context, in session) error {
		if err := in.makeShelves(ctx, hours(), until.Add(-hours().width), until); err != nil {
			return err
		}
		_, err := in.exec(ctx, "drop marks", dropMarks, micro(before))
		return err
	})
	if err != nil {
		return 0, err
	}
	var old []string
	for _, table := range hours().tables {
		names, err := r.s.over(ctx, hours(), table, before)
		if err != nil {
			return 0, err
		}
		old = append(old, names...)
	}
	for n, name := range old {
		err := r.s.atomically(ctx, func(ctx context.Context, in session) error {
			if _, err := in.exec(ctx, "limit locks", limitLocks); err != nil {
				return err
			}
			_, err := in.exec(ctx, "drop shelf", fmt.Sprintf(dropShelf, name))
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return len(old), nil
}
