package http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/trail"
)

const (
	idempotencyKey      = "Idempotency-Key"
	idempotencyReplayed = "Idempotency-Replayed"

	// keyPatience is how long a repeated request waits for the first to end and to be answered.
	keyPatience = 2 * time.Second
	firstLook   = 20 * time.Millisecond
	longestLook = 250 * time.Millisecond
	// keepFor bounds how long keeping an answer may take, in which its client waits.
	keepFor = 5 * time.Second
)

// ledger knows which requests were done.
type ledger interface {
	Recall(ctx context.Context, k idempotency.Key) (*idempotency.Record, error)
	Remember(ctx context.Context, k idempotency.Key, a idempotency.Answer) error
}

// once does a POST that carries an Idempotency-Key at most once, and answers those that repeat it.
type once struct {
	ledger   ledger
	now      func() time.Time
	log      *slog.Logger
	outcomes *prometheus.CounterVec
}

// What becomes of a request with a key.
const (
	onceDone     = "done"        // it has done something, and its answer is kept
	onceUnkept   = "unkept"      // it has done something, but its answer is not kept
	onceReplayed = "replayed"    // answered with the first answer
	onceSpent    = "spent"       // told that it was done already, for its answer is not kept
	onceReused   = "reused"      // refused: the key is that of another request
	onceBusy     = "in_progress" // told to ask again
)

func newOnce(p Parts) *once {
	o := &once{ledger: p.Ledger, now: p.Clock, log: p.Telemetry.Log, outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "brokkr_idempotency_keys_total", Help: "Requests with an Idempotency-Key, by what became of them.",
	}, []string{"outcome"})}
	for _, outcome := range []string{onceDone, onceUnkept, onceReplayed, onceSpent, onceReused, onceBusy} {
		o.outcomes.WithLabelValues(outcome)
	}
	p.Telemetry.Registry.MustRegister(o.outcomes)
	return o
}

func (o *once) count(outcome string) { o.outcomes.WithLabelValues(outcome).Inc() }

// keyed is a request with a key.
type keyed struct {
	info    rpc.Info
	key     idempotency.Key
	request idempotency.Request
	run     func(context.Context) (any, error) // the use case; may be called again
}

// middleware takes the key of a POST that changes something; those that do not are simply done again.
func (o *once) middleware(i rpc.Info) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		if i.Method != http.MethodPost || !changes(i) || i.Access == Public {
			return next
		}
		return func(ctx context.Context, request any) (any, error) {
			r, ok := request.(*http.Request)
			if !ok || len(r.Header.Values(idempotencyKey)) == 0 {
				return next(ctx, request)
			}
			k, err := readKeyed(ctx, i, r)
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, fmt.Errorf("read the body: %w", err)
			}
			k.request = idempotency.RequestOf(r.URL.RawQuery, r.Header.Get("Content-Type"), body)
			k.run = func(ctx context.Context) (any, error) {
				again := r.WithContext(r.Context())
				again.Body = io.NopCloser(bytes.NewReader(body))
				return next(ctx, again)
			}
			return o.serve(ctx, k)
		}
	}
}

func readKeyed(ctx context.Context, i rpc.Info, r *http.Request) (keyed, error) {
	values := r.Header.Values(idempotencyKey)
	if len(values) != 1 {
		return keyed{}, fault.Newf(fault.Invalid, "invalid_idempotency_key", "there are %d headers Idempotency-Key; send one", len(values))
	}
	key, err := idempotency.NewKey(subject(who(ctx)), i.Op, r.URL.EscapedPath(), values[0])
	return keyed{info: i, key: key}, err
}

// subject is in whose name a key counts: that of a new credential of the same generator, agent or role too.
func subject(p tenancy.Principal) string {
	return string(p.Role) + "/" + string(p.Generator) + "/" + string(p.Agent)
}

// serve does k, unless it was done, or waits a little for whoever does it.
func (o *once) serve(ctx context.Context, k keyed) (any, error) {
	patience := time.NewTimer(keyPatience)
	defer patience.Stop()
	for look, over := firstLook, false; ; look = min(2*look, longestLook) {
		r, err := o.ledger.Recall(ctx, k.key)
		if err != nil {
			return nil, err
		}
		if r != nil {
			if res, err := o.repeat(k, *r, over); res != nil || err != nil {
				return res, err
			}
		} else {
			asked := trail.Once(ctx, idempotency.Record{Key: k.key, Request: k.request})
			if asked == nil {
				return nil, fmt.Errorf("%s: nobody asks", k.info.Op)
			}
			res, err := k.run(ctx)
			switch {
			case asked.Collided() && over:
				o.count(onceBusy)
				return nil, idempotency.InProgress()
			case asked.Collided():
			case err != nil || !asked.Marked():
				return res, err
			default:
				return o.answer(ctx, k, res)
			}
		}
		select {
		case <-time.After(look):
		case <-patience.C:
			over = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// repeat answers a request that was done; nil means that its answer may come in a moment.
func (o *once) repeat(k keyed, r idempotency.Record, over bool) (any, error) {
	switch {
	case r.Request != k.request:
		o.count(onceReused)
		return nil, r.Repeat(k.request)
	case r.Answer != nil:
		o.count(onceReplayed)
		header := http.Header(maps.Clone(r.Answer.Header))
		if header == nil {
			header = http.Header{}
		}
		header.Set(idempotencyReplayed, "true")
		return rpc.Rendered{Status: r.Answer.Status, Header: header, Body: r.Answer.Body}, nil
	case over || k.info.Secret || o.now().Sub(r.At) > keyPatience:
		o.count(onceSpent)
		return nil, r.Repeat(k.request)
	default:
		return nil, nil
	}
}

// answer keeps the answer of what was done, unless it shows a secret or is too long. It was done in any case, so that the
// answer cannot be kept is no reason to withhold it.
func (o *once) answer(ctx context.Context, k keyed, res any) (any, error) {
	if k.info.Secret {
		o.count(onceUnkept)
		return res, nil
	}
	sent, err := rpc.Render(ctx, k.info, res)
	if err != nil {
		return nil, fmt.Errorf("render the answer: %w", err)
	}
	if len(sent.Body) > idempotency.MaxAnswer {
		o.count(onceUnkept)
		return sent, nil
	}
	// The client may have gone: then it is the one who will ask again.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepFor)
	defer cancel()
	err = o.ledger.Remember(keep, k.key, idempotency.Answer{Status: sent.Status, Header: sent.Header, Body: sent.Body})
	if err != nil {
		o.count(onceUnkept)
		o.log.WarnContext(ctx, "the answer of a request with an Idempotency-Key is not kept; a repetition is told that it was done",
			"operation", k.info.Op, "error", err.Error())
		return sent, nil
	}
	o.count(onceDone)
	return sent, nil
}
