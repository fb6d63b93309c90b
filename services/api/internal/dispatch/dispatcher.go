package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	grace      = 30 * time.Second // a claim outlives its timeout by this, for settling
	pollEvery  = time.Second      // while something is due that could not be claimed, or results could not be stored
	idleLook   = 15 * time.Second // while nothing is due, in case that a wakeup was lost
	gatherFor  = 5 * time.Millisecond
	stopWithin = 5 * time.Second // attempts that run when the replica stops have this long
	patience   = 3               // failures in a row after which a receiver is tried one at a time
	settleIn   = 10 * time.Second

	maxFailures = 10_000 // subscriptions whose failures are remembered
)

// Dispatcher makes the calls of deliveries that are due. Every subscription has a queue of its own: it may use so many
// calls at a time, and one only while it fails, so that a receiver that hangs takes nothing from the others. Any number of
// replicas share the work.
type Dispatcher struct {
	Store   ports.Store
	Wakeups ports.Wakeups
	Sender  ports.WebhookSender
	Workers int // calls at a time
	Each    int // calls at a time of one subscription
	Now     func() time.Time
	Jitter  func() float64 // in [0, 1)
	Log     *slog.Logger
	Metrics *Metrics

	busy     map[webhook.ID]int // calls that run
	failures map[webhook.ID]int // in a row
	running  int
	ended    chan result
	settled  []webhook.Settlement // to be stored
	timer    *time.Timer          // for the next look without a reason

	claiming, storing trouble
}

type result struct {
	call    webhook.Call
	outcome webhook.Outcome
	stopped bool // by us, not by the receiver
}

// Run delivers until ctx ends; then it lets the attempts end that run, for a moment, and stores how all of them ended.
func (d *Dispatcher) Run(ctx context.Context) error {
	wakeups, err := d.Wakeups.Listen(ctx, ports.WebhooksDue)
	if err != nil {
		return fmt.Errorf("listen for webhooks: %w", err)
	}
	d.busy, d.failures, d.ended = map[webhook.ID]int{}, map[webhook.ID]int{}, make(chan result, d.Workers)
	calls, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	d.timer = time.NewTimer(idleLook)
	defer d.timer.Stop()
	for due := true; ; {
		if due {
			if due = d.claim(ctx, calls); !due {
				d.timer.Reset(d.pause(ctx))
			}
		}
		select {
		case <-ctx.Done():
			return d.stop(context.WithoutCancel(ctx), hangUp)
		case r := <-d.ended:
			d.gather(r)
			d.settle(ctx)
			due = true
		case _, ok := <-wakeups:
			if !ok {
				wakeups = nil // ctx ends
				continue
			}
			due = true
		case <-d.timer.C:
			d.settle(ctx)
			due = true
		}
	}
}

// pause is how long nothing is to do, unless a wakeup says otherwise: until the next delivery is due. A claim writes, and nothing is
// written where nothing is due.
func (d *Dispatcher) pause(ctx context.Context) time.Duration {
	if len(d.settled) > 0 {
		return pollEvery
	}
	if d.running >= d.Workers {
		return idleLook // the end of a call is a reason to look
	}
	at, ok, err := d.Store.Deliveries().Due(ctx)
	switch {
	case err != nil, ok && !at.After(d.Now()): // claiming says what is wrong; what is due is another replica's, or its receiver is busy
		return pollEvery
	case !ok:
		return idleLook
	default:
		return min(at.Sub(d.Now()), idleLook)
	}
}

// claim starts what is due and reports whether more may be.
func (d *Dispatcher) claim(ctx, calls context.Context) bool {
	free := d.Workers - d.running
	if free <= 0 || len(d.settled) > 0 { // a store that takes no results would give the same again
		return false
	}
	list, err := d.Store.Deliveries().Claim(ctx, grace, ports.Quota{Limit: free, Each: d.Each, Busy: d.used()})
	if ctx.Err() == nil {
		d.claiming.note(ctx, d.Log, d.Now(), "claiming webhooks", err)
	}
	if err != nil {
		return false
	}
	for _, c := range list {
		d.busy[c.Subscription]++
		d.running++
		go d.call(calls, c)
	}
	d.Metrics.inFlight.Add(float64(len(list)))
	return len(list) == free
}

// used is how much of Each no call may take.
func (d *Dispatcher) used() map[webhook.ID]int {
	out := make(map[webhook.ID]int, len(d.busy))
	for id, n := range d.busy {
		out[id] = n
	}
	for id, n := range d.failures {
		if n >= patience {
			out[id] += d.Each - 1
		}
	}
	return out
}

func (d *Dispatcher) call(ctx context.Context, c webhook.Call) {
	o := d.Sender.Send(ctx, c.Request(d.Now()))
	d.ended <- result{call: c, outcome: o, stopped: ctx.Err() != nil && !o.Success}
}

// gather takes r and what else ends within a moment, so that one statement stores them all.
func (d *Dispatcher) gather(r result) {
	d.take(r)
	moment := time.NewTimer(gatherFor)
	defer moment.Stop()
	for d.running > 0 {
		select {
		case r := <-d.ended:
			d.take(r)
		case <-moment.C:
			return
		}
	}
}

func (d *Dispatcher) take(r result) {
	id := r.call.Subscription
	d.running--
	if d.busy[id]--; d.busy[id] == 0 {
		delete(d.busy, id)
	}
	d.Metrics.inFlight.Dec()
	d.Metrics.attempts.WithLabelValues(string(r.outcome.Class)).Inc()
	d.Metrics.seconds.Observe(r.outcome.Took.Seconds())
	if r.outcome.Success {
		delete(d.failures, id)
	} else {
		if len(d.failures) > maxFailures {
			clear(d.failures) // of subscriptions that are gone, for the most part
		}
		d.failures[id]++
	}
	at := d.Now()
	s := webhook.Settle(r.call.ID, r.call.Attempts, r.call.MaxRetries, r.outcome, at, d.Jitter())
	if r.stopped { // it is not the receiver's fault: another replica tries again at once, even after the last attempt
		s.Status, s.RetryAt = webhook.Failed, &at
	}
	d.settled = append(d.settled, s)
	d.Metrics.settled.WithLabelValues(string(s.Status)).Inc()
}

// settle stores how attempts ended. What cannot be stored is kept for the next time; should the replica die before, the
// claims end by themselves and the deliveries are tried again.
func (d *Dispatcher) settle(ctx context.Context) {
	if len(d.settled) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleIn)
	defer cancel()
	_, err := d.Store.Deliveries().Settle(ctx, "", d.settled)
	d.storing.note(ctx, d.Log, d.Now(), "storing the outcome of webhooks", err)
	if err == nil {
		d.settled = nil
	}
}

func (d *Dispatcher) stop(ctx context.Context, hangUp context.CancelFunc) error {
	soon := time.AfterFunc(stopWithin, hangUp)
	defer soon.Stop()
	for d.running > 0 {
		d.take(<-d.ended)
	}
	d.settle(ctx)
	return nil
}
