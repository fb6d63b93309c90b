// Package lifecycle runs the long-lived parts of a process as one group and stops them in stages.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

// Part is something long-lived. Run returns when its context ends (nil or the context's error) or when it cannot go on.
type Part struct {
	Name string
	Run  func(ctx context.Context) error
}

// PartLabel is the pprof label that has the name of the part: profiles and whoever has its context know whose work it is.
const PartLabel = "part"

// Group runs parts. Parts are added from the innermost (stores, flushed and closed last) to the outermost
// (listeners, stopped first). The zero Group is ready to use; it is not for concurrent use.
type Group struct {
	Log   *slog.Logger
	Grace time.Duration // for each part to end; 10 s if zero
	parts []Part
}

// Add adds a part outside of those that were added before.
func (g *Group) Add(name string, run func(ctx context.Context) error) {
	g.parts = append(g.parts, Part{Name: name, Run: run})
}

// AddClose adds a part that does nothing but to close something at the end.
func (g *Group) AddClose(name string, closeFn func(ctx context.Context) error) {
	g.Add(name, func(ctx context.Context) error {
		<-ctx.Done()
		return closeFn(context.WithoutCancel(ctx))
	})
}

// Run starts every part and waits until ctx ends or the first part returns; then it stops the parts one after the
// other, outermost first, and returns the first error. A part that does not end in time is left behind and named.
func (g *Group) Run(ctx context.Context) error {
	type running struct {
		cancel context.CancelFunc
		done   chan error
	}
	grace := g.Grace
	if grace == 0 {
		grace = 10 * time.Second
	}
	ended := make(chan string, len(g.parts))
	runs := make([]running, len(g.parts))
	for i, p := range g.parts {
		c, cancel := context.WithCancel(context.WithoutCancel(ctx))
		runs[i] = running{cancel: cancel, done: make(chan error, 1)}
		go pprof.Do(c, pprof.Labels(PartLabel, p.Name), func(c context.Context) {
			runs[i].done <- p.Run(c)
			ended <- p.Name
		})
	}
	select {
	case <-ctx.Done():
	case name := <-ended:
		g.Log.InfoContext(ctx, "stopping because a part ended", "part", name)
	}
	var errs []error
	for i := len(runs) - 1; i >= 0; i-- {
		runs[i].cancel()
		select {
		case err := <-runs[i].done:
			if err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("%s: %w", g.parts[i].Name, err))
			}
		case <-time.After(grace):
			errs = append(errs, fmt.Errorf("%s did not end within %s", g.parts[i].Name, grace))
		}
	}
	return errors.Join(errs...)
}

// Signals returns a context that ends with SIGINT or SIGTERM; a second signal kills the process as usual.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	c, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	var once sync.Once
	go func() {
		<-c.Done()
		once.Do(stop)
	}()
	return c, func() { once.Do(stop) }
}
