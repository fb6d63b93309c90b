package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// restFor is how long a server that did not answer is left alone.
const restFor = 500 * time.Millisecond

// guard bounds calls in time, translates their errors, and spares callers a server that has just failed to answer: for
// restFor they get Unavailable at once, then one of them tries again.
type guard struct {
	within time.Duration
	resume atomic.Int64 // Unix nanoseconds until which nobody tries; zero while the server answers
}

func newGuard(c *goredis.Client) *guard {
	within := c.Options().ReadTimeout
	if within <= 0 {
		within = answerWithin
	}
	return &guard{within: within}
}

// do runs one round trip. The caller's own end of context comes back as it is.
func (g *guard) do(ctx context.Context, act string, call func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	if !g.enter() {
		return fmt.Errorf("%s: %w", act, fault.New(fault.Unavailable, "unavailable", "Redis has just failed to answer"))
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, g.within)
	defer cancel()
	err := call(bounded)
	if err == nil || errors.Is(err, goredis.Nil) {
		g.resume.Store(0)
		return nil
	}
	if ended := over(ctx); ended != nil {
		// A caller in a hurry proves nothing, unless the server had some time and all callers are in a hurry.
		if errors.Is(ended, context.DeadlineExceeded) && time.Since(began) >= g.within/10 {
			g.rest()
		}
		return fmt.Errorf("%s: %w", act, ended)
	}
	err = translate(err)
	if answered(err) {
		g.resume.Store(0)
	} else {
		g.rest()
	}
	return fmt.Errorf("%s: %w", act, err)
}

func (g *guard) rest() { g.resume.Store(time.Now().Add(restFor).UnixNano()) }

// over returns why ctx has ended. A socket may notice a deadline a moment before the context does.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// enter reports whether the caller may try. While the server rests only one may, at the end of the rest.
func (g *guard) enter() bool {
	until := g.resume.Load()
	if until == 0 {
		return true
	}
	now := time.Now()
	if now.UnixNano() < until {
		return false
	}
	return g.resume.CompareAndSwap(until, now.Add(g.within).UnixNano())
}

// answered reports whether err is the server's own word, and not its silence.
func answered(err error) bool {
	var said goredis.Error
	return errors.As(err, &said)
}

// translate makes a fault of what the driver says.
func translate(err error) error {
	if !answered(err) || goredis.IsLoadingError(err) || goredis.IsReadOnlyError(err) || goredis.IsMasterDownError(err) ||
		goredis.IsClusterDownError(err) || goredis.IsTryAgainError(err) || goredis.IsMaxClientsError(err) || goredis.IsOOMError(err) {
		return fault.New(fault.Unavailable, "unavailable", "Redis is not available").Because(err)
	}
	return fault.New(fault.Internal, "internal_error", "Redis refused the command").Because(err)
}
