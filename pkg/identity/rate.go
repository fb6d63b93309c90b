package identity

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// MaxRate is the largest rate that can be configured: requests a second.
const MaxRate = 1_000_000

// burstSeconds is how many seconds' worth of requests may come at once.
const burstSeconds = 10

// Whom a request counts for, in metrics.
const (
	bySource     = "source"
	byCredential = "credential"
	byAgent      = "agent"
)

// Limit lets only as many requests pass as the configuration allows: those with a credential that is known here count
// for that credential, wherever they come from; all others for their source. So a stranger behind the same address locks
// nobody out who was there before. What is refused is Limited, code rate_limited, with the time after which the next request
// passes, and costs no question to the store. Free requests of an agent's credential (and of nobody else) have a rate of their own, which
// they share with nothing.
func (g *Guard) Limit(onError func(context.Context, http.ResponseWriter, error), free func(*http.Request, tenancy.Principal) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := g.admit(r, free); err != nil {
				onError(r.Context(), w, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func (g *Guard) admit(r *http.Request, free func(*http.Request, tenancy.Principal) bool) error {
	c, now := g.config.Load(), g.verifier.now()
	if key, err := fromHeader(r); err == nil {
		if p, ok := g.verifier.Known(key); ok {
			if free(r, p) {
				return g.refusal(byAgent, c.PulseRate, g.agents.take(p.Agent, c.PulseRate, now))
			}
			return g.refusal(byCredential, c.CredentialRate, g.credentials.take(p.Credential, c.CredentialRate, now))
		}
	}
	return g.refusal(bySource, c.SourceRate, g.visitors.take(g.source(r), c.SourceRate, now))
}

func (g *Guard) refusal(by string, perSecond int, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	g.tooMany(by)
	whose := map[string]string{bySource: "from this address", byCredential: "with this credential", byAgent: "of this agent"}[by]
	f := fault.Newf(fault.Limited, "rate_limited", "too many requests %s: more than %d a second; wait as long as Retry-After says", whose, perSecond)
	f.RetryAfter = wait
	return f
}

// buckets count requests by key. They remember the most recent keys; one that is forgotten begins anew.
type buckets[K comparable] struct {
	mu     sync.Mutex
	most   int
	recent *list.List // of *bucket[K], the last one that asked first
	of     map[K]*list.Element
}

type bucket[K comparable] struct {
	key     K
	limiter *rate.Limiter
}

func newBuckets[K comparable](most int) *buckets[K] {
	return &buckets[K]{most: most, recent: list.New(), of: map[K]*list.Element{}}
}

// take counts one request and returns zero, or counts none and returns how long to wait for the next. No rate: no limit.
func (b *buckets[K]) take(key K, perSecond int, now time.Time) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.of[key]
	if !ok {
		for len(b.of) >= b.most {
			last := b.recent.Back()
			delete(b.of, last.Value.(*bucket[K]).key) //nolint:forcetypeassert // the list holds nothing else
			b.recent.Remove(last)
		}
		e = b.recent.PushFront(&bucket[K]{key: key, limiter: rate.NewLimiter(rate.Limit(perSecond), perSecond*burstSeconds)})
		b.of[key] = e
	}
	b.recent.MoveToFront(e)
	l := e.Value.(*bucket[K]).limiter //nolint:forcetypeassert // the list holds nothing else
	if l.Limit() != rate.Limit(perSecond) {
		l.SetLimitAt(now, rate.Limit(perSecond))
		l.SetBurstAt(now, perSecond*burstSeconds)
	}
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
