package transport

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
	"github.com/colliery-io/brokkr/services/gateway/internal/sockets"
)

const (
	reportQueue = 64      // events and healths of one agent that wait for the store
	reportBytes = 4 << 20 // and the bytes of their frames
	reportTry   = 500 * time.Millisecond
	reportFor   = 30 * time.Second // then the agent is sent away: it has REST
	finishFor   = 5 * time.Second  // for what is left when the connection ends
	roomTry     = 50 * time.Millisecond
	roomFor     = 5 * time.Second // telemetry is dropped then, and the gap told; a report ends the connection, before a ping would
)

func agentSocket(c Config) func(r *http.Request, who tenancy.Principal) (func(context.Context, *session), error) {
	return func(r *http.Request, who tenancy.Principal) (func(context.Context, *session), error) {
		conn, err := c.Sockets.Enter(who.Agent, who.Short)
		if err != nil {
			return nil, err
		}
		// After it is known of: a deactivation from now on finds it.
		if err := c.Gateway.Roster.Check(r.Context(), who.Agent); err != nil {
			c.Sockets.Leave(conn)
			return nil, waits(err)
		}
		return func(ctx context.Context, s *session) {
			defer c.Sockets.Leave(conn)
			if s != nil {
				(&agentSession{session: s, c: c, conn: conn, reports: make(chan received, reportQueue), warned: map[string]bool{}}).run(ctx)
			}
		}, nil
	}
}

// waits is the refusal of an agent that is inactive. It is no 403: published agents give their channel up for good after five of
// those, and an agent that has just been made is inactive.
func waits(err error) error {
	if f, ok := fault.As(err); ok && f.Code == "agent_inactive" {
		return fault.New(fault.Refused, "channel_inactive", f.Message).Because(err)
	}
	return err
}

// agentSession is one agent's connection. What it says is done in order, but no report holds up a heartbeat.
type agentSession struct {
	*session
	c       Config
	conn    *sockets.Conn
	reports chan received
	queued  atomic.Int64    // bytes of reports
	warned  map[string]bool // reasons for which a frame was dropped
	gaps    map[string]*wire.LogGap
}

func (a *agentSession) run(ctx context.Context) {
	a.SetReadLimit(agentLimit)
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	for _, part := range []func(context.Context){a.write, a.report, func(ctx context.Context) { a.alive(ctx, a.allowed) }} {
		parts.Go(func() {
			part(ctx)
			cancel()
		})
	}
	a.read(ctx)
}

// allowed closes the connection if its credential does not hold any more, or its agent takes part no more.
func (a *agentSession) allowed(ctx context.Context) bool {
	if denied(a.again(ctx)) {
		_ = a.Close(closePolicy, "the credential does not hold any more") // it is broken if this fails
		return false
	}
	if denied(a.c.Gateway.Roster.Check(ctx, a.who.Agent)) {
		_ = a.Close(closeAgain, "the agent is inactive") // it may come back when it is active
		return false
	}
	return true
}

func (a *agentSession) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-a.conn.Down():
			if a.send(ctx, f) != nil {
				return
			}
			a.conn.Out.Add(1)
			a.c.Gateway.Metrics.Frames.WithLabelValues("pushed").Inc()
		case <-a.conn.Doubts():
			if !a.allowed(ctx) {
				return
			}
		case e := <-a.conn.Ends():
			switch e {
			case sockets.Replaced:
				_ = a.Close(closePolicy, "the agent has a newer connection")
			case sockets.Drained:
				_ = a.Close(closeDrained, "this replica is going down")
			}
			return
		}
	}
}

func (a *agentSession) read(ctx context.Context) {
	for {
		kind, data, err := a.Read(ctx)
		if err != nil {
			return
		}
		a.conn.In.Add(1)
		if kind != websocket.MessageText {
			a.drop(ctx, "binary", nil)
			continue
		}
		r, err := readFrame(a.who.Agent, data)
		switch {
		case err != nil:
			a.drop(ctx, fault.CodeOf(err), err)
		case r.event != nil || r.health != nil:
			r.size = int64(len(data))
			if !a.enqueue(ctx, r) {
				return
			}
		case r.heartbeat != nil:
			_, _ = take(ctx, a.c.Gateway, a.who, r) // it is the agent's own, and heartbeats are only noted
			a.c.Gateway.Metrics.Frames.WithLabelValues("taken").Inc()
		default:
			a.telemetry(ctx, r)
		}
	}
}

