package postgres

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/lib/pq"
	"golang.org/x/sync/errgroup"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Commit implements ports.Decisions. Everything that the decisions rest on is locked and checked before anything is written:
// leases and agents and stacks shared, so that nobody can take them away meanwhile, and the stacks' placements alone; rows of a kind
// in the order of their ids. The statements are as many for a hundred decisions as for one.
func (r decisions) Commit(ctx context.Context, commits ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	if len(commits) == 0 {
		return map[agent.ID]delivery.Revision{}, nil
	}
	records, err := r.s.pack(commits) // before anything is locked
	if err != nil {
		return nil, err
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) (map[agent.ID]delivery.Revision, error) {
		if err := in.checkLeases(ctx, commits); err != nil {
			return nil, err
		}
		if err := in.checkStacks(ctx, commits); err != nil {
			return nil, err
		}
		rows := changesOf(commits)
		if err := in.checkChanges(ctx, rows); err != nil {
			return nil, err
		}
		grown, err := in.assign(ctx, rows)
		if err != nil {
			return nil, err
		}
		if err := in.checkRooms(ctx, grown, commits); err != nil {
			return nil, err
		}
		revisions := make(map[agent.ID]delivery.Revision, len(grown))
		for id, row := range grown {
			revisions[id] = row.Revision
		}
		return revisions, in.record(ctx, records)
	})
}

const lockLease = `SELECT 1 FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 AND until > clock_timestamp() FOR SHARE`

func lost(l ports.Lease) error {
	return fault.Newf(fault.Conflict, "lease_lost", "lease %s is not held by %s in epoch %d", l.Name, l.Holder, l.Epoch)
}

func (s session) checkLease(ctx context.Context, l ports.Lease) error {
	_, err := one[int](ctx, s, "lock lease", lost(l), lockLease, l.Name, l.Holder, l.Epoch)
	return err
}

const lockLeases = `SELECT l.name FROM leases l JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS w (name, holder, epoch)
		ON w.name = l.name AND w.holder = l.holder AND w.epoch = l.epoch
	WHERE l.until > clock_timestamp() ORDER BY l.name FOR SHARE OF l`

func (s session) checkLeases(ctx context.Context, commits []ports.Commit) error {
	var wanted []ports.Lease
	for _, c := range commits {
		if !slices.ContainsFunc(wanted, func(l ports.Lease) bool {
			return l.Name == c.Lease.Name && l.Holder == c.Lease.Holder && l.Epoch == c.Lease.Epoch
		}) {
			wanted = append(wanted, c.Lease)
		}
	}
	if len(wanted) == 1 {
		return s.checkLease(ctx, wanted[0])
	}
	held, err := many[string](ctx, s, "lock leases", lockLeases, column(wanted, func(l ports.Lease) string { return l.Name }),
		column(wanted, func(l ports.Lease) string { return l.Holder }), column(wanted, func(l ports.Lease) int64 { return l.Epoch }))
	if err != nil {
		return err
	}
	names := make(map[string]int, len(wanted))
	for _, l := range wanted {
		names[l.Name]++ // one that is wanted of two holders, or in two epochs, is not held by one of them
	}
	for _, l := range wanted {
		if !slices.Contains(held, l.Name) || names[l.Name] > 1 {
			return lost(l)
		}
	}
	return nil
}

const lockPlacements = `SELECT s.id AS subject_id, s.version, p.generation, ` + refColumns + ` FROM stacks s JOIN stack_placements p ON p.stack_id = s.id` + reachStack + `
	WHERE s.id = ANY ($1::uuid[]) ORDER BY s.id FOR SHARE OF s FOR UPDATE OF p`

