// Package intake stores what agents see, many agents' parcels in one transaction: what comes while one transaction runs, and
// shortly before it, shares the next.
package intake

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	gather      = 25 * time.Millisecond // before a transaction
	maxItems    = 20_000                // events, lines and gaps in one transaction
	maxWaiting  = 64 << 20              // bytes that wait, of all agents
	maxOfAgent  = 8 << 20               // bytes that wait of one agent
	perItem     = 256                   // bytes that a thing takes beside its text
	flushLimit  = 20 * time.Second
	againAfter  = time.Second // for parcels that nobody would send again
	retryAfter  = time.Second // told to those for whom there is no room
	lastAttempt = 5 * time.Second
)

// Intake is safe for concurrent use. Run must be running, else nothing is stored and every Add waits for its context.
type Intake struct {
	store  ports.Observations
	now    func() time.Time
	log    *slog.Logger
	stored func(ctx context.Context, parcels []observation.Parcel, receipts []observation.Receipt)

	mu      sync.Mutex
	waiting []*job
	bytes   int
	ofAgent map[string]int // bytes that wait
	grew    chan struct{}
}

type job struct {
	parcel observation.Parcel
	size   int
	done   chan result // nil: nobody waits, so it is tried until it is stored
}

type result struct {
	receipt observation.Receipt
	err     error
}

// New returns an intake. It calls stored with everything that has just been stored, in order; stored must not block.
func New(store ports.Observations, now func() time.Time, log *slog.Logger, stored func(ctx context.Context, parcels []observation.Parcel, receipts []observation.Receipt)) *Intake {
	return &Intake{store: store, now: now, log: log, stored: stored, ofAgent: map[string]int{}, grew: make(chan struct{}, 1)}
}

// Add stores a parcel that has been checked; it is durable when Add returns without an error. Limited means that too much
// waits already.
func (i *Intake) Add(ctx context.Context, p observation.Parcel) (observation.Receipt, error) {
	j := &job{parcel: p, done: make(chan result, 1)}
	if !i.put(j) {
		f := fault.New(fault.Limited, "telemetry_limited", "more telemetry waits to be stored than there is room for; send it again later")
		f.RetryAfter = retryAfter
		return observation.Receipt{}, f
	}
	select {
	case r := <-j.done:
		return r.receipt, r.err
	case <-ctx.Done():
		return observation.Receipt{}, ctx.Err()
	}
}

// Offer takes a parcel that nobody will send again: it is stored soon, if the process lives. False means that there is no
// room for it.
func (i *Intake) Offer(p observation.Parcel) bool { return i.put(&job{parcel: p}) }

func (i *Intake) put(j *job) bool {
	j.size = sizeOf(j.parcel)
	a := string(j.parcel.Agent)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bytes+j.size > maxWaiting || i.ofAgent[a]+j.size > maxOfAgent {
		return false
	}
	i.waiting = append(i.waiting, j)
	i.hold(j, 1)
	select {
	case i.grew <- struct{}{}:
	default:
	}
	return true
}

func (i *Intake) hold(j *job, sign int) {
	a := string(j.parcel.Agent)
	i.bytes += sign * j.size
	if i.ofAgent[a] += sign * j.size; i.ofAgent[a] <= 0 {
		delete(i.ofAgent, a)
	}
}

func sizeOf(p observation.Parcel) int {
	n := perItem * p.Len()
	for _, e := range p.Events {
		n += len(e.Message)
	}
	for _, l := range p.Lines {
		n += len(l.Text)
	}
	return n
}

// Run stores what comes until ctx ends; then it stores what has come, within a few seconds.
func (i *Intake) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAttempt)
			defer cancel()
			for i.flush(last) && last.Err() == nil {
			}
			return nil
		case <-i.grew:
		}
		pause(ctx, gather)
		for i.flush(ctx) && ctx.Err() == nil {
			pause(ctx, gather)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// flush makes one transaction of what waits; it reports whether something waited.
func (i *Intake) flush(ctx context.Context) bool {
	batch := i.take()
	if len(batch) == 0 {
		return false
	}
	parcels := make([]observation.Parcel, len(batch))
	for n, j := range batch {
		parcels[n] = j.parcel
	}
	bounded, cancel := context.WithTimeout(ctx, flushLimit)
	receipts, err := i.store.Add(bounded, i.now().UTC(), parcels)
	cancel()
	if err != nil {
		i.failed(ctx, batch, err)
		return true
	}
	i.mu.Lock()
	for _, j := range batch {
		i.hold(j, -1)
	}
	i.mu.Unlock()
	for n, j := range batch {
		if j.done != nil {
			j.done <- result{receipt: receipts[n]}
		}
	}
	i.stored(ctx, parcels, receipts)
	return true
}

// take returns the jobs of the next transaction. Two numbered parcels of one process are never in the same one.
func (i *Intake) take() []*job {
	i.mu.Lock()
	defer i.mu.Unlock()
	type process struct{ agent, boot string }
	var batch, later []*job
	seen, items := map[process]bool{}, 0
	for n, j := range i.waiting {
		if items >= maxItems {
			later = append(later, i.waiting[n:]...)
			break
		}
		k := process{string(j.parcel.Agent), j.parcel.Boot}
		if j.parcel.Boot != "" && seen[k] {
			later = append(later, j)
			continue
		}
		seen[k] = true
		items += j.parcel.Len()
		batch = append(batch, j)
	}
	i.waiting = later
	return batch
}

// failed tells those who wait, and keeps the parcels for which nobody waits.
func (i *Intake) failed(ctx context.Context, batch []*job, err error) {
	kept := slices.DeleteFunc(slices.Clone(batch), func(j *job) bool { return j.done != nil })
	i.mu.Lock()
	for _, j := range batch {
		if j.done != nil {
			i.hold(j, -1)
		}
	}
	i.waiting = append(kept, i.waiting...)
	i.mu.Unlock()
	for _, j := range batch {
		if j.done != nil {
			j.done <- result{err: err}
		}
	}
	if len(kept) > 0 && ctx.Err() == nil {
		i.log.WarnContext(ctx, "telemetry cannot be stored; it is tried again", "parcels", len(kept), "error", err.Error())
		pause(ctx, againAfter)
	}
}

// Waiting is the number of bytes that wait to be stored.
func (i *Intake) Waiting() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.bytes
}
