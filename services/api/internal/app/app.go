// Package app holds what happens when somebody asks the api for something: one file a group of use cases, each a
// function over the store. A use case takes the principal that asks, checks whose the thing is, and makes its
// change with its events in one transaction. Another tenant's thing is NotFound, exactly like one that does not exist.
package app

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/turn"
)

// BundleCheck returns how many manifests content holds, or refuses it (Invalid), naming document and line.
type BundleCheck func(content []byte) (int, error)

// TraceParent returns the W3C trace context of a call, empty without one.
type TraceParent func(ctx context.Context) string

// App is the set of use cases. All fields are required; it holds no state but what it remembers of clusters for a moment, and is
// safe for concurrent use.
type App struct {
	Store  ports.Store
	Now    func() time.Time
	Random io.Reader // of keys
	Check  BundleCheck
	Trace  TraceParent
	Keep   time.Duration // how long observations are kept

	KeepDeleted time.Duration // how long at least a deleted stack can be restored, as the scheduler has it

	// Connected returns since when these agents have a live channel; those that have none are absent.
	Connected func(ctx context.Context, agents []agent.ID) map[agent.ID]time.Time

	Templates TemplateEngine
	Policies  PolicyReader
	Language  placement.Deps                // of policies
	Brake     placement.Brake               // of the scheduler, for what plans foretell
	Rules     func(expression string) error // says what is wrong with a health rule's expression
	Sender    ports.WebhookSender           // only who tests webhooks needs it
	Reload    Reloader                      // nil: the process has no configuration file
	Turns     *turn.Turns                   // of plans, previews and differences: Foresight

	fleets fleets
}

// staleTries bounds how often a use case is run again because a row that it read changed before it was written.
const staleTries = 4

// write runs fn in one transaction, again when a row has changed between being read and written: nobody who calls a
// use case has said on which version it rests, so the newest is meant.
func (a *App) write(ctx context.Context, fn func(ctx context.Context, tx ports.Repositories) error) error {
	touched := a.fleets.touched.Load()
	defer func() { a.fleets.settle(touched) }()
	var err error
	for range staleTries {
		if err = a.Store.Write(ctx, fn); !fault.Is(err, fault.Conflict) || fault.CodeOf(err) != "conflict" {
			return err
		}
	}
	return err
}

// now is the moment of a change in the precision that stores keep.
func (a *App) now() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }

func newID() string { return uuid.NewString() }

// occurred is an event without its ids.
func (a *App) occurred(ctx context.Context, t event.Type, at time.Time, data map[string]any) event.Event {
	return event.Event{ID: newID(), Type: t, At: at, Traceparent: a.Trace(ctx), Data: data}
}

func (a *App) agentEvent(ctx context.Context, t event.Type, id agent.ID, at time.Time, data map[string]any) event.Event {
	a.fleets.touch()
	e := a.occurred(ctx, t, at, data)
	e.Agent = id
	return e
}

func (a *App) stackEvent(ctx context.Context, t event.Type, s stack.Stack, at time.Time, data map[string]any) event.Event {
	e := a.occurred(ctx, t, at, data)
	e.Stack, e.Generator = s.ID, s.Generator
	return e
}

func (a *App) consentEvent(ctx context.Context, id agent.ID, g tenancy.GeneratorID, state string, at time.Time) event.Event {
	a.fleets.touch()
	e := a.occurred(ctx, event.ConsentChanged, at, map[string]any{"agent_id": id, "generator_id": g, "state": state})
	e.Agent, e.Generator = id, g
	return e
}

// Patch is a field of a partial update: absent, or set, possibly to nothing.
type Patch[T any] struct {
	Set   bool
	Value *T
}