func (s session) checkStacks(ctx context.Context, commits []ports.Commit) error {
	type row struct {
		Stack      stack.ID `db:"subject_id"`
		Version    int64    `db:"version"`
		Generation int64    `db:"generation"`
		refRow
	}
	ids := make([]stack.ID, len(commits))
	for i, c := range commits {
		ids[i] = c.Stack
	}
	rows, err := many[row](ctx, s, "lock placements of stacks", lockPlacements, uids(ids))
	if err != nil {
		return err
	}
	found := make(map[stack.ID]row, len(rows))
	for _, r := range rows {
		found[r.Stack] = r
	}
	seen := make(map[stack.ID]bool, len(commits))
	for _, c := range commits {
		r, ok := found[c.Stack]
		switch {
		case !ok:
			return noStack(c.Stack)
		case seen[c.Stack]:
			return fault.Newf(fault.Invalid, "invalid_decision", "stack %s is decided twice at once", c.Stack)
		case r.Version != c.StackVersion:
			return stale("stack", c.Stack)
		case r.Generation != c.Generation:
			return stale("the decision of stack", c.Stack)
		case !policy.Same(r.ref(), c.Policy):
			return stale("the policy of stack", c.Stack)
		}
		seen[c.Stack] = true
	}
	return nil
}

// changeRow is a change of an assignment, with what it takes from its decision.
type changeRow struct {
	placement.Change
	Stack       stack.ID
	Traceparent string
	At          time.Time
}

// changesOf are the changes of all decisions, by agent and stack.
func changesOf(commits []ports.Commit) []changeRow {
	var out []changeRow
	for _, c := range commits {
		for _, ch := range c.Changes {
			out = append(out, changeRow{ch, c.Stack, c.Record.Traceparent, micro(c.Record.At)})
		}
	}
	slices.SortFunc(out, func(x, y changeRow) int { return cmp.Or(cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Stack, y.Stack)) })
	return out
}

const (
	lockAgents = `SELECT id, version FROM agents WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR SHARE`
	knownOf    = `SELECT id, stack_id FROM deployment_objects WHERE id = ANY ($1::uuid[])`
)

func (s session) checkChanges(ctx context.Context, changes []changeRow) error {
	if len(changes) == 0 {
		return nil
	}
	var agents []agent.ID
	objects := map[stack.ObjectID]stack.ID{}
	for _, ch := range changes {
		if n := len(agents); n == 0 || agents[n-1] != ch.Agent {
			agents = append(agents, ch.Agent)
		}
		objects[ch.Object] = ""
	}
	ids := make([]stack.ObjectID, 0, len(objects))
	for o := range objects {
		ids = append(ids, o)
	}
	rows, err := many[struct {
		ID      agent.ID `db:"id"`
		Version int64    `db:"version"`
	}](ctx, s, "lock agents", lockAgents, uids(agents))
	if err != nil {
		return err
	}
	versions := make(map[agent.ID]int64, len(rows))
	for _, row := range rows {
		versions[row.ID] = row.Version
	}
	known, err := many[struct {
		ID    stack.ObjectID `db:"id"`
		Stack stack.ID       `db:"stack_id"`
	}](ctx, s, "check deployment objects", knownOf, uids(ids))
	if err != nil {
		return err
	}
	for _, row := range known {
		objects[row.ID] = row.Stack
	}
	for i, ch := range changes {
		if v, live := versions[ch.Agent]; !live || v != ch.Version {
			return stale("agent", ch.Agent)
		}
		if objects[ch.Object] != ch.Stack {
			return noObject(ch.Object)
		}
		if i > 0 && changes[i-1].Agent == ch.Agent && changes[i-1].Stack == ch.Stack {
			return fault.Newf(fault.Invalid, "invalid_decision", "the decision changes agent %s twice", ch.Agent)
		}
	}
	return nil
}

