package app

import (
	"context"
	"errors"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/hub"
)

// Sync is one cycle of an agent: its heartbeat and reports are taken (reports are durable when it returns), and it is
// answered when its target state differs from the revision that it has, or with nothing new after its wait.
func (g *Gateway) Sync(ctx context.Context, c Caller, agentID string, req wire.SyncRequest) (wire.SyncResponse, error) {
	res, outcome, err := g.sync(ctx, c, agentID, req)
	if err != nil {
		outcome = fault.KindOf(err).String()
		if errors.Is(err, context.Canceled) {
			outcome = "gone"
		}
	}
	g.Metrics.Syncs.WithLabelValues(outcome).Inc()
	return res, err
}

func (g *Gateway) sync(ctx context.Context, c Caller, agentID string, req wire.SyncRequest) (wire.SyncResponse, string, error) {
	a, err := self(c.Principal, agentID)
	if err != nil {
		return wire.SyncResponse{}, "", err
	}
	if err := check(&req); err != nil {
		return wire.SyncResponse{}, "", err
	}
	end := g.Now().Add(time.Duration(req.WaitSeconds) * time.Second)
	g.beat(a, req.BootID, req.Heartbeat.K8sReachable, req.Heartbeat.K8sAPILatencyMS)
	if err := g.Roster.Check(ctx, a); err != nil {
		return wire.SyncResponse{}, "", err
	}
	arrival := g.Hub.Arrive(a, req.BootID)
	if arrival.Duplicate {
		g.Metrics.Duplicates.Inc()
		if g.dup.shouldLog(a, g.Now()) {
			g.Log.WarnContext(ctx, "two processes use the identity of one agent", "agent", string(a), "boot", req.BootID)
		}
	}
	var turn delivery.Turn
	if len(req.Applied)+len(req.Removed)+len(req.Status) > 0 {
		if turn, err = g.report(ctx, a, req); err != nil {
			return wire.SyncResponse{}, "", err
		}
		if turn != 0 {
			end = g.Now() // it has to be told now
		}
	}
	s := waiting{
		gateway: g, caller: c, agent: a, req: req, end: end,
		// A process that this replica meets for the first time gets everything if it has nothing or follows another one.
		full: arrival.Replaced || (arrival.NewBoot && req.Revision == 0),
	}
	res, outcome, err := s.run(ctx)
	res.Turn = int64(turn)
	return res, outcome, err
}

func check(req *wire.SyncRequest) error {
	bad := func(format string, args ...any) error {
		return fault.Newf(fault.Invalid, "invalid_sync", format, args...)
	}
	switch {
	case !id.Valid(req.BootID):
		return bad("boot_id %q is not a UUID", req.BootID)
	case req.Seq < 1:
		return bad("seq must be 1 or more, not %d", req.Seq)
	case req.Work != nil && *req.Work < 0:
		return bad("work must not be negative")
	case req.Turn != nil && *req.Turn < 0:
		return bad("turn must not be negative")
	case req.Revision < 0:
		return bad("revision must not be negative")
	case req.WaitSeconds < 0 || req.WaitSeconds > wire.MaxWaitSeconds:
		return bad("wait_seconds must be 0 to %d, not %d", wire.MaxWaitSeconds, req.WaitSeconds)
	}
	return nil
}

// waiting is a sync on its way to an answer.
type waiting struct {
	gateway *Gateway
	caller  Caller
	agent   agent.ID
	req     wire.SyncRequest
	end     time.Time
	full    bool // answer with everything, changed or not
	woken   bool // a signal told of news: the cache cannot have it yet
}

func (s *waiting) run(ctx context.Context) (wire.SyncResponse, string, error) {
	has := delivery.Revision(s.req.Revision)
	for {
		began := time.Now()
		known, err := s.known(ctx, has)
		if err != nil {
			return wire.SyncResponse{}, "", err
		}
		if known != has || s.full {
			res, ok, err := s.deliver(ctx, known, began)
			if err != nil {
				return wire.SyncResponse{}, "", err
			}
			if ok {
				return res, "changed", nil
			}
		}
		if s.gateway.Hub.News(s.agent, s.req.Work) {
			return s.unchanged(), "work", nil
		}
		outcome, err := s.park(ctx, has)
		switch {
		case err != nil:
			return wire.SyncResponse{}, "", err
		case outcome == hub.Changed:
			s.woken = true
		case outcome == hub.Work:
			// The credential may have ended while the sync was parked.
			if err := s.reauthenticate(ctx); err != nil {
				return wire.SyncResponse{}, "", err
			}
		case outcome == hub.Recheck:
			if err := s.again(ctx); err != nil {
				return wire.SyncResponse{}, "", err
			}
		case outcome == hub.Superseded:
			return s.unchanged(), "superseded", nil
		case outcome == hub.Drained:
			return s.unchanged(), "drained", nil
		default:
			return s.unchanged(), "unchanged", nil
		}
	}
}

// known returns the newest revision. Memory is believed while it was checked lately, or when a signal has told of news;
// the store decides everything else, also when the agent has a higher one than is known here.
func (s *waiting) known(ctx context.Context, has delivery.Revision) (delivery.Revision, error) {
	known, trusted := s.gateway.Hub.Known(s.agent)
	if (s.woken && known > has) || (trusted && known >= has) {
		return known, nil
	}
	return s.gateway.Hub.Confirm(ctx, s.agent)
}

// park waits for news; outcome 0 means that the time is over.
func (s *waiting) park(ctx context.Context, has delivery.Revision) (hub.Outcome, error) {
	if !s.gateway.Now().Before(s.end) {
		return 0, nil
	}
	w := s.gateway.Hub.Park(hub.Ticket{Agent: s.agent, Boot: s.req.BootID, Seq: s.req.Seq, Revision: has, Short: s.caller.Short, Work: s.req.Work})
	defer s.gateway.Hub.Leave(w)
	// A revocation that came before Park found nobody to wake.
	if err := s.reauthenticate(ctx); err != nil {
		return 0, err
	}
	until, atEnd := s.end, hub.Outcome(0)
	if end := s.caller.Until; !end.IsZero() && end.Before(until) {
		until, atEnd = end, hub.Recheck // nothing tells of the end of a credential whose end was known
	}
	timer := time.NewTimer(until.Sub(s.gateway.Now()))
	defer timer.Stop()
	select {
	case o := <-w.C:
		return o, nil
	case <-timer.C:
		return atEnd, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// again checks credential and status anew, a few callers at a time.
func (s *waiting) again(ctx context.Context) error {
	select {
	case s.gateway.recheck <- struct{}{}:
		defer func() { <-s.gateway.recheck }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.reauthenticate(ctx); err != nil {
		return err
	}
	return s.gateway.Roster.Check(ctx, s.agent)
}

// reauthenticate learns also of an end that the credential has got meanwhile.
func (s *waiting) reauthenticate(ctx context.Context) (err error) {
	s.caller.Principal, err = s.caller.Again(ctx)
	return err
}

func (s *waiting) unchanged() wire.SyncResponse {
	p := s.gateway.Hub.Tell(s.agent)
	return wire.SyncResponse{
		Revision: s.req.Revision, Next: wire.Next{WaitSeconds: wire.MaxWaitSeconds},
		Pending: wire.Pending{WorkOrders: p.WorkOrders, Diagnostics: p.Diagnostics, Webhooks: p.Webhooks, Mark: p.Mark},
	}
}
