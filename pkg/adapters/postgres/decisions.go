package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type decisions struct{ s session }

// Commit implements ports.Decisions. Everything that the decision rests on is locked and checked before anything is
// written: lease and agents and the stack shared, so that nobody can take them away meanwhile, and the stack's placement alone.
func (r decisions) Commit(ctx context.Context, c ports.Commit) (map[agent.ID]delivery.Revision, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (map[agent.ID]delivery.Revision, error) {
		if err := in.checkLease(ctx, c.Lease); err != nil {
			return nil, err
		}
		if err := in.checkStack(ctx, c); err != nil {
			return nil, err
		}
		changes := slices.Clone(c.Changes)
		slices.SortFunc(changes, func(x, y placement.Change) int { return strings.Compare(string(x.Agent), string(y.Agent)) })
		if err := in.checkChanges(ctx, c.Stack, changes); err != nil {
			return nil, err
		}
		revisions, err := in.assign(ctx, c, changes)
		if err != nil {
			return nil, err
		}
		return revisions, in.record(ctx, c)
	})
}

const lockLease = `SELECT 1 FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 AND until > clock_timestamp() FOR SHARE`

func (s session) checkLease(ctx context.Context, l ports.Lease) error {
	lost := fault.Newf(fault.Conflict, "lease_lost", "lease %s is not held by %s in epoch %d", l.Name, l.Holder, l.Epoch)
	_, err := one[int](ctx, s, "lock lease", lost, lockLease, l.Name, l.Holder, l.Epoch)
	return err
}

const lockPlacement = `SELECT s.version, p.generation, ` + refColumns + ` FROM stacks s JOIN stack_placements p ON p.stack_id = s.id` + reachStack + `
	WHERE s.id = $1 FOR SHARE OF s FOR UPDATE OF p`

func (s session) checkStack(ctx context.Context, c ports.Commit) error {
	row, err := one[struct {
		Version    int64 `db:"version"`
		Generation int64 `db:"generation"`
		refRow
	}](ctx, s, "lock placement of stack", noStack(c.Stack), lockPlacement, uid(c.Stack))
	switch {
	case err != nil:
		return err
	case row.Version != c.StackVersion:
		return stale("stack", c.Stack)
	case row.Generation != c.Generation:
		return stale("the decision of stack", c.Stack)
	case !policy.Same(row.ref(), c.Policy):
		return stale("the policy of stack", c.Stack)
	}
	return nil
}

const (
	lockAgents = `SELECT id, version FROM agents WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR SHARE`
	knownOf    = `SELECT id FROM deployment_objects WHERE id = ANY ($1::uuid[]) AND stack_id = $2`
)

func (s session) checkChanges(ctx context.Context, id stack.ID, changes []placement.Change) error {
	if len(changes) == 0 {
		return nil
	}
	ids := make([]agent.ID, len(changes))
	objects := make([]stack.ObjectID, len(changes))
	for i, ch := range changes {
		ids[i], objects[i] = ch.Agent, ch.Object
	}
	rows, err := many[struct {
		ID      agent.ID `db:"id"`
		Version int64    `db:"version"`
	}](ctx, s, "lock agents", lockAgents, uids(ids))
	if err != nil {
		return err
	}
	versions := make(map[agent.ID]int64, len(rows))
	for _, row := range rows {
		versions[row.ID] = row.Version
	}
	known, err := many[stack.ObjectID](ctx, s, "check deployment objects", knownOf, uids(objects), uid(id))
	if err != nil {
		return err
	}
	for i, ch := range changes {
		if v, live := versions[ch.Agent]; !live || v != ch.Version {
			return stale("agent", ch.Agent)
		}
		if !slices.Contains(known, ch.Object) {
			return noObject(ch.Object)
		}
		if i > 0 && changes[i-1].Agent == ch.Agent {
			return fault.Newf(fault.Invalid, "invalid_decision", "the decision changes agent %s twice", ch.Agent)
		}
	}
	return nil
}

const assignAgents = `WITH grown AS (
		INSERT INTO agent_revisions AS r (agent_id, revision) SELECT a, 1 FROM unnest($1::uuid[]) AS a ORDER BY a
		ON CONFLICT (agent_id) DO UPDATE SET revision = r.revision + 1
		RETURNING r.agent_id, r.revision),
	put AS (
		INSERT INTO assignments (agent_id, stack_id, object_id, variant, state, revision, reason, traceparent, since)
		SELECT g.agent_id, $5, c.object_id, decode(nullif(c.variant, ''), 'hex'), c.state, g.revision, c.reason, $6, $7
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $8::text[]) AS c (agent_id, object_id, state, reason, variant)
		JOIN grown g ON g.agent_id = c.agent_id
		ON CONFLICT (agent_id, stack_id) DO UPDATE SET
			object_id = EXCLUDED.object_id, variant = EXCLUDED.variant, state = EXCLUDED.state, revision = EXCLUDED.revision, reason = EXCLUDED.reason,
			traceparent = EXCLUDED.traceparent, since = EXCLUDED.since)
	SELECT agent_id, revision FROM grown`

