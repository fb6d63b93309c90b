package scheduler_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// watched are the repositories of a transaction. What it stores of decisions, rollouts and events is noted.
type watched struct {
	ports.Repositories
	all   *commits
	notes *[]string
}

func (w watched) Decisions() ports.Decisions { return watchedDecisions{w.Repositories.Decisions(), w} }
func (w watched) Rollouts() ports.Rollouts   { return watchedRollouts{w.Repositories.Rollouts(), w} }
func (w watched) Outbox() ports.Outbox       { return watchedOutbox{w.Repositories.Outbox(), w} }

func (w watched) note(what string, v any) { *w.notes = append(*w.notes, what+" "+full(v)) }

type watchedDecisions struct {
	ports.Decisions
	in watched
}

func (w watchedDecisions) Commit(ctx context.Context, list ...ports.Commit) (map[agent.ID]delivery.Revision, error) {
	got, err := w.Decisions.Commit(ctx, list...)
	w.in.all.refused(err)
	if err == nil {
		w.in.all.note(list) // transactions come one after the other
		for _, x := range list {
			x.Record.Traceparent, x.Lease.Holder = "", "" // its span follows from no seed, and the holder has the name of the machine
			w.in.note("a decision", x)
		}
	}
	return got, err
}

type watchedRollouts struct {
	ports.Rollouts
	in watched
}

func (w watchedRollouts) Save(ctx context.Context, x ports.RolloutWrite) (int64, error) {
	w.in.note("a rollout", x)
	return w.Rollouts.Save(ctx, x)
}

type watchedOutbox struct {
	ports.Outbox
	in watched
}

func (w watchedOutbox) Append(ctx context.Context, events ...event.Event) error {
	for _, e := range events {
		e.Traceparent = ""
		w.in.note("an event", e)
	}
	return w.Outbox.Append(ctx, events...)
}

// commits are the decisions that were stored.
type commits struct {
	mu     sync.Mutex
	epochs map[string]int64  // by lease
	stale  int               // that were refused, for another one has decided meanwhile
	about  map[stack.ID]bool // stacks about which something may have been decided since somebody last looked
	wrong  string
}

func newCommits() *commits { return &commits{epochs: map[string]int64{}, about: map[stack.ID]bool{}} }

// note looks whether each stack has one owner at a time: who has lost a lease commits nothing under it any more.
func (c *commits) note(list []ports.Commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range list {
		if x.Lease.Epoch < c.epochs[x.Lease.Name] {
			c.wrong = fmt.Sprintf("a decision about %s was committed under epoch %d of %s after one under epoch %d", x.Stack, x.Lease.Epoch, x.Lease.Name, c.epochs[x.Lease.Name])
		}
		c.epochs[x.Lease.Name] = x.Lease.Epoch
		c.about[x.Stack] = true
	}
}

// news reports whether something may have been decided about the stack since it was last asked.
func (c *commits) news(id stack.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := c.about[id]
	delete(c.about, id)
	return is
}

func (c *commits) refused(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault.Is(err, fault.Conflict) {
		c.stale++
	}
}

func (c *commits) err() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}
