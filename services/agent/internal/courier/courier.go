// Package courier delivers webhooks whose receivers can be reached from the agent's cluster alone. Nothing of it can hold up the
// conversation with the broker or the stacks.
package courier

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	hands      = 20               // attempts at a time
	batch      = 10               // that the broker gives at a time; what is claimed is begun at once
	claimed    = 60 * time.Second // for which a claim holds at least, so long a result is of use
	againAfter = 10 * time.Second // an answer that did not come
	firstWait  = time.Second      // between tries to tell a result
	longWait   = 15 * time.Second // at most
	stopWithin = 5 * time.Second  // attempts that run when the agent ends have this long
)

// Broker is what is asked of the gateway. Errors are of package fault, or the context's.
type Broker interface {
	PendingWebhooks(ctx context.Context, id agent.ID) ([]wire.PendingWebhook, error)
	TellWebhook(ctx context.Context, delivery string, r wire.WebhookResult) error
}

// Sender makes one attempt within the request's timeout.
type Sender interface {
	Send(ctx context.Context, r webhook.Request) webhook.Outcome
}

// Courier makes deliveries. Use New.
type Courier struct {
	broker Broker
	agent  agent.ID
	sender Sender
	count  func(class string)
	log    *slog.Logger
	rang   chan struct{}

	mu       sync.Mutex
	running  int
	attempts sync.WaitGroup
}

// New returns a courier; nothing is claimed before Run. Count is told the class of each attempt.
func New(b Broker, id agent.ID, s Sender, count func(string), log *slog.Logger) *Courier {
	return &Courier{broker: b, agent: id, sender: s, count: count, log: log, rang: make(chan struct{}, 1)}
}

// Ring says that deliveries wait. It never blocks.
func (c *Courier) Ring() {
	select {
	case c.rang <- struct{}{}:
	default:
	}
}

// Run delivers whenever it rings, until ctx ends; then attempts that run may end, for a moment. One that is cut off is not told of: its
// claim ends, and it is tried again.
func (c *Courier) Run(ctx context.Context) error {
	calls, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	defer c.attempts.Wait()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin, hangUp) })()
	for {
		select {
		case <-c.rang:
		case <-ctx.Done():
			return nil
		}
		if err := c.claim(ctx, calls); err != nil && ctx.Err() == nil {
			c.log.DebugContext(ctx, "webhooks could not be fetched; they are asked for again", "error", err.Error())
			time.AfterFunc(againAfter+rand.N(againAfter/2), c.Ring) //nolint:gosec // jitter
		}
	}
}

// claim begins what is due, as long as there are hands for all that one answer may have.
func (c *Courier) claim(ctx, calls context.Context) error {
	for c.atWork() <= hands-batch && ctx.Err() == nil {
		asked := time.Now()
		list, err := c.broker.PendingWebhooks(ctx, c.agent)
		if err != nil || len(list) == 0 {
			return err
		}
		c.mu.Lock()
		c.running += len(list)
		c.mu.Unlock()
		for _, w := range list {
			c.attempts.Go(func() { c.deliver(calls, w, asked) })
		}
	}
	return nil
}

func (c *Courier) atWork() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// deliver makes one attempt and tells how it ended.
func (c *Courier) deliver(ctx context.Context, w wire.PendingWebhook, asked time.Time) {
	defer c.Ring() // there is a free hand, and its subscription may have more
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}()
	r := webhook.Request{
		URL: w.URL, EventType: event.Type(w.EventType), DeliveryID: webhook.DeliveryID(w.ID), Signature: w.Signature, Body: w.Payload,
		Timeout: time.Duration(w.TimeoutSeconds) * time.Second,
	}
	if w.AuthHeader != nil {
		r.AuthHeader = *w.AuthHeader
	}
	o := c.sender.Send(ctx, r)
	if !o.Success && ctx.Err() != nil {
		return
	}
	c.count(string(o.Class))
	c.log.DebugContext(ctx, "webhook sent", "delivery", w.ID, "event", w.EventType, "success", o.Success, "status", o.StatusCode, "error", o.Error)
	c.tell(ctx, w, o, asked.Add(max(claimed, r.Timeout)))
}

func resultOf(o webhook.Outcome) wire.WebhookResult {
	ms := o.Took.Milliseconds()
	r := wire.WebhookResult{Success: o.Success, DurationMS: &ms}
	if o.StatusCode != 0 {
		r.StatusCode = &o.StatusCode
	}
	if o.Error != "" {
		r.Error = &o.Error
	}
	return r
}

// tell tells the result until the broker has it or the claim is over.
func (c *Courier) tell(ctx context.Context, w wire.PendingWebhook, o webhook.Outcome, until time.Time) {
	wait := firstWait
	for {
		err := c.broker.TellWebhook(ctx, w.ID, resultOf(o))
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case fault.Is(err, fault.Forbidden), fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid), time.Now().After(until):
			c.log.WarnContext(ctx, "the result of a webhook is not taken; it may be sent once more", "delivery", w.ID, "success", o.Success, "error", err.Error())
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		wait = min(2*wait, longWait)
	}
}

// Classes are what Count is told.
func Classes() []string {
	all := webhook.Classes()
	out := make([]string, len(all))
	for i, c := range all {
		out[i] = string(c)
	}
	return out
}
