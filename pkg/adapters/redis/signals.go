package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

const (
	perMessage = 500                   // signals
	pingAfter  = time.Second           // of silence
	firstPause = 50 * time.Millisecond // between attempts to connect, doubled each time
	lastPause  = time.Second
)

// Signals implements ports.Signals by publishing on one channel. Use NewSignals.
type Signals struct {
	client  *goredis.Client
	guard   *guard
	logger  *slog.Logger
	channel string
}

var _ ports.Signals = (*Signals)(nil)

// NewSignals returns signals on the channel brokkr:signals. Every subscription has a connection of its own. The client
// remains the caller's to close.
func NewSignals(client *goredis.Client, logger *slog.Logger, options ...Option) *Signals {
	return &Signals{client: client, guard: newGuard(client), logger: logger, channel: with(options).prefix + "signals"}
}

// Publish implements ports.Signals, in one round trip.
func (s *Signals) Publish(ctx context.Context, signals []ports.Signal) error {
	if len(signals) == 0 {
		return ctx.Err()
	}
	var messages [][]byte
	for len(signals) > 0 {
		n := min(len(signals), perMessage)
		text, err := json.Marshal(signals[:n])
		if err != nil {
			return fault.New(fault.Internal, "internal_error", "encode signals").Because(err)
		}
		messages = append(messages, text)
		signals = signals[n:]
	}
	return s.guard.do(ctx, "publish signals", func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for _, m := range messages {
				p.Publish(ctx, s.channel, m)
			}
			return nil
		})
		return err
	})
}

// Subscribe implements ports.Signals. While Redis is away the subscriber gets a nil batch about once a second, so
// that it goes on finding what has changed, only later.
func (s *Signals) Subscribe(ctx context.Context) (<-chan []ports.Signal, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("subscribe to signals: %w", err)
	}
	out := make(chan []ports.Signal)
	box := newMailbox[[]ports.Signal](nil)
	var both sync.WaitGroup
	both.Go(func() { s.listen(ctx, box) })
	both.Go(func() { box.deliver(ctx, out) })
	go func() {
		both.Wait()
		close(out)
	}()
	return out, nil
}

// listen keeps a subscription until ctx ends.
func (s *Signals) listen(ctx context.Context, box *mailbox[[]ports.Signal]) {
	pause, reported := firstPause, false
	for {
		connected, err := s.session(ctx, box)
		if ctx.Err() != nil {
			return
		}
		if connected {
			pause, reported = firstPause, false
		}
		if !reported {
			s.logger.WarnContext(ctx, "Redis does not answer, so signals are not heard: looking for changes once a second until they are", "channel", s.channel, "error", err)
			reported = true
		}
		box.lose()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter
		}
		pause = min(2*pause, lastPause)
	}
}

// session subscribes and puts what comes into box until the connection breaks. It reports whether it ever heard.
func (s *Signals) session(ctx context.Context, box *mailbox[[]ports.Signal]) (connected bool, err error) {
	sub := s.client.Subscribe(ctx)
	// A read does not see the end of a context; closing the connection ends it.
	unhook := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		unhook()
		_ = sub.Close() // it is broken or of no more use
	}()
	if err := s.begin(ctx, sub); err != nil {
		return false, err
	}
	s.logger.DebugContext(ctx, "listening to signals", "channel", s.channel)
	box.lose()
	for asked := false; ; {
		wait := pingAfter
		if asked {
			wait = s.guard.within
		}
		got, err := sub.ReceiveTimeout(ctx, wait)
		var late net.Error
		switch {
		case err == nil:
			asked = false
			if m, ok := got.(*goredis.Message); ok {
				s.put(ctx, box, m.Payload)
			} else if _, ok := got.(*goredis.Subscription); ok {
				// The client connected anew by itself: what was said meanwhile is lost.
				box.lose()
			}
		case errors.As(err, &late) && late.Timeout() && !asked:
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return true, fmt.Errorf("ping: %w", err)
			}
		default:
			return true, fmt.Errorf("receive: %w", err)
		}
	}
}

// begin subscribes and waits until the server has confirmed it.
func (s *Signals) begin(ctx context.Context, sub *goredis.PubSub) error {
	ctx, cancel := context.WithTimeout(ctx, 2*s.guard.within)
	defer cancel()
	if err := sub.Subscribe(ctx, s.channel); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if _, err := sub.ReceiveTimeout(ctx, s.guard.within); err != nil {
		return fmt.Errorf("confirm the subscription: %w", err)
	}
	return nil
}

// put decodes the signals of a message. What is no such message counts as lost.
func (s *Signals) put(ctx context.Context, box *mailbox[[]ports.Signal], payload string) {
	var batch []ports.Signal
	err := json.Unmarshal([]byte(payload), &batch)
	if err != nil {
		s.logger.WarnContext(ctx, "a message on the channel of signals is not understood", "channel", s.channel, "bytes", len(payload), "error", err)
	}
	if err != nil || batch == nil {
		box.lose()
		return
	}
	box.put(batch)
}
