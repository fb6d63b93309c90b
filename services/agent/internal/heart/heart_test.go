package heart_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/services/agent/internal/heart"
)

// prober answers as it is told to; a probe takes 20 ms.
type prober struct {
	mu     sync.Mutex
	err    error
	probes int
}

func (p *prober) Probe(context.Context) (time.Duration, error) {
	time.Sleep(20 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes++
	return 20 * time.Millisecond, p.err
}

func (p *prober) answer(err error) (probes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	return p.probes
}

// lines is a log that can be read meanwhile.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestHeart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		var changes []bool
		var p prober
		h := heart.New(&p, slog.New(slog.NewTextHandler(&log, nil)))
		h.OnChange(func(ok bool) { changes = append(changes, ok) })
		if b := h.Beat(); b.K8sReachable != nil || b.K8sAPILatencyMS != nil || h.Err() == nil {
			t.Errorf("before the first probe: got %+v, %v; want nothing said, and not ready", b, h.Err())
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		settle := func(d time.Duration) { time.Sleep(d); synctest.Wait() }

		settle(time.Minute)
		if b := h.Beat(); b.K8sReachable == nil || !*b.K8sReachable || *b.K8sAPILatencyMS != 20 || h.Err() != nil {
			t.Errorf("while it answers: got %+v, %v", b, h.Err())
		}
		refused := errors.New("connection refused")
		if n := p.answer(refused); n < 6 || n > 7 {
			t.Errorf("got %d probes in a minute, want one each 10 s", n)
		}
		settle(15 * time.Minute)
		if b := h.Beat(); b.K8sReachable == nil || *b.K8sReachable || b.K8sAPILatencyMS != nil || !errors.Is(h.Err(), refused) {
			t.Errorf("while it is away: got %+v, %v", b, h.Err())
		}
		if n := strings.Count(log.String(), "connection refused"); n != 2 {
			t.Errorf("said %d times in a quarter of an hour, want once and a reminder:\n%s", n, &log)
		}

		p.answer(nil)
		settle(3 * time.Second) // it is felt soon
		if h.Err() != nil || !strings.Contains(log.String(), "answers again") {
			t.Errorf("when it is back: got %v, log:\n%s", h.Err(), &log)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if want := []bool{true, false, true}; !slices.Equal(changes, want) {
			t.Errorf("told %v, want %v", changes, want)
		}
	})
}
