package app

import (
	"context"
	"errors"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/turn"
)

// What is asked for in one tenant's name and has no turn waits for it; what is more than that is refused.
const (
	foresightWaiting  = 8
	foresightPatience = 10 * time.Second
	foresightAgain    = 2 * time.Second // after which whoever was refused may try again
)

// Foresight returns the turns of what is worked out and changes nothing: plans, previews of publications and differences. Each of them
// decides about all stacks on all clusters, or reads bundles of megabytes.
func Foresight(all, each int, count func(turn.Outcome)) *turn.Turns {
	return turn.New(turn.Limits{All: all, Each: each, Waiting: foresightWaiting, Patience: foresightPatience}, count)
}

// foresee waits for the turn of p to work something out and returns what ends it: Limited (too_many_plans) if too much waits already in
// the same name, or there was none for long. A generator is one name with all of its keys; of others each key is one.
func (a *App) foresee(ctx context.Context, p tenancy.Principal) (func(), error) {
	whose := string(p.Generator)
	if whose == "" {
		whose = string(p.Credential)
	}
	end, err := a.Turns.Take(ctx, whose)
	if errors.Is(err, turn.ErrNone) {
		f := fault.New(fault.Limited, "too_many_plans", "too many plans, previews or differences are being worked out; wait as long as Retry-After says")
		f.RetryAfter = foresightAgain
		return nil, f
	}
	return end, err
}
