package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A shelf is a partition for what is taken in one hour. Its name says which.
const (
	shelfWidth  = time.Hour
	shelfFormat = "2006010215"
)

// shelved are the tables whose partitions are shelves.
func shelved() []string { return []string{"k8s_events", "pod_logs"} }

func shelfName(table string, at time.Time) string {
	return table + "_" + at.UTC().Truncate(shelfWidth).Format(shelfFormat)
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
	makeShelf   = `CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`
	attachShelf = `ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`
	dropShelf   = `DROP TABLE %s`
)

// shelve makes sure that what is taken at the moment at has its shelves. It asks once an hour and process.
func (s *Store) shelve(ctx context.Context, at time.Time) error {
	hour := at.UTC().Truncate(shelfWidth)
	if s.shelf.Load() == hour.Unix() {
		return nil
	}
	if err := s.inTransaction(ctx, func(ctx context.Context, in session) error { return in.makeShelves(ctx, hour, hour) }); err != nil {
		return err
	}
	s.shelf.Store(hour.Unix())
	return nil
}

// makeShelves makes those that are missing, from one hour to another.
func (s session) makeShelves(ctx context.Context, from, to time.Time) error {
	if _, err := s.exec(ctx, "limit locks", limitLocks); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "lock shelves", lockShelves, int64(makingShelves)); err != nil {
		return err
	}
	for hour := from.UTC().Truncate(shelfWidth); !hour.After(to); hour = hour.Add(shelfWidth) {
		for _, table := range shelved() {
			name := shelfName(table, hour)
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
			bounds := fmt.Sprintf(attachShelf, name, table, hour.Format(time.RFC3339), hour.Add(shelfWidth).Format(time.RFC3339))
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
		if err := in.makeShelves(ctx, until.Add(-shelfWidth), until); err != nil {
			return err
		}
		_, err := in.exec(ctx, "drop marks", dropMarks, micro(before))
		return err
	})
	if err != nil {
		return 0, err
	}
	var old []string
	for _, table := range shelved() {
		names, err := many[string](ctx, r.s, "list shelves", listShelves, table)
		if err != nil {
			return 0, err
		}
		// A shelf holds what is older than its name plus an hour.
		first := shelfName(table, before)
		old = append(old, slices.DeleteFunc(names, func(n string) bool { return n >= first })...)
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
