package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// As the agent itself waits: services/agent/internal/syncer.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	refusedWait  = time.Minute

	answerTimeout = 30 * time.Second // beyond the time that a sync may park
)

// agent is one of the fleet: its mind, its connection and the loop between them.
type agent struct {
	fleet *Fleet
	who   Identity
	mind  *mind
	line  *line
	delay *rand.Rand // of waits; apart from the mind's, whose draws must not depend on the network
	heard bool
}

// refusal is an answer that is no success.
type refusal struct {
	status     int
	retryAfter time.Duration
	text       string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.text) }

func (a *agent) run(ctx context.Context, ramp time.Duration) {
	if ramp > 0 {
		sleep(ctx, time.Duration(a.delay.Int64N(int64(ramp))))
	}
	backoff := time.Duration(0)
	for ctx.Err() == nil {
		err := a.once(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			backoff = 0
			continue
		case errors.Is(err, errCut):
			a.fleet.Counts.Cuts.Add(1)
			continue
		}
		a.fleet.Counts.Failures.Add(1)
		a.fleet.errs.set(fmt.Errorf("agent %s: %w", a.who.Name, err))
		backoff = min(max(2*backoff, firstBackoff), maxBackoff)
		wait := a.jittered(backoff)
		var refused *refusal
		if errors.As(err, &refused) {
			switch {
			case refused.retryAfter > 0:
				wait = max(wait, refused.retryAfter)
			case refused.status == http.StatusUnauthorized || refused.status == http.StatusForbidden:
				wait = a.jittered(refusedWait)
			}
		}
		sleep(ctx, wait)
	}
	if !a.heard {
		a.fleet.first.Done()
	}
}

func (a *agent) jittered(d time.Duration) time.Duration {
	return d/2 + time.Duration(a.delay.Int64N(int64(d)))
}

// once fetches what is to be fetched, or makes one sync. One that is parked is cut when an application is done meanwhile,
// as an agent cuts it.
func (a *agent) once(ctx context.Context) error {
	m, now := a.mind, time.Now()
	for _, s := range m.wants(now) {
		if err := a.fetch(ctx, s); err != nil {
			return err
		}
		m.fetched(s, time.Now())
	}
	m.finish(time.Now())
	req := m.request()
	wait := time.Duration(req.WaitSeconds) * time.Second
	began := time.Now()
	patience := began.Add(wait + answerTimeout)
	deadline := patience
	if due, ok := m.next(); ok && wait > 0 {
		deadline = due
	}
	res, in, out, err := a.sync(ctx, req, deadline)
	if errors.Is(err, errCut) && deadline.Equal(patience) {
		return fmt.Errorf("no answer to a sync within %s", wait+answerTimeout)
	}
	if err != nil {
		return err
	}
	a.count(req, res, time.Since(began), wait, in, out)
	m.answered(req, res)
	return nil
}

func (a *agent) sync(ctx context.Context, req wire.SyncRequest, deadline time.Time) (res wire.SyncResponse, in, out int, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return res, 0, 0, fmt.Errorf("encode sync: %w", err)
	}
	got, err := a.line.do(ctx, http.MethodPost, "/api/v1/agents/"+a.who.ID+"/sync", body, deadline)
	if err != nil {
		return res, 0, 0, err
	}
	if got.status != http.StatusOK {
		return res, 0, 0, &refusal{got.status, got.retryAfter, string(got.body)}
	}
	if err := json.Unmarshal(got.body, &res); err != nil {
		a.fleet.Counts.Damage.Add(1)
		return res, 0, 0, fmt.Errorf("read the answer to a sync: %w", err)
	}
	return res, len(got.body), len(body), nil
}

func (a *agent) fetch(ctx context.Context, s wire.Stack) error {
	got, err := a.line.do(ctx, http.MethodGet, "/api/v1/manifests/"+s.Checksum, nil, time.Now().Add(answerTimeout))
	if err != nil {
		return err
	}
	if got.status == http.StatusNotFound { // it is not ours any more: the next sync says what is
		a.mind.forget(s)
		return nil
	}
	if got.status != http.StatusOK {
		return &refusal{got.status, got.retryAfter, string(got.body)}
	}
	a.fleet.Counts.Manifests.Add(1)
	if sum := sha256.Sum256(got.body); hex.EncodeToString(sum[:]) != s.Checksum || int64(len(got.body)) != s.Size {
		a.fleet.Counts.Damage.Add(1)
		return fmt.Errorf("manifest %s of %d bytes came as %x, %d bytes", s.Checksum, s.Size, sum, len(got.body))
	}
	return nil
}

func (a *agent) count(req wire.SyncRequest, res wire.SyncResponse, took, wait time.Duration, in, out int) {
	c, f := &a.fleet.Counts, a.fleet
	c.Syncs.Add(1)
	if !a.heard {
		a.heard = true
		f.first.Done()
	}
	reports := len(req.Applied) + len(req.Removed)
	if reports > 0 {
		c.Reports.Add(int64(reports))
		f.Told.Add(took)
		now := time.Now()
		for _, r := range req.Applied {
			if r.Phase == "applied" {
				f.acks.add(r.DeploymentObjectID, now)
			}
		}
	}
	if res.Stacks != nil {
		c.News.Add(1)
		return
	}
	if reports+len(req.Status) > 0 {
		return
	}
	raise(&c.IdleIn, int64(in))
	raise(&c.IdleOut, int64(out))
	if took >= wait {
		f.Late.Add(took - wait)
	}
}

func raise(n *atomic.Int64, to int64) {
	for old := n.Load(); to > old && !n.CompareAndSwap(old, to); old = n.Load() {
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
