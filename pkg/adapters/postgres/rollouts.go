package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

type rollouts struct{ s session }

func noRollout(id any) error { return notFound("rollout_not_found", "rollout", id) }

type rolloutRow struct {
	Document []byte `db:"document"`
	Governs  bool   `db:"governs"`
	Version  int64  `db:"version"`
}

func (r rolloutRow) rollout() (rollout.Rollout, error) {
	var out rollout.Rollout
	if err := json.Unmarshal(r.Document, &out); err != nil {
		return out, fmt.Errorf("read rollout: %w", err)
	}
	out.Version = r.Version
	return out, nil
}

const selectRollouts = `SELECT r.document, r.governs, r.version FROM rollouts r`

const (
	getRollout            = selectRollouts + ` WHERE r.id = $1`
	getRolloutOfGenerator = selectRollouts + ` JOIN stacks s ON s.id = r.stack_id WHERE r.id = $1 AND s.generator_id = $2`
	membersOfRollouts     = `SELECT rollout_id, member FROM rollout_members WHERE rollout_id = ANY ($1::uuid[]) ORDER BY rollout_id, agent_id`
)

// Get implements ports.Rollouts.
func (r rollouts) Get(ctx context.Context, scope tenancy.Scope, id rollout.ID) (rollout.Rollout, bool, error) {
	query, args, ok := views{all: getRollout, generator: getRolloutOfGenerator}.of(scope, uid(id))
	if !ok || query == "" { // agents see none
		return rollout.Rollout{}, false, noRollout(id)
	}
	row, err := one[rolloutRow](ctx, r.s, "get rollout", noRollout(id), query, args...)
	if err != nil {
		return rollout.Rollout{}, false, err
	}
	out, err := r.whole(ctx, []rolloutRow{row})
	if err != nil {
		return rollout.Rollout{}, false, err
	}
	return out[0], row.Governs, nil
}

// whole returns the rollouts of rows with their members.
func (r rollouts) whole(ctx context.Context, rows []rolloutRow) ([]rollout.Rollout, error) {
	out := make([]rollout.Rollout, len(rows))
	ids, place := make([]rollout.ID, len(rows)), make(map[rollout.ID]int, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = row.rollout(); err != nil {
			return nil, err
		}
		ids[i], place[out[i].ID] = out[i].ID, i
	}
	if len(rows) == 0 {
		return nil, nil
	}
	members, err := many[struct {
		Rollout rollout.ID `db:"rollout_id"`
		Member  []byte     `db:"member"`
	}](ctx, r.s, "read members of rollouts", membersOfRollouts, uids(ids))
	if err != nil {
		return nil, err
	}
	for _, row := range members {
		var m rollout.Member
		if err := json.Unmarshal(row.Member, &m); err != nil {
			return nil, fmt.Errorf("read member of rollout %s: %w", row.Rollout, err)
		}
		in := &out[place[row.Rollout]]
		in.Members = append(in.Members, m)
	}
	return out, nil
}

const rolloutsOfStack = selectRollouts + ` WHERE r.stack_id = $1 ORDER BY r.created_at DESC, r.id DESC LIMIT $2`