// enqueue has a report wait for the store. While it is away, the few that find room wait, and the agent is sent away with the
// next one: it has REST, and its heartbeats are not to stand behind reports. False: the connection is to end.
func (a *agentSession) enqueue(ctx context.Context, r received) bool {
	for end := time.Now().Add(roomFor); ; {
		if waiting := a.queued.Load(); waiting == 0 || waiting+r.size <= reportBytes {
			select {
			case a.reports <- r:
				a.queued.Add(r.size)
				return true
			default:
			}
		}
		if time.Now().After(end) {
			break
		}
		if !wait(ctx, roomTry) {
			return false
		}
	}
	a.c.Gateway.Metrics.Frames.WithLabelValues("lost").Inc()
	a.c.Log.WarnContext(ctx, "an agent's reports cannot be stored as fast as they come; its connection is closed, and it has to report otherwise",
		"agent", string(a.who.Agent), "waiting", len(a.reports))
	_ = a.Close(closeAgain, "reports cannot be stored as fast as they come") // it is broken if this fails
	return false
}

// drop counts a frame that is not taken, and says why once a connection and reason.
func (a *agentSession) drop(ctx context.Context, reason string, err error) {
	a.c.Gateway.Metrics.Frames.WithLabelValues("dropped").Inc()
	if a.warned[reason] {
		return
	}
	a.warned[reason] = true
	text := reason
	if err != nil {
		text = err.Error()
	}
	a.c.Log.WarnContext(ctx, "a frame of an agent was dropped; this is said once a connection", "agent", string(a.who.Agent), "reason", reason, "error", text)
}

// telemetry waits a while for room, which slows down this agent alone. What finds none becomes a gap.
func (a *agentSession) telemetry(ctx context.Context, r received) {
	if !a.offer(ctx, r.offered) {
		a.missed(r.offered)
		return
	}
	for s, g := range a.gaps {
		if ok, err := a.c.Gateway.Offer(a.who.Agent, app.Offered{Gap: g}); ok || err != nil {
			delete(a.gaps, s)
		}
	}
}

func (a *agentSession) offer(ctx context.Context, o app.Offered) bool {
	for end := time.Now().Add(roomFor); ; {
		ok, err := a.c.Gateway.Offer(a.who.Agent, o)
		if err != nil {
			a.drop(ctx, fault.CodeOf(err), err)
			return true
		}
		if ok {
			a.c.Gateway.Metrics.Frames.WithLabelValues("taken").Inc()
			return true
		}
		if time.Now().After(end) || !wait(ctx, roomTry) {
			return false
		}
	}
}

func (a *agentSession) missed(o app.Offered) {
	a.c.Gateway.Metrics.Frames.WithLabelValues("lost").Inc()
	gap := wire.LogGap{SinceTS: time.Now(), DroppedCount: 1, Reason: string(observation.GapBufferFull)}
	switch {
	case o.Event != nil:
		gap.StackID = o.Event.StackID
	case o.Line != nil:
		gap.StackID = o.Line.StackID
	case o.Gap != nil:
		gap.StackID, gap.DroppedCount = o.Gap.StackID, o.Gap.DroppedCount
	}
	if a.gaps == nil {
		a.gaps = map[string]*wire.LogGap{}
	}
	if g, ok := a.gaps[gap.StackID]; ok {
		g.DroppedCount += gap.DroppedCount
		return
	}
	a.gaps[gap.StackID] = &gap
}

// report makes events and healths durable, one after the other. While the store is away it tries again; an agent whose
// report cannot be stored is sent away rather than left in the belief that it was.
func (a *agentSession) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			a.finish(ctx, nil)
			return
		case r := <-a.reports:
			if a.store(ctx, r) {
				a.queued.Add(-r.size)
				continue
			}
			if ctx.Err() != nil {
				a.finish(ctx, &r)
				return
			}
			_ = a.Close(closeAgain, "reports cannot be stored now")
			return
		}
	}
}

// finish stores what came before the connection ended, the report in hand at first: its agent believes that it was told.
func (a *agentSession) finish(ctx context.Context, inHand *received) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishFor)
	defer cancel()
	if inHand != nil && !a.store(ctx, *inHand) {
		return
	}
	for ctx.Err() == nil {
		select {
		case r := <-a.reports:
			if !a.store(ctx, r) {
				return
			}
		default:
			return
		}
	}
}

func (a *agentSession) store(ctx context.Context, r received) bool {
	for end := time.Now().Add(reportFor); ; {
		_, err := take(context.WithoutCancel(ctx), a.c.Gateway, a.who, r)
		switch fault.KindOf(err) {
		case fault.Unavailable, fault.Conflict, fault.Limited:
			if err != nil && time.Now().Before(end) && wait(ctx, reportTry) {
				continue
			}
		default:
		}
		switch {
		case err == nil:
			a.c.Gateway.Metrics.Frames.WithLabelValues("taken").Inc()
			return true
		case fault.KindOf(err) == fault.Unavailable || fault.KindOf(err) == fault.Internal:
			return false
		default: // it is wrong and stays wrong
			a.drop(ctx, fault.CodeOf(err), err)
			return true
		}
	}
}

// wait returns false if ctx ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
