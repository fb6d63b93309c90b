package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
)

const (
	leasePatience = 3 * time.Second // that the conversation with the broker waits for the lease
	handOver      = 2 * time.Minute // that a predecessor has, in a rolling update
)

// office says whether this process is the one that acts for the agent in its cluster: the holder of the agent's lease.
//
// Another process with the same identity in the same cluster is the successor in a rolling update, a second replica, or a
// mistake. It stands by: it does nothing in the cluster, and has nothing to report. Reports of two processes would end
// each other's, since the broker believes the one that began last. It counts as ready, for a rolling update ends the
// predecessor only when the successor is. If it stands by for longer than that takes, it syncs, with a boot id of its own
// and the target state put aside, so that the broker sees that there are two and shows it.
//
// A process that loses the lease, because it could not renew it for so long that another took over, ends with an error.
// It is started anew by what started it, as one that stands by, with a boot id that the broker has not seen replaced and
// with nothing in its memory of a cluster that another has worked on since.
//
// Processes with one identity in different clusters do not see each other's lease. All of them act; the broker shows it.
type office struct {
	mu    sync.Mutex
	log   *slog.Logger
	state kube.LeaseState
	other string
	held  chan struct{} // closed when this process holds the lease
	stood chan struct{} // closed when another one does, at first
	lost  chan struct{} // closed when this process holds it no more
}

// open makes the office ready for the other calls but check, which may come before.
func (o *office) open(log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log, o.held, o.stood, o.lost = log, make(chan struct{}), make(chan struct{}), make(chan struct{})
}

// changed is told of each change of the lease.
func (o *office) changed(s kube.LeaseState, other string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.lost:
		return // for good
	default:
	}
	was := o.state
	o.state, o.other = s, other
	switch {
	case s == kube.LeaseHeld && was != kube.LeaseHeld:
		o.log.Info("this process acts for the agent: it holds the lease")
		close(o.held)
	case s == kube.LeaseOther && was == kube.LeaseHeld:
		close(o.lost)
	case s == kube.LeaseOther && was == kube.LeaseUnknown:
		close(o.stood)
		o.log.Warn("another process acts for this agent; this one stands by until that ends or does not renew its lease", "holder", other)
	}
}

// check is nil while this process acts.
func (o *office) check(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch o.state {
	case kube.LeaseHeld:
		return nil
	case kube.LeaseOther:
		return fmt.Errorf("another process acts for this agent: %s", o.other)
	case kube.LeaseUnknown:
	}
	return errors.New("the lease is not known yet")
}

// speak runs talk, the conversation with the broker, when it is time: when this process acts, when it stands by for so long
// that the broker should know, or when the lease cannot be read, which the broker is to be told.
func (o *office) speak(ctx context.Context, talk func(context.Context) error) error {
	patience := time.After(leasePatience)
	stood := o.stood
	for {
		select {
		case <-stood:
			stood, patience = nil, time.After(handOver)
			continue
		case <-o.held:
		case <-patience:
		case <-ctx.Done():
			return nil
		}
		return talk(ctx)
	}
}

// serve runs work while this process holds the lease. It fails when the lease is lost, after work has ended.
func (o *office) serve(ctx context.Context, work func(context.Context) error) error {
	select {
	case <-o.held:
	case <-ctx.Done():
		return nil
	}
	acting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-o.lost:
			stop()
		case <-acting.Done():
		}
	}()
	if err := work(acting); err != nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("this process ends, for another has taken over the agent's lease: %s; if that is not its successor, give it a PAK of its own", o.holder())
}

// during runs work as soon as this process holds the lease, until ctx ends. What the loss of the lease means is left to serve.
func (o *office) during(ctx context.Context, work func(context.Context) error) error {
	select {
	case <-o.held:
		return work(ctx)
	case <-ctx.Done():
		return nil
	}
}

func (o *office) holder() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.other
}