func (s session) assign(ctx context.Context, c ports.Commit, changes []placement.Change) (map[agent.ID]delivery.Revision, error) {
	if len(changes) == 0 {
		return map[agent.ID]delivery.Revision{}, nil
	}
	rows, err := many[revisionRow](ctx, s, "write assignments", assignAgents,
		column(changes, func(ch placement.Change) string { return string(ch.Agent) }),
		column(changes, func(ch placement.Change) string { return string(ch.Object) }),
		column(changes, func(ch placement.Change) string { return string(ch.State) }),
		column(changes, func(ch placement.Change) string { return printable(ch.Reason) }),
		uid(c.Stack), c.Record.Traceparent, micro(c.Record.At),
		column(changes, func(ch placement.Change) string { return string(ch.Variant) }))
	return byAgent(rows), err
}

const recordDecision = `WITH p AS (
		UPDATE stack_placements SET generation = generation + 1, hold = $2, approved = 0, followed = $8 WHERE stack_id = $1
		RETURNING stack_id, generation)
	INSERT INTO decisions (stack_id, generation, object_id, packed, cause, traceparent, decided_at)
	SELECT p.stack_id, p.generation, $3, $4, $5, $6, $7 FROM p`

func (s session) record(ctx context.Context, c ports.Commit) error {
	var hold, followed any
	if c.Hold != nil {
		h := *c.Hold
		h.Since = micro(h.Since)
		text, err := asJSON(h)
		if err != nil {
			return err
		}
		hold = text
	}
	d := c.Record.Decision
	d.WakeAt = microPtr(d.WakeAt)
	if d.Hold != nil {
		h := *d.Hold
		h.Since = micro(h.Since)
		d.Hold = &h
	}
	if d.Policy != nil {
		text, err := asJSON(d.Policy)
		if err != nil {
			return err
		}
		followed = text
	}
	packed, err := d.Pack()
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "record decision", recordDecision, uid(c.Stack), hold, uid(c.Record.Object), packed, printable(c.Record.Cause),
		c.Record.Traceparent, micro(c.Record.At), followed)
	return err
}

// asJSON returns v as a text that a jsonb column takes: Postgres stores no NUL in it.
func asJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode decision: %w", err)
	}
	return strings.ReplaceAll(string(text), `\u0000`, `\ufffd`), nil
}

const recordColumns = `d.stack_id, d.generation, COALESCE(d.object_id::text, '') AS object_id, d.decision, d.packed, d.cause, d.traceparent, d.decided_at`

type decisionRow struct {
	Stack       stack.ID       `db:"stack_id"`
	Generation  int64          `db:"generation"`
	Object      stack.ObjectID `db:"object_id"`
	Decision    []byte         `db:"decision"` // of an earlier release
	Packed      []byte         `db:"packed"`
	Cause       string         `db:"cause"`
	Traceparent string         `db:"traceparent"`
	DecidedAt   time.Time      `db:"decided_at"`
}

func (r decisionRow) record() (placement.Record, error) {
	rec := placement.Record{
		Stack: r.Stack, Generation: r.Generation, Object: r.Object, Cause: r.Cause, Traceparent: r.Traceparent, At: micro(r.DecidedAt),
	}
	var err error
	if r.Packed != nil {
		rec.Decision, err = placement.Unpack(r.Packed)
	} else {
		err = json.Unmarshal(r.Decision, &rec.Decision)
	}
	if err != nil {
		return placement.Record{}, fmt.Errorf("read decision %d of stack %s: %w", r.Generation, r.Stack, err)
	}
	return rec, nil
}

func noDecision(s stack.ID) error {
	return notFound("decision_not_found", "a decision for stack", s)
}

const latestDecision = `SELECT ` + recordColumns + `, p.hold FROM decisions d JOIN stack_placements p ON p.stack_id = d.stack_id
	WHERE d.stack_id = $1 ORDER BY d.generation DESC LIMIT 1`

// Latest implements ports.Decisions.
func (r decisions) Latest(ctx context.Context, s stack.ID) (placement.Record, *placement.Hold, error) {
	row, err := one[struct {
		decisionRow
		Hold []byte `db:"hold"`
	}](ctx, r.s, "get newest decision", noDecision(s), latestDecision, uid(s))
	if err != nil {
		return placement.Record{}, nil, err
	}
	rec, err := row.record()
	if err != nil {
		return placement.Record{}, nil, err
	}
	hold, err := holdOf(row.Hold)
	return rec, hold, err
}

func holdOf(text []byte) (*placement.Hold, error) {
	if text == nil {
		return nil, nil
	}
	var h placement.Hold
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, fmt.Errorf("read hold: %w", err)
	}
	return &h, nil
}

const approveHold = `UPDATE stack_placements SET approved = generation WHERE stack_id = $1 AND hold ->> 'fingerprint' = $2`

// Approve implements ports.Decisions.
func (r decisions) Approve(ctx context.Context, s stack.ID, fingerprint string) error {
	return r.s.atomically(ctx, func(ctx context.Context, in session) error {
		n, err := in.exec(ctx, "approve hold", approveHold, uid(s), fingerprint)
		if err == nil && n == 0 {
			return fault.Newf(fault.Refused, "nothing_to_approve", "no decision with this fingerprint waits for stack %s", s)
		}
		return err
	})
}
