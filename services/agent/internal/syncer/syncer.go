// Package syncer is the agent's one conversation with the broker: heartbeat, reports and the target state in one
// request at a time, parked at the gateway while there is no news. Nothing that is done in the cluster can hold it up.
package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/report"
)

// Broker is what the syncer asks of the gateway. Errors are of package fault, or the context's.
type Broker interface {
	Sync(ctx context.Context, id agent.ID, req wire.SyncRequest) (wire.SyncResponse, error)
}

// Target takes the target state. Neither call blocks.
type Target interface {
	Desired(stacks []wire.Stack, removed []wire.Removed)
	// Forget says that the broker has gone back to an earlier revision.
	Forget()
}

// Heart says how the cluster is; at once, from memory.
type Heart interface{ Beat() wire.Heartbeat }

// Status is what the broker is to be told of the cluster as a whole; at once, from memory.
type Status interface {
	// Pending returns what it has not been told, with its number; nil if there is nothing.
	Pending() (json.RawMessage, int64)
	// Told says that it has what has this number.
	Told(number int64)
	// Repeat says that it has forgotten what it was told.
	Repeat()
}

const (
	gather   = 10 * time.Millisecond // reports that come together are told together
	maxBatch = 500                   // reports in one request
	farewell = 3 * time.Second

	// A parked sync is answered late or with news. More than a few quick answers without any are a broker's mistake,
	// which must not become a flood.
	quickAnswer = 50 * time.Millisecond
	quickInARow = 8
	quickPause  = 200 * time.Millisecond

	turnsInARow = 3 // that the broker may give before it takes a report
)

// Config of a Syncer.
type Config struct {
	Broker Broker
	Agent  agent.ID
	Boot   string // a UUID that is new on each start
	Box    *report.Box
	Target Target
	Heart  Heart
	Status Status // nil: nothing is told of the cluster
	Log    *slog.Logger
	Count  func(outcome string) // is told how each sync ended
	// Waiting is told what else waits for the agent, with each answer. It must not block.
	Waiting func(wire.Pending)
}

// Syncer runs the conversation.
type Syncer struct {
	Config
	trouble  trouble
	pause    backoff // until the broker answers
	status   statusTurn
	wait     int // seconds to park
	limit    int // of reports in a request; lower while one that the broker refuses is looked for
	seq      int64
	revision int64
	work     int64 // the highest mark of other work that the broker has told
	turn     int64 // the highest turn that the broker has given this process
	quick    int   // quick answers in a row
}

// New returns a syncer; nothing is said before Run.
func New(c Config) *Syncer {
	return &Syncer{Config: c, wait: wire.MaxWaitSeconds, limit: maxBatch,
		trouble: trouble{log: c.Log, what: "sync failed; the cluster keeps its last desired state", again: "the broker answers again"},
		status:  statusTurn{trouble: trouble{log: c.Log, what: "the cluster's status could not be told; it is tried again", again: "the broker takes the cluster's status again"}}}
}

// Err is why the last sync failed; nil if it did not. It is safe for concurrent use.
func (s *Syncer) Err() error { return s.trouble.current() }

// Run syncs until ctx ends; then it tells the broker what it has not been told yet, for a few seconds at most.
func (s *Syncer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.once(ctx); err != nil && ctx.Err() == nil {
			s.Count(fault.KindOf(err).String())
			s.trouble.note(ctx, err)
			sleep(ctx, s.pause.after(err))
		}
	}
	s.bye(context.WithoutCancel(ctx))
	return nil
}

func (s *Syncer) bye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	for !s.Box.Empty() {
		if err := s.tell(ctx, s.Box.Take(s.limit)); err != nil {
			s.Log.WarnContext(ctx, "the last reports could not be told; they are made anew after the next start", "error", err.Error())
			return
		}
	}
}

// once makes one exchange, parked unless there is something to tell.
func (s *Syncer) once(ctx context.Context) error {
	if batch := s.Box.Take(s.limit); batch.Len() > 0 {
		return s.tell(ctx, batch)
	}
	s.limit = maxBatch
	if s.Status != nil {
		switch status, number := s.Status.Pending(); {
		case status == nil:
			s.status.at = time.Time{} // what could not be told is true no longer
		case s.status.isDue():
			return s.tellStatus(ctx, status, number)
		}
	}
	return s.park(ctx)
}