// OfStack implements ports.Rollouts.
func (r rollouts) OfStack(ctx context.Context, s stack.ID, limit int) ([]rollout.Rollout, error) {
	rows, err := many[rolloutRow](ctx, r.s, "list rollouts of stack", rolloutsOfStack, uid(s), limit)
	if err != nil {
		return nil, err
	}
	out := make([]rollout.Rollout, len(rows))
	for i, row := range rows {
		if out[i], err = row.rollout(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const historyOfRollout = `SELECT rollout_id, at, from_phase, to_phase, wave, by, reason FROM rollout_history WHERE rollout_id = $1 ORDER BY ordinal`

type transitionRow struct {
	Rollout rollout.ID    `db:"rollout_id"`
	At      time.Time     `db:"at"`
	From    rollout.Phase `db:"from_phase"`
	To      rollout.Phase `db:"to_phase"`
	Wave    int           `db:"wave"`
	By      string        `db:"by"`
	Reason  string        `db:"reason"`
}

func (r transitionRow) transition() rollout.Transition {
	t := rollout.Transition(r)
	t.At = micro(r.At)
	return t
}

// History implements ports.Rollouts.
func (r rollouts) History(ctx context.Context, id rollout.ID) ([]rollout.Transition, error) {
	rows, err := many[transitionRow](ctx, r.s, "read history of rollout", historyOfRollout, uid(id))
	return convert(rows, err, transitionRow.transition)
}

const (
	allGoverning  = selectRollouts + ` WHERE r.governs`
	someGoverning = allGoverning + ` AND r.stack_id = ANY ($1::uuid[])`
)

// Governing implements ports.Rollouts.
func (r rollouts) Governing(ctx context.Context, stacks []stack.ID) (map[stack.ID]rollout.Rollout, error) {
	rows, err := some[rolloutRow](ctx, r.s, "read governing rollouts", allGoverning, someGoverning, stacks)
	if err != nil {
		return nil, err
	}
	list, err := r.whole(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make(map[stack.ID]rollout.Rollout, len(list))
	for _, v := range list {
		out[v.Stack] = v
	}
	return out, nil
}

// statusesOf reads by the assignments' index on stacks.
const statusesOf = `SELECT t.agent_id, t.stack_id, t.object_id, t.sequence_id, t.phase, t.health, t.message, t.observed_at, t.reported_at, t.since
	FROM assignments x JOIN assignment_status t ON t.agent_id = x.agent_id AND t.stack_id = x.stack_id WHERE x.stack_id = ANY ($1::uuid[])`

// Statuses implements ports.Rollouts.
func (r rollouts) Statuses(ctx context.Context, stacks []stack.ID) (map[stack.ID]map[agent.ID]delivery.Status, error) {
	rows, err := many[statusRow](ctx, r.s, "read statuses of stacks", statusesOf, uids(stacks))
	if err != nil {
		return nil, err
	}
	out := map[stack.ID]map[agent.ID]delivery.Status{}
	for _, row := range rows {
		if out[row.Stack] == nil {
			out[row.Stack] = map[agent.ID]delivery.Status{}
		}
		out[row.Stack][row.Agent] = row.status()
	}
	return out, nil
}

const (
	lockRollout   = `SELECT version FROM rollouts WHERE id = $1 FOR UPDATE`
	insertRollout = `INSERT INTO rollouts (id, stack_id, object_id, phase, governs, document, version, created_at, ended_at)
		SELECT $1, o.stack_id, o.id, $4, $5, $6, 1, $7, $8 FROM deployment_objects o WHERE o.id = $3 AND o.stack_id = $2`
	updateRollout = `UPDATE rollouts SET phase = $2, governs = $3, document = $4, version = version + 1, ended_at = $5 WHERE id = $1`
	putMembers    = `INSERT INTO rollout_members AS m (rollout_id, agent_id, wave, state, member)
		SELECT $1, a, w, s, d::jsonb FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[]) AS v (a, w, s, d) ORDER BY a
		ON CONFLICT (rollout_id, agent_id) DO UPDATE SET wave = EXCLUDED.wave, state = EXCLUDED.state, member = EXCLUDED.member`
	addTransitions = `INSERT INTO rollout_history (rollout_id, at, from_phase, to_phase, wave, by, reason)
		SELECT $1, t, f, p, w, b, r FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[])
			WITH ORDINALITY AS v (t, f, p, w, b, r, n) ORDER BY n`
	dropWatches = `DELETE FROM rollout_watches WHERE rollout_id = $1 AND NOT stack_id = ANY ($2::uuid[])`
	putWatches  = `INSERT INTO rollout_watches (stack_id, rollout_id) SELECT s.id, $1 FROM stacks s WHERE s.id = ANY ($2::uuid[]) ORDER BY s.id
		ON CONFLICT DO NOTHING`
)

// Save implements ports.Rollouts.
func (r rollouts) Save(ctx context.Context, w ports.RolloutWrite) (int64, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int64, error) {
		if err := in.putRollout(ctx, w); err != nil {
			return 0, err
		}
		if err := in.putMembers(ctx, w); err != nil {
			return 0, err
		}
		if err := in.addTransitions(ctx, w); err != nil {
			return 0, err
		}
		return w.Rollout.Version + 1, in.watch(ctx, w)
	})
}

func (s session) putRollout(ctx context.Context, w ports.RolloutWrite) error {
	v := w.Rollout
	document, err := asJSON(v)
	if err != nil {
		return err
	}
	if v.Version == 0 {
		n, err := s.exec(ctx, "insert rollout", insertRollout, uid(v.ID), uid(v.Stack), uid(v.Object), string(v.Phase), w.Governs, document,
			micro(v.CreatedAt), microPtr(v.EndedAt))
		if err == nil && n == 0 {
			return noObject(v.Object)
		}
		return err
	}
	version, err := one[int64](ctx, s, "lock rollout", noRollout(v.ID), lockRollout, uid(v.ID))
	if err != nil {
		return err
	}
	if version != v.Version {
		return stale("rollout", v.ID)
	}
	_, err = s.exec(ctx, "update rollout", updateRollout, uid(v.ID), string(v.Phase), w.Governs, document, microPtr(v.EndedAt))
	return err
}

func (s session) putMembers(ctx context.Context, w ports.RolloutWrite) error {
	if len(w.Members) == 0 {
		return nil
	}
	texts := make([]string, len(w.Members))
	for i, m := range w.Members {
		var err error
		if texts[i], err = asJSON(m); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, "store members of rollout", putMembers, uid(w.Rollout.ID),
		column(w.Members, func(m rollout.Member) string { return string(m.Agent) }),
		column(w.Members, func(m rollout.Member) int64 { return int64(m.Wave) }),
		column(w.Members, func(m rollout.Member) string { return string(m.State) }),
		pq.Array(texts))
	return err
}

func (s session) addTransitions(ctx context.Context, w ports.RolloutWrite) error {
	if len(w.Transitions) == 0 {
		return nil
	}
	_, err := s.exec(ctx, "store history of rollout", addTransitions, uid(w.Rollout.ID),
		column(w.Transitions, func(t rollout.Transition) time.Time { return micro(t.At) }),
		column(w.Transitions, func(t rollout.Transition) string { return string(t.From) }),
		column(w.Transitions, func(t rollout.Transition) string { return string(t.To) }),
		column(w.Transitions, func(t rollout.Transition) int64 { return int64(t.Wave) }),
		column(w.Transitions, func(t rollout.Transition) string { return printable(t.By) }),
		column(w.Transitions, func(t rollout.Transition) string { return printable(t.Reason) }))
	return err
}

func (s session) watch(ctx context.Context, w ports.RolloutWrite) error {
	stacks := []stack.ID{}
	if w.Rollout.Phase.Open() {
		stacks = append(stacks, w.Rollout.Stack)
	}
	if w.Rollout.Waits() {
		stacks = append(stacks, w.DependsOn...)
	}
	if _, err := s.exec(ctx, "drop watches of rollout", dropWatches, uid(w.Rollout.ID), uids(stacks)); err != nil || len(stacks) == 0 {
		return err
	}
	_, err := s.exec(ctx, "store watches of rollout", putWatches, uid(w.Rollout.ID), uids(stacks))
	return err
}

const trimRollouts = `DELETE FROM rollouts WHERE id = ANY (ARRAY(
	SELECT id FROM rollouts WHERE NOT governs AND ended_at < $1 ORDER BY ended_at LIMIT $2))`

// Trim implements ports.Rollouts.
func (r rollouts) Trim(ctx context.Context, before time.Time, limit int) (int, error) {
	return writes(ctx, r.s, func(ctx context.Context, in session) (int, error) {
		n, err := in.exec(ctx, "trim rollouts", trimRollouts, micro(before), limit)
		return int(n), err
	})
}
