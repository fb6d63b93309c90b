package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

type observations struct{ s session }

// The rows are locked in order, so that batches that run at the same time wait for each other and no more.
const markParcels = `INSERT INTO observation_marks AS m (agent_id, boot, seq, updated_at)
	SELECT a.id, p.boot, p.seq, $4 FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS p (agent_id, boot, seq)
	JOIN agents a ON a.id = p.agent_id AND a.deleted_at IS NULL
	ORDER BY a.id, p.boot
	ON CONFLICT (agent_id, boot) DO UPDATE SET seq = EXCLUDED.seq, updated_at = EXCLUDED.updated_at WHERE m.seq < EXCLUDED.seq
	RETURNING m.agent_id, m.boot`

type markRow struct {
	Agent string `db:"agent_id"`
	Boot  string `db:"boot"`
}

const admittedStacks = `SELECT x.agent_id, x.stack_id FROM unnest($1::uuid[], $2::uuid[]) AS w (agent_id, stack_id)
	JOIN assignments x ON x.agent_id = w.agent_id AND x.stack_id = w.stack_id AND x.state = 'assigned'
	JOIN agents a ON a.id = x.agent_id AND a.deleted_at IS NULL`

// origin is an agent's stack.
type origin struct {
	Agent agent.ID `db:"agent_id"`
	Stack stack.ID `db:"stack_id"`
}

// Add implements ports.Observations: a handful of statements, however much there is.
func (r observations) Add(ctx context.Context, at time.Time, parcels []observation.Parcel) ([]observation.Receipt, error) {
	marked, err := numbered(parcels)
	if err != nil {
		return nil, err
	}
	if len(parcels) == 0 {
		return nil, ctx.Err()
	}
	if err := r.s.store.shelve(ctx, at); err != nil {
		return nil, err
	}
	return writes(ctx, r.s, func(ctx context.Context, in session) ([]observation.Receipt, error) {
		out := make([]observation.Receipt, len(parcels))
		if err := in.mark(ctx, at, parcels, marked, out); err != nil {
			return nil, err
		}
		if err := in.admit(ctx, parcels, out); err != nil {
			return nil, err
		}
		if err := in.addEvents(ctx, at, parcels, out); err != nil {
			return nil, err
		}
		return out, in.addLines(ctx, at, parcels, out)
	})
}

// numbered returns the indexes of the parcels that have a number, by agent and process.
func numbered(parcels []observation.Parcel) (map[markRow]int, error) {
	out := map[markRow]int{}
	for i, p := range parcels {
		if p.Boot == "" {
			continue
		}
		k := markRow{string(p.Agent), p.Boot}
		if _, twice := out[k]; twice {
			return nil, fault.New(fault.Invalid, "invalid_telemetry", "two parcels of one process came together")
		}
		out[k] = i
	}
	return out, nil
}

// mark notes the parcels' numbers, and which of them are repeated.
func (s session) mark(ctx context.Context, at time.Time, parcels []observation.Parcel, marked map[markRow]int, out []observation.Receipt) error {
	if len(marked) == 0 {
		return nil
	}
	var agents, boots []string
	var numbers []int64
	for k, i := range marked {
		if uid(k.Agent) == nil || uid(k.Boot) == nil {
			continue
		}
		agents, boots, numbers = append(agents, k.Agent), append(boots, k.Boot), append(numbers, parcels[i].Seq)
		out[i].Repeated = true
	}
	news, err := many[markRow](ctx, s, "mark parcels", markParcels, uids(agents), uids(boots), column(numbers, func(n int64) int64 { return n }), micro(at))
	for _, k := range news {
		out[marked[k]].Repeated = false
	}
	return err
}