// tell carries reports. It is answered at once, so that what was told is acknowledged soon.
func (s *Syncer) tell(ctx context.Context, batch report.Batch) error {
	err := s.exchange(ctx, batch, nil, 0)
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Refused) {
		return err
	}
	// One of the reports is not accepted and would hold up all others, and the heartbeat with them.
	if n := batch.Len(); n > 1 {
		s.limit = n / 2
		return nil
	}
	s.Log.ErrorContext(ctx, "the broker refuses a report, which is dropped", "report", batch, "error", err.Error(), "code", fault.CodeOf(err))
	s.Box.Acknowledge(batch)
	return nil
}

// park waits for the broker's news; news in the box cuts it short.
func (s *Syncer) park(ctx context.Context) error {
	parked, cut := context.WithCancel(ctx)
	defer cut()
	began, before, done := time.Now(), s.revision, make(chan error, 1)
	go func() { done <- s.exchange(parked, report.Batch{}, nil, s.wait) }()
	select {
	case err := <-done:
		if err == nil {
			s.pace(ctx, time.Since(began), s.revision != before)
		}
		return err
	case <-s.Box.News():
		sleep(ctx, gather)
	case <-s.status.due():
	}
	cut()
	// The answer may be lost with it: the next request still has the old revision, so it is given again.
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *Syncer) pace(ctx context.Context, took time.Duration, news bool) {
	if news || took > quickAnswer {
		s.quick = 0
		return
	}
	if s.quick++; s.quick > quickInARow {
		sleep(ctx, jittered(quickPause))
	}
}

// exchange makes a request, and makes it again if the broker has given this process its turn to tell what it carries.
func (s *Syncer) exchange(ctx context.Context, batch report.Batch, status json.RawMessage, wait int) error {
	for range turnsInARow {
		if again, err := s.request(ctx, batch, status, wait); err != nil || !again {
			return err
		}
	}
	return fault.New(fault.Unavailable, "reports_not_taken", "the broker gives this process one turn after the other and takes none of its reports")
}

// request is one exchange. It returns whether what it carried has to be told again.
func (s *Syncer) request(ctx context.Context, batch report.Batch, status json.RawMessage, wait int) (again bool, err error) {
	s.seq++
	turn := s.turn
	res, err := s.Broker.Sync(ctx, s.Agent, wire.SyncRequest{
		BootID: s.Boot, Seq: s.seq, Revision: s.revision, WaitSeconds: wait, Heartbeat: s.Heart.Beat(),
		Applied: batch.Applied, Removed: batch.Removed, Status: status, Work: &s.work, Turn: &turn,
	})
	if err != nil {
		return false, err
	}
	s.turn = max(s.turn, res.Turn)
	if again = res.Turn > 0 && (batch.Len() > 0 || status != nil); !again {
		s.trouble.over(ctx)
		s.pause.reset()
		s.Box.Acknowledge(batch)
	}
	s.work = max(s.work, res.Pending.Mark)
	if s.Waiting != nil {
		s.Waiting(res.Pending)
	}
	if res.Next.WaitSeconds > 0 {
		s.wait = min(res.Next.WaitSeconds, wire.MaxWaitSeconds)
	}
	if res.Stacks == nil {
		s.Count("unchanged")
		return again, nil
	}
	s.Count("changed")
	s.Log.InfoContext(ctx, "target state", "revision", res.Revision, "stacks", len(*res.Stacks), "removals", len(res.Removed))
	if res.Revision < s.revision {
		s.Log.WarnContext(ctx, "the broker is back at an earlier revision, so it has forgotten something: everything is told again",
			"revision", res.Revision, "before", s.revision)
		s.Box.Repeat()
		if s.Status != nil {
			s.Status.Repeat()
		}
		s.Target.Forget()
	}
	s.revision = res.Revision
	s.Target.Desired(*res.Stacks, res.Removed)
	return again, nil
}
