package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// Processes are killed (kill -9) while a producer publishes one revision after the other, and started again. Whatever
// was acknowledged is there, the last revision arrives everywhere, and what had nothing to do with it was never touched.
func TestKilledInTheMiddle(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	g := w.Tenant
	steady := w.App("steady", "one", 1)
	ss := g.NewStack(t, "steady", world.All)
	g.WaitHealthy(t, g.Publish(t, ss.ID, steady.Bundle()), w.Agents...)
	before := []map[string]string{}
	for _, c := range w.Clusters {
		before = append(before, c.Versions(ss.ID, world.ConfigMaps, world.Services))
	}

	agents := []*world.Service{w.Agents[0].Service, w.Agents[1].Service}
	for _, round := range []struct {
		name    string
		victims []*world.Service
	}{
		{"api", []*world.Service{w.API}},
		{"one-gateway", w.Gateways[:1]},
		{"gateways", w.Gateways},
		{"one-scheduler", w.Schedulers[:1]},
		{"schedulers", w.Schedulers},
		{"one-agent", agents[:1]},
		{"agents", agents},
		{"everything", w.Services()},
	} {
		t.Logf("round %s", round.name)
		doomed := w.App(round.name+"-doomed", "x", 1)
		sd := g.NewStack(t, doomed.Name, world.All)
		g.WaitHealthy(t, g.Publish(t, sd.ID, doomed.Bundle()), w.Agents...)
		st := g.NewStack(t, round.name, world.All)

		p := publish(t.Context(), g, st.ID, func(n int) string { return w.App(round.name, fmt.Sprint(n), 1).Bundle() })
		p.await(t, 3)
		g.DeleteStack(t, sd.ID)
		for _, v := range round.victims {
			v.Kill()
		}
		for _, v := range round.victims {
			v.StartUnready()
		}
		for _, v := range round.victims {
			v.Ready()
		}
		acknowledged := p.finish(t)
		last := acknowledged[len(acknowledged)-1]
		t.Logf("round %s: %d revisions, the last one healthy after %s", round.name, len(acknowledged), g.WaitHealthy(t, last, w.Agents...))
		runs(t, w, w.App(round.name, p.text, 1))
		wantAll(t, g, st.ID, acknowledged)
		for i, c := range w.Clusters {
			g.WaitUnassigned(t, sd.ID, w.Agents[i])
			absent(t, c, doomed)
		}
		g.DeleteStack(t, st.ID)
	}
	for i, c := range w.Clusters {
		stays(t, c, ss.ID, before[i])
	}
}

// producer publishes revisions until it is told to finish. It repeats what was not acknowledged, as clients do.
type producer struct {
	acked chan world.Object
	stop  context.CancelFunc
	end   chan error
	seen  []world.Object
	text  string // of the last acknowledged revision
	texts map[string]string
}

func publish(ctx context.Context, g world.Generator, stack string, bundle func(n int) string) *producer {
	stopping, stop := context.WithCancel(ctx)
	p := &producer{acked: make(chan world.Object, 10_000), stop: stop, end: make(chan error, 1), texts: map[string]string{}}
	go func() {
		defer close(p.acked)
		p.end <- func() error {
			var failing time.Time
			for n := 1; ; {
				o, err := g.TryPublish(ctx, stack, bundle(n))
				switch {
				case err == nil:
					p.texts[o.ID] = fmt.Sprint(n)
					p.acked <- o
					failing = time.Time{}
					if stopping.Err() != nil {
						return nil //nolint:nilerr // it was told to stop
					}
					n++
				case failing.IsZero():
					failing = time.Now()
				case time.Since(failing) > world.Patience:
					return fmt.Errorf("publish fails for %s: %w", world.Patience, err)
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
	}()
	return p
}

// await waits until n revisions are acknowledged.
func (p *producer) await(t *testing.T, n int) {
	t.Helper()
	for len(p.seen) < n {
		o, ok := <-p.acked
		if !ok {
			t.Fatalf("publish: %v", <-p.end)
		}
		p.seen = append(p.seen, o)
	}
}

// finish publishes one more and returns all that were acknowledged.
func (p *producer) finish(t *testing.T) []world.Object {
	t.Helper()
	p.stop()
	for o := range p.acked {
		p.seen = append(p.seen, o)
	}
	if err := <-p.end; err != nil {
		t.Fatal(err)
	}
	p.text = p.texts[p.seen[len(p.seen)-1].ID]
	return p.seen
}

// wantAll looks for every acknowledged object, in the order of its acknowledgement.
func wantAll(t *testing.T, g world.Generator, stack string, acknowledged []world.Object) {
	t.Helper()
	stored, err := g.Objects(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	at := len(stored)
	for _, o := range acknowledged {
		i := slices.IndexFunc(stored, func(s world.Object) bool { return s.ID == o.ID })
		if i < 0 {
			t.Errorf("object %d was acknowledged and is lost", o.SequenceID)
			continue
		}
		if i >= at {
			t.Errorf("object %d is out of order", o.SequenceID)
		}
		at = i
	}
}