// admit notes which stacks of the parcels are assigned to their agents.
func (s session) admit(ctx context.Context, parcels []observation.Parcel, out []observation.Receipt) error {
	wanted := map[origin]bool{}
	for i, p := range parcels {
		out[i].Admitted = map[stack.ID]bool{}
		if out[i].Repeated {
			continue
		}
		for _, e := range p.Events {
			wanted[origin{p.Agent, e.Stack}] = true
		}
		for _, l := range p.Lines {
			wanted[origin{p.Agent, l.Stack}] = true
		}
		for _, g := range p.Gaps {
			wanted[origin{p.Agent, g.Stack}] = true
		}
	}
	ask := make([]origin, 0, len(wanted))
	for o := range wanted {
		if uid(o.Agent) != nil && uid(o.Stack) != nil {
			ask = append(ask, o)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	rows, err := many[origin](ctx, s, "find the stacks of parcels", admittedStacks,
		column(ask, func(o origin) string { return string(o.Agent) }), column(ask, func(o origin) string { return string(o.Stack) }))
	found := make(map[origin]bool, len(rows))
	for _, o := range rows {
		found[o] = true
	}
	for i, p := range parcels {
		if out[i].Repeated {
			continue
		}
		for o := range wanted {
			if o.Agent == p.Agent && found[o] {
				out[i].Admitted[o.Stack] = true
			}
		}
	}
	return err
}

const insertEvents = `INSERT INTO k8s_events (id, agent_id, stack_id, observed_at, reason, message, event_type, source,
		api_version, kind, namespace, name, uid, created_at)
	SELECT *, $14::timestamptz FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::text[], $10::text[], $11::text[], $12::text[], $13::text[])`

func (s session) addEvents(ctx context.Context, at time.Time, parcels []observation.Parcel, receipts []observation.Receipt) error {
	var list []observation.Event
	for i, p := range parcels {
		for _, e := range p.Events {
			if receipts[i].Admitted[e.Stack] {
				e.Agent = p.Agent
				list = append(list, e)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	text := func(field func(observation.Event) string) any {
		return column(list, func(e observation.Event) string { return printable(field(e)) })
	}
	ids, err := ordered(len(list))
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "insert events", insertEvents, uids(ids),
		column(list, func(e observation.Event) string { return string(e.Agent) }),
		column(list, func(e observation.Event) string { return string(e.Stack) }),
		column(list, func(e observation.Event) time.Time { return micro(e.ObservedAt) }),
		text(func(e observation.Event) string { return e.Reason }), text(func(e observation.Event) string { return e.Message }),
		text(func(e observation.Event) string { return e.Type }), text(func(e observation.Event) string { return e.Source }),
		text(func(e observation.Event) string { return e.Object.APIVersion }), text(func(e observation.Event) string { return e.Object.Kind }),
		text(func(e observation.Event) string { return e.Object.Namespace }), text(func(e observation.Event) string { return e.Object.Name }),
		text(func(e observation.Event) string { return e.Object.UID }), micro(at))
	return err
}

// ordered returns n ids in ascending order: they keep the order of what happened at the same moment.
func ordered(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		v, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		out[i] = v.String()
	}
	return out, nil
}

// A line names its container by a place in the arrays $1 to $5: there are many lines and few containers.
const insertLines = `INSERT INTO pod_logs (agent_id, stack_id, namespace, pod, container, id, observed_at, line, dropped, reason, created_at)
	SELECT ($1::uuid[])[l.source], ($2::uuid[])[l.source], ($3::text[])[l.source], ($4::text[])[l.source], ($5::text[])[l.source],
		l.id, l.at, l.line, NULLIF(l.dropped, -1), NULLIF(l.reason, ''), $12::timestamptz
	FROM unnest($6::integer[], $7::uuid[], $8::timestamptz[], $9::text[], $10::bigint[], $11::text[]) AS l (source, id, at, line, dropped, reason)`

// container is where lines come from.
type container struct {
	origin
	namespace, pod, name string
}

// written is a row of pod_logs: a line or a gap.
type written struct {
	source  int64
	at      time.Time
	line    string
	dropped int64 // -1: a line
	reason  string
}

func (s session) addLines(ctx context.Context, at time.Time, parcels []observation.Parcel, receipts []observation.Receipt) error {
	var rows []written
	var sources []container
	places := map[container]int64{}
	place := func(c container) int64 {
		n, ok := places[c]
		if !ok {
			sources = append(sources, c)
			n = int64(len(sources)) // arrays begin at 1
			places[c] = n
		}
		return n
	}
	for i, p := range parcels {
		for _, l := range p.Lines {
			if receipts[i].Admitted[l.Stack] {
				rows = append(rows, written{source: place(container{origin{p.Agent, l.Stack}, l.Namespace, l.Pod, l.Container}), at: l.At, line: l.Text, dropped: -1})
			}
		}
		for _, g := range p.Gaps {
			if receipts[i].Admitted[g.Stack] {
				rows = append(rows, written{source: place(container{origin: origin{p.Agent, g.Stack}}), at: g.Since, dropped: g.Dropped, reason: string(g.Reason)})
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	ids, err := ordered(len(rows))
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "insert lines", insertLines,
		column(sources, func(c container) string { return string(c.Agent) }), column(sources, func(c container) string { return string(c.Stack) }),
		column(sources, func(c container) string { return printable(c.namespace) }), column(sources, func(c container) string { return printable(c.pod) }),
		column(sources, func(c container) string { return printable(c.name) }),
		column(rows, func(w written) int64 { return w.source }), uids(ids), column(rows, func(w written) time.Time { return micro(w.at) }),
		column(rows, func(w written) string { return printable(w.line) }), column(rows, func(w written) int64 { return w.dropped }),
		column(rows, func(w written) string { return w.reason }), micro(at))
	return err
}

type oldestRow struct {
	Oldest time.Time `db:"created_at"`
}

func oldestOf(rows []oldestRow) *time.Time {
	if len(rows) == 0 {
		return nil
	}
	t := micro(rows[0].Oldest)
	return &t
}

const (
	seenBy       = ` JOIN stacks s ON s.id = o.stack_id AND s.deleted_at IS NULL WHERE o.stack_id = $1 AND o.created_at >= $2`
	ofGenerator  = ` AND s.generator_id = `
	eventColumns = `SELECT o.id, o.agent_id, o.stack_id, o.observed_at, o.reason, o.message, o.event_type, o.source,
		o.api_version, o.kind, o.namespace, o.name, o.uid, o.created_at FROM k8s_events o` + seenBy + ` AND o.created_at >= $3`
	lineColumns = `SELECT o.id, o.agent_id, o.stack_id, o.observed_at, o.namespace, o.pod, o.container, o.line,
		COALESCE(o.dropped, 0) AS dropped, COALESCE(o.reason, '') AS reason, o.created_at FROM pod_logs o` + seenBy + ` AND o.created_at >= $3`
	newestFirst = ` ORDER BY o.observed_at DESC, o.id DESC LIMIT $4`
	oldestFirst = ` ORDER BY o.observed_at, o.id LIMIT 1`

	listKubeEvents            = eventColumns + newestFirst
	listKubeEventsOfGenerator = eventColumns + ofGenerator + `$5` + newestFirst
	oldestKubeEvent           = `SELECT o.created_at FROM k8s_events o` + seenBy + oldestFirst
	oldestKubeEventGenerator  = `SELECT o.created_at FROM k8s_events o` + seenBy + ofGenerator + `$3` + oldestFirst

	listLines            = lineColumns + ` AND o.reason IS NULL` + newestFirst
	listLinesOfGenerator = lineColumns + ` AND o.reason IS NULL` + ofGenerator + `$5` + newestFirst
	listGaps             = lineColumns + ` AND o.reason IS NOT NULL` + newestFirst
	listGapsOfGenerator  = lineColumns + ` AND o.reason IS NOT NULL` + ofGenerator + `$5` + newestFirst
	oldestLine           = `SELECT o.created_at FROM pod_logs o` + seenBy + ` AND o.reason IS NULL` + oldestFirst
	oldestLineGenerator  = `SELECT o.created_at FROM pod_logs o` + seenBy + ` AND o.reason IS NULL` + ofGenerator + `$3` + oldestFirst
)

type kubeEventRow struct {
	ID         observation.ID `db:"id"`
	Agent      agent.ID       `db:"agent_id"`
	Stack      stack.ID       `db:"stack_id"`
	ObservedAt time.Time      `db:"observed_at"`
	Reason     string         `db:"reason"`
	Message    string         `db:"message"`
	Type       string         `db:"event_type"`
	Source     string         `db:"source"`
	APIVersion string         `db:"api_version"`
	Kind       string         `db:"kind"`
	Namespace  string         `db:"namespace"`
	Name       string         `db:"name"`
	UID        string         `db:"uid"`
	CreatedAt  time.Time      `db:"created_at"`
}

func (r kubeEventRow) event() observation.Event {
	return observation.Event{
		ID: r.ID, Agent: r.Agent, Stack: r.Stack, ObservedAt: micro(r.ObservedAt), Reason: r.Reason, Message: r.Message, Type: r.Type, Source: r.Source,
		Object: observation.Object{APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID}, CreatedAt: micro(r.CreatedAt),
	}
}

type lineRow struct {
	ID         observation.ID `db:"id"`
	Agent      agent.ID       `db:"agent_id"`
	Stack      stack.ID       `db:"stack_id"`
	ObservedAt time.Time      `db:"observed_at"`
	Namespace  string         `db:"namespace"`
	Pod        string         `db:"pod"`
	Container  string         `db:"container"`
	Line       string         `db:"line"`
	Dropped    int64          `db:"dropped"`
	Reason     string         `db:"reason"`
	CreatedAt  time.Time      `db:"created_at"`
}

func (r lineRow) line() observation.Line {
	return observation.Line{
		ID: r.ID, Agent: r.Agent, Stack: r.Stack, Namespace: r.Namespace, Pod: r.Pod, Container: r.Container,
		At: micro(r.ObservedAt), Text: r.Line, CreatedAt: micro(r.CreatedAt),
	}
}

func (r lineRow) gap() observation.Gap {
	return observation.Gap{
		Agent: r.Agent, Stack: r.Stack, Since: micro(r.ObservedAt), Dropped: r.Dropped, Reason: observation.GapReason(r.Reason), CreatedAt: micro(r.CreatedAt),
	}
}

// listed runs the query of scope for a stack and returns what it finds, the newest last.
func listed[R, T any](ctx context.Context, s session, act string, v views, scope tenancy.Scope, to func(R) T, args ...any) ([]T, error) {
	query, args, ok := v.of(scope, args...)
	if !ok || query == "" {
		return nil, ctx.Err()
	}
	rows, err := many[R](ctx, s, act, query, args...)
	slices.Reverse(rows)
	return convert(rows, err, to)
}

// Events implements ports.Observations.
func (r observations) Events(ctx context.Context, scope tenancy.Scope, s stack.ID, w observation.Window) (observation.Events, error) {
	var out observation.Events
	var err error
	out.List, err = listed(ctx, r.s, "list events of stack", views{all: listKubeEvents, generator: listKubeEventsOfGenerator}, scope, kubeEventRow.event,
		uid(s), micro(w.Kept), micro(w.Since), w.Limit)
	if err != nil {
		return observation.Events{}, err
	}
	first, err := listed(ctx, r.s, "find oldest event of stack", views{all: oldestKubeEvent, generator: oldestKubeEventGenerator}, scope,
		func(o oldestRow) oldestRow { return o }, uid(s), micro(w.Kept))
	out.Oldest = oldestOf(first)
	return out, err
}

// Logs implements ports.Observations.
func (r observations) Logs(ctx context.Context, scope tenancy.Scope, s stack.ID, w observation.Window) (observation.Logs, error) {
	var out observation.Logs
	var err error
	args := []any{uid(s), micro(w.Kept), micro(w.Since), w.Limit}
	if out.Lines, err = listed(ctx, r.s, "list lines of stack", views{all: listLines, generator: listLinesOfGenerator}, scope, lineRow.line, args...); err != nil {
		return observation.Logs{}, err
	}
	if out.Gaps, err = listed(ctx, r.s, "list gaps of stack", views{all: listGaps, generator: listGapsOfGenerator}, scope, lineRow.gap, args...); err != nil {
		return observation.Logs{}, err
	}
	first, err := listed(ctx, r.s, "find oldest line of stack", views{all: oldestLine, generator: oldestLineGenerator}, scope,
		func(o oldestRow) oldestRow { return o }, uid(s), micro(w.Kept))
	out.Oldest = oldestOf(first)
	return out, err
}
