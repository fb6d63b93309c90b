package porttest

import (
	"fmt"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func claimCases() map[string]func(*world) {
	return map[string]func(*world){
		"a claim has all that a call takes":           claimWhole,
		"a claim keeps its quota":                     claimQuota,
		"what is not due or not enabled is not there": claimNotDue,
		"a claim that is over is for the taking":      claimOver,
		"racers never get the same":                   claimRace,
		"agents get what their labels match":          claimByAgents,
		"a settlement is the holder's":                claimSettledByAgent,
		"what waits for agents rings and is counted":  claimWaiting,
		"subscriptions share an agent":                claimSharesAgents,
		"when the next is due is known":               claimDue,
		"a retry that is due rings for agents":        claimRingsDue,
	}
}

func (w *world) claim(q ports.Quota) []webhook.Call {
	w.Helper()
	calls, err := w.Deliveries().Claim(w.ctx, time.Minute, q)
	wantNone(w.T, "claim", err)
	return calls
}

func (w *world) claimFor(a agent.ID, limit int) []webhook.Call {
	w.Helper()
	calls, err := w.Deliveries().ClaimFor(w.ctx, a, time.Minute, 0, ports.Quota{Limit: limit, Each: 10})
	wantNone(w.T, "claim for agent", err)
	return calls
}

func idsOf(calls []webhook.Call) []webhook.DeliveryID {
	var out []webhook.DeliveryID
	for _, c := range calls {
		out = append(out, c.ID)
	}
	return out
}

func claimWhole(w *world) {
	s := w.webhook("s")
	id := w.enqueue(s.ID, 1)[0]
	before := time.Now()
	c := w.claimOne()
	wantSame(w.T, "delivery", c.Delivery, w.seeDelivery(id))
	wantSame(w.T, "target", c.Target, someTarget())
	wantSame(w.T, "timeout", c.Timeout, s.Timeout)
	wantSame(w.T, "retries", c.MaxRetries, s.MaxRetries)
	if c.Status != webhook.Acquired || c.Attempts != 1 || c.AcquiredBy != nil || c.LastAttemptAt == nil {
		w.Fatalf("got %+v, want it acquired for its first attempt", c.Delivery)
	}
	if until := c.AcquiredUntil.Sub(before); until < time.Minute || until > 2*time.Minute {
		w.Fatalf("acquired for %s, want timeout and grace", until)
	}
	wantSame(w.T, "again", len(w.claim(ports.Quota{Limit: 10, Each: 10})), 0)
}

func claimQuota(w *world) {
	s, other := w.webhook("s"), w.webhook("other")
	mine := w.enqueue(s.ID, 6)
	w.enqueue(other.ID, 6)
	count := func(calls []webhook.Call) map[webhook.ID]int {
		out := map[webhook.ID]int{}
		for _, c := range calls {
			out[c.Subscription]++
		}
		return out
	}
	first := w.claim(ports.Quota{Limit: 10, Each: 2, Busy: map[webhook.ID]int{other.ID: 1}})
	wantSame(w.T, "a share of each", count(first), map[webhook.ID]int{s.ID: 2, other.ID: 1})
	for _, c := range first {
		if c.Subscription == s.ID && c.ID != mine[0] && c.ID != mine[1] {
			w.Errorf("claimed %s, want the first two of %v", c.ID, mine)
		}
	}
	wantSame(w.T, "one that is full", count(w.claim(ports.Quota{Limit: 10, Each: 2, Busy: map[webhook.ID]int{s.ID: 2}})), map[webhook.ID]int{other.ID: 2})
	wantSame(w.T, "in all", len(w.claim(ports.Quota{Limit: 3, Each: 10})), 3)
	wantSame(w.T, "the rest", len(w.claim(ports.Quota{Limit: 100, Each: 100})), 4)
}

func claimNotDue(w *world) {
	off := w.webhook("off", func(s *webhook.Subscription) { s.Enabled = false })
	far := w.webhook("far", labelled("x"))
	s := w.webhook("s")
	w.enqueue(off.ID, 1)
	w.enqueue(far.ID, 1)
	w.enqueue(s.ID, 1)
	c := w.claimOne()
	wantSame(w.T, "subscription", c.Subscription, s.ID)
	later := time.Now().Add(time.Hour)
	w.settle(c, webhook.Failed, &later)
	wantSame(w.T, "before the retry", len(w.claim(ports.Quota{Limit: 10, Each: 10})), 0)
	off.Enabled = true
	wantNone(w.T, "enable", w.Webhooks().Update(w.ctx, off, nil))
	wantSame(w.T, "enabled", w.claimOne().Subscription, off.ID)
}

func claimOver(w *world) {
	w.webhook("other")
	s := w.webhook("s", func(s *webhook.Subscription) { s.MaxRetries, s.Timeout = 1, time.Millisecond })
	w.enqueue(s.ID, 1)
	for attempt := 1; attempt <= 2; attempt++ {
		var calls []webhook.Call
		await(w.T, "it is due", func() bool {
			var err error
			calls, err = w.Deliveries().Claim(w.ctx, 0, ports.Quota{Limit: 10, Each: 10})
			wantNone(w.T, "claim", err)
			return len(calls) > 0
		})
		wantSame(w.T, "attempt", calls[0].Attempts, attempt)
	}
	await(w.T, "the last attempt is over", func() bool {
		buried, _, err := w.Deliveries().Sweep(w.ctx, w.at, 10)
		wantNone(w.T, "sweep", err)
		return buried == 1
	})
	wantSame(w.T, "after the last attempt", len(w.claim(ports.Quota{Limit: 10, Each: 10})), 0)
}

func claimRace(w *world) {
	const n = 40
	for i := range 4 {
		w.enqueue(w.webhook(fmt.Sprint(i)).ID, n/4)
	}
	var mu sync.Mutex
	count := map[webhook.DeliveryID]int{}
	errs := race(8, func(int) error {
		for range 50 {
			calls, err := w.Deliveries().Claim(w.ctx, time.Minute, ports.Quota{Limit: 3, Each: 2})
			if err != nil {
				return err
			}
			mu.Lock()
			for _, c := range calls {
				count[c.ID]++
			}
			done := len(count) == n
			mu.Unlock()
			if done {
				return nil
			}
		}
		return nil
	})
	for _, err := range errs {
		wantNone(w.T, "claim", err)
	}
	wantSame(w.T, "claimed", len(count), n)
	for id, times := range count {
		if times != 1 {
			w.Errorf("%s was claimed %d times", id, times)
		}
	}
}

func claimByAgents(w *world) {
	both, one := w.agent("both"), w.agent("one")
	w.label(both.ID, "prod")
	w.label(both.ID, "eu")
	w.label(one.ID, "prod")
	w.enqueue(w.webhook("broker's").ID, 1)
	prodEU := w.webhook("prod and eu", labelled("prod", "eu"))
	prod := w.webhook("prod", labelled("prod"))
	off := w.webhook("off", labelled("prod"), func(s *webhook.Subscription) { s.Enabled = false })
	first, second := w.enqueue(prodEU.ID, 1), w.enqueue(prod.ID, 3)
	w.enqueue(off.ID, 1)
	wantSame(w.T, "of one label", idsOf(w.claimFor(one.ID, 2)), second[:2])
	calls := w.claimFor(both.ID, 10)
	wantSame(w.T, "of both labels", idsOf(calls), []webhook.DeliveryID{first[0], second[2]})
	if left := calls[0].AcquiredUntil.Sub(*calls[0].LastAttemptAt); left < time.Minute-time.Second || left > time.Minute+time.Second {
		w.Errorf("claimed for %s, want a minute", left)
	}
	wantSame(w.T, "acquired by", *calls[0].AcquiredBy, both.ID)
	wantSame(w.T, "target", calls[0].Target, someTarget())
	wantSame(w.T, "again", len(w.claimFor(both.ID, 10)), 0)
	_, err := w.Deliveries().ClaimFor(w.ctx, newID[agent.ID](), time.Minute, 0, ports.Quota{Limit: 1, Each: 1})
	wantKind(w.T, "an agent that is not there", err, fault.NotFound)
}

// A subscription whose receiver hangs keeps so many calls of an agent, and no more; a long timeout prolongs the claim.
func claimSharesAgents(w *world) {
	a := w.agent("a")
	w.label(a.ID, "prod")
	slow := w.webhook("slow", labelled("prod"), func(s *webhook.Subscription) { s.Timeout = 5 * time.Minute })
	w.enqueue(slow.ID, 5)
	claim := func(limit, each int) map[webhook.ID]int {
		w.Helper()
		calls, err := w.Deliveries().ClaimFor(w.ctx, a.ID, time.Minute, 30*time.Second, ports.Quota{Limit: limit, Each: each})
		wantNone(w.T, "claim for agent", err)
		out := map[webhook.ID]int{}
		for _, c := range calls {
			out[c.Subscription]++
			if left := c.AcquiredUntil.Sub(*c.LastAttemptAt); c.Subscription == slow.ID && left < 329*time.Second {
				w.Errorf("claimed for %s, want timeout and grace", left)
			}
		}
		return out
	}
	wantSame(w.T, "of one subscription", claim(10, 2), map[webhook.ID]int{slow.ID: 2})
	other := w.webhook("other", labelled("prod"))
	w.enqueue(other.ID, 3)
	wantSame(w.T, "while that hangs", claim(10, 2), map[webhook.ID]int{other.ID: 2})
	wantSame(w.T, "with more room", claim(10, 4), map[webhook.ID]int{slow.ID: 2, other.ID: 1})
	wantSame(w.T, "the rest", claim(10, 10), map[webhook.ID]int{slow.ID: 1})
}

func claimDue(w *world) {
	due := func() (time.Time, bool) {
		w.Helper()
		at, ok, err := w.Deliveries().Due(w.ctx)
		wantNone(w.T, "due", err)
		return at, ok
	}
	_, ok := due()
	wantSame(w.T, "nothing", ok, false)
	w.enqueue(w.webhook("agents'", labelled("prod")).ID, 1)
	off := w.webhook("off", func(s *webhook.Subscription) { s.Enabled = false })
	w.enqueue(off.ID, 1)
	_, ok = due()
	wantSame(w.T, "what others deliver", ok, false)
	w.enqueue(w.webhook("s").ID, 1)
	at, ok := due()
	if !ok || time.Since(at) > time.Minute || time.Until(at) > time.Second {
		w.Fatalf("got %s, %t, want now", at, ok)
	}
	c := w.claimOne()
	at, ok = due()
	if !ok || !at.Equal(*c.AcquiredUntil) {
		w.Fatalf("claimed: got %s, %t, want the end of the claim, %s", at, ok, c.AcquiredUntil)
	}
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	w.settle(c, webhook.Failed, &later)
	if at, ok = due(); !ok || !at.Equal(later) {
		w.Fatalf("failed: got %s, %t, want %s", at, ok, later)
	}
}

// A retry that becomes due rings for agents, once.
func claimRingsDue(w *world) {
	a := w.agent("a")
	w.label(a.ID, "prod")
	ring := func(after time.Time) time.Time {
		w.Helper()
		at, err := w.Deliveries().RingDue(w.ctx, after)
		wantNone(w.T, "ring", err)
		return at
	}
	w.enqueue(w.webhook("s", labelled("prod")).ID, 1)
	w.enqueue(w.webhook("broker's").ID, 1)
	c := w.claimFor(a.ID, 1)[0]
	seen := ring(w.at)
	heard := w.listen(w.ctx, ports.WorkGrew)
	soon := time.Now().Add(200 * time.Millisecond)
	text := "it failed"
	n, err := w.Deliveries().Settle(w.ctx, a.ID, []webhook.Settlement{{ID: c.ID, Attempt: 1, Status: webhook.Failed, At: time.Now(), RetryAt: &soon, Error: &text}})
	wantNone(w.T, "settle", err)
	wantSame(w.T, "settled", n, 1)
	await(w.T, "the retry rings", func() bool {
		seen = ring(seen)
		select {
		case u := <-heard:
			wantSame(w.T, "wakeup", u, ports.Wakeup{Channel: ports.WorkGrew})
			return true
		default:
			return false
		}
	})
	seen = ring(seen)
	ring(seen)
	wantNone(w.T, "a bell", w.Works().Ring(w.ctx, a.ID))
	wantSame(w.T, "the next bell", w.nextWakeup(heard), ports.Wakeup{Channel: ports.WorkGrew, Payload: string(a.ID)})
}

func claimSettledByAgent(w *world) {
	a, other := w.agent("a"), w.agent("other")
	w.label(a.ID, "prod")
	w.enqueue(w.webhook("s", labelled("prod")).ID, 1)
	c := w.claimFor(a.ID, 1)[0]
	x := []webhook.Settlement{{ID: c.ID, Attempt: 1, Status: webhook.Success, At: w.at}}
	for holder, want := range map[agent.ID]int{"": 0, other.ID: 0} {
		n, err := w.Deliveries().Settle(w.ctx, holder, x)
		wantNone(w.T, "settle", err)
		wantSame(w.T, "by another", n, want)
	}
	n, err := w.Deliveries().Settle(w.ctx, a.ID, x)
	wantNone(w.T, "settle", err)
	wantSame(w.T, "by the holder", n, 1)
	wantSame(w.T, "status", w.seeDelivery(c.ID).Status, webhook.Success)
}

func claimWaiting(w *world) {
	both, one := w.agent("both"), w.agent("one")
	w.label(both.ID, "prod")
	w.label(both.ID, "eu")
	w.label(one.ID, "prod")
	w.enqueue(w.webhook("broker's").ID, 1)
	wantSame(w.T, "nothing", w.pending(both.ID).Webhooks, 0)
	bell := w.listen(w.ctx, ports.WorkGrew)
	w.enqueue(w.webhook("prod", labelled("prod")).ID, 2)
	wantSame(w.T, "the bell", w.nextWakeup(bell), ports.Wakeup{Channel: ports.WorkGrew})
	w.enqueue(w.webhook("prod and eu", labelled("prod", "eu")).ID, 1)
	w.enqueue(w.webhook("off", labelled("prod"), func(s *webhook.Subscription) { s.Enabled = false }).ID, 1)
	wantSame(w.T, "for both labels", w.pending(both.ID).Webhooks, 3)
	wantSame(w.T, "for one", w.pending(one.ID).Webhooks, 2)
	wantSame(w.T, "marked", w.pending(one.ID).Mark > 0, true)
	w.claimFor(one.ID, 10)
	wantSame(w.T, "after a claim", w.pending(both.ID).Webhooks, 1)
}