// Empty texts stand for what there is none of.
const recordDecisions = `WITH c AS (
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::int[], $10::text[], $11::bigint[])
			AS c (stack_id, hold, object_id, packed, cause, traceparent, decided_at, followed, moves, blocked, fleet)),
	p AS (
		UPDATE stack_placements p SET generation = p.generation + 1, hold = nullif(c.hold, '')::jsonb, approved = 0, followed = nullif(c.followed, '')::jsonb, blocked = nullif(c.blocked, '')::jsonb,
			moved = ARRAY(SELECT t FROM unnest(p.moved) AS t WHERE t > c.decided_at - interval '1 hour' ORDER BY t) || array_fill(c.decided_at, ARRAY[c.moves])
		FROM c WHERE p.stack_id = c.stack_id
		RETURNING p.stack_id, p.generation)
	INSERT INTO decisions (stack_id, generation, object_id, fleet, packed, cause, traceparent, decided_at, day)
	SELECT p.stack_id, p.generation, nullif(c.object_id, '')::uuid, c.fleet, c.packed, c.cause, c.traceparent, c.decided_at,
		CASE WHEN c.decided_at >= $12::timestamptz AND c.decided_at < $12::timestamptz + interval '24 hours' THEN $12::timestamptz ELSE '-infinity' END
	FROM p JOIN c ON c.stack_id = p.stack_id`

// decidedRow is what is kept of a decision.
type decidedRow struct {
	ports.Commit
	hold, followed, blocked string
	packed                  placement.Packed
}

// packTogether is how many records are worth a goroutine.
const packTogether = 8

// pack makes the records as they are kept, by all cores: for large fleets that is most of what a commit has to do.
func (s session) pack(commits []ports.Commit) ([]decidedRow, error) {
	rows := make([]decidedRow, len(commits))
	parts := min(runtime.GOMAXPROCS(0), (len(commits)+packTogether-1)/packTogether)
	var all errgroup.Group
	for part := range parts {
		all.Go(func() error {
			p, ok := s.store.records.Get().(*placement.Packer)
			if !ok {
				p = new(placement.Packer)
			}
			defer s.store.records.Put(p)
			for i := part * len(commits) / parts; i < (part+1)*len(commits)/parts; i++ {
				var err error
				if rows[i], err = recorded(commits[i], p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // it is ours
	}
	return rows, nil
}

func (s session) record(ctx context.Context, rows []decidedRow) error {
	packed := make(pq.ByteaArray, len(rows))
	for i, r := range rows {
		packed[i] = r.packed.Rest
	}
	fleets, err := s.fleets(ctx, rows)
	if err != nil {
		return err
	}
	day, err := s.dayOf(ctx, rows)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "record decisions", recordDecisions,
		column(rows, func(r decidedRow) string { return string(r.Stack) }),
		column(rows, func(r decidedRow) string { return r.hold }),
		column(rows, func(r decidedRow) string { return string(r.Record.Object) }),
		packed,
		column(rows, func(r decidedRow) string { return printable(r.Record.Cause) }),
		column(rows, func(r decidedRow) string { return r.Record.Traceparent }),
		column(rows, func(r decidedRow) time.Time { return micro(r.Record.At) }),
		column(rows, func(r decidedRow) string { return r.followed }),
		column(rows, func(r decidedRow) int64 { return int64(r.Record.Decision.Moves) }),
		column(rows, func(r decidedRow) string { return r.blocked }),
		pq.Int64Array(fleets), day)
	return err
}

func recorded(c ports.Commit, p *placement.Packer) (decidedRow, error) {
	row := decidedRow{Commit: c}
	var err error
	if c.Hold != nil {
		h := *c.Hold
		h.Since = micro(h.Since)
		if row.hold, err = asJSON(h); err != nil {
			return row, err
		}
	}
	d := c.Record.Decision
	d.WakeAt = microPtr(d.WakeAt)
	if d.Hold != nil {
		h := *d.Hold
		h.Since = micro(h.Since)
		d.Hold = &h
	}
	if d.Policy != nil {
		if row.followed, err = asJSON(d.Policy); err != nil {
			return row, err
		}
	}
	if len(d.Blocked) > 0 {
		d.Blocked = placement.CopyBlocked(d.Blocked)
		for i := range d.Blocked {
			d.Blocked[i].Since = micro(d.Blocked[i].Since)
		}
		if row.blocked, err = asJSON(d.Blocked); err != nil {
			return row, err
		}
	}
	row.packed, err = p.Pack(d)
	return row, err
}
