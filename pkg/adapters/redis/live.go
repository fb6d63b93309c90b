package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/pkg/ports"
)

const liveMessage = 256 << 10 // bytes of one message, unless one frame is larger

// Live implements ports.Live with one channel a topic. One connection serves all subscriptions of the process. Use NewLive.
type Live struct {
	client *goredis.Client
	guard  *guard
	logger *slog.Logger
	prefix string

	mu    sync.Mutex
	boxes map[string]map[*mailbox[ports.LiveBatch]]struct{} // by channel
	sub   *goredis.PubSub                                   // while it is connected
	stop  context.CancelFunc                                // of the listener; nil while nobody subscribes
}

var _ ports.Live = (*Live)(nil)

// NewLive returns live channels that begin with brokkr:live:. The client remains the caller's to close.
func NewLive(client *goredis.Client, logger *slog.Logger, options ...Option) *Live {
	return &Live{client: client, guard: newGuard(client), logger: logger, prefix: with(options).prefix + "live:", boxes: map[string]map[*mailbox[ports.LiveBatch]]struct{}{}}
}

// Publish implements ports.Live, in one round trip.
func (l *Live) Publish(ctx context.Context, batches []ports.LiveBatch) error {
	type message struct {
		channel string
		text    []byte
	}
	var messages []message
	for _, b := range batches {
		var text []byte
		for _, f := range b.Frames {
			if len(text) > 0 && len(text)+len(f) > liveMessage {
				messages, text = append(messages, message{l.prefix + b.Topic, text}), nil
			}
			if len(text) > 0 {
				text = append(text, '\n')
			}
			text = append(text, f...)
		}
		if len(text) > 0 {
			messages = append(messages, message{l.prefix + b.Topic, text})
		}
	}
	if len(messages) == 0 {
		return ctx.Err()
	}
	return l.guard.do(ctx, "publish live frames", func(ctx context.Context) error {
		_, err := l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for _, m := range messages {
				p.Publish(ctx, m.channel, m.text)
			}
			return nil
		})
		return err
	})
}

// Subscribe implements ports.Live.
func (l *Live) Subscribe(ctx context.Context, topic string) (<-chan ports.LiveBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("subscribe to live frames: %w", err)
	}
	box := newMailbox(ports.LiveBatch{Topic: topic, Lost: true})
	l.join(context.WithoutCancel(ctx), l.prefix+topic, box)
	out := make(chan ports.LiveBatch)
	go func() {
		box.deliver(ctx, out)
		l.leave(l.prefix+topic, box)
		close(out)
	}()
	return out, nil
}

func (l *Live) join(ctx context.Context, channel string, box *mailbox[ports.LiveBatch]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others := l.boxes[channel]
	if others == nil {
		others = map[*mailbox[ports.LiveBatch]]struct{}{}
		l.boxes[channel] = others
	}
	others[box] = struct{}{}
	if l.stop == nil {
		var listening context.Context
		listening, l.stop = context.WithCancel(ctx)
		go l.listen(listening)
		return
	}
	if l.sub != nil {
		// Asked again where others listen already: the answer is what tells the new one that it is listening.
		if err := l.sub.Subscribe(ctx, channel); err != nil {
			l.logger.DebugContext(ctx, "the subscription is made with the next connection", "channel", channel, "error", err)
		}
	}
}

func (l *Live) leave(channel string, box *mailbox[ports.LiveBatch]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.boxes[channel], box)
	if len(l.boxes[channel]) > 0 {
		return
	}
	delete(l.boxes, channel)
	if l.sub != nil {
		_ = l.sub.Unsubscribe(context.Background(), channel) // a broken connection forgets it anyway
	}
	if len(l.boxes) == 0 {
		l.stop()
		l.stop = nil
	}
}

// each calls fn with the boxes of a channel, or of all if it is empty.
func (l *Live) each(channel string, fn func(*mailbox[ports.LiveBatch])) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, boxes := range l.boxes {
		if channel != "" && c != channel {
			continue
		}
		for box := range boxes {
			fn(box)
		}
	}
}

// listen keeps a connection until ctx ends.
func (l *Live) listen(ctx context.Context) {
	pause, reported := firstPause, false
	for {
		connected, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if connected {
			pause, reported = firstPause, false
		}
		if !reported {
			l.logger.WarnContext(ctx, "Redis does not answer, so those who watch live see nothing until it does", "error", err)
			reported = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // jitter
		}
		pause = min(2*pause, lastPause)
	}
}

// session subscribes to every channel and passes on what comes until the connection breaks.
func (l *Live) session(ctx context.Context) (connected bool, err error) {
	sub := l.client.Subscribe(ctx)
	unhook := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		l.mu.Lock()
		if l.sub == sub {
			l.sub = nil
		}
		l.mu.Unlock()
		unhook()
		_ = sub.Close() // it is broken or of no more use
	}()
	l.mu.Lock()
	channels := make([]string, 0, len(l.boxes))
	for c := range l.boxes {
		channels = append(channels, c)
	}
	bounded, cancel := context.WithTimeout(ctx, 2*l.guard.within)
	err = sub.Subscribe(bounded, channels...)
	cancel()
	if err == nil && ctx.Err() == nil {
		l.sub = sub // whoever joins from now on subscribes by itself
	}
	l.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("subscribe: %w", err)
	}
	for asked := false; ; {
		wait := pingAfter
		if asked {
			wait = l.guard.within
		}
		got, err := sub.ReceiveTimeout(ctx, wait)
		var late net.Error
		switch {
		case err == nil:
			asked, connected = false, true
			l.pass(got)
		case errors.As(err, &late) && late.Timeout() && !asked:
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return connected, fmt.Errorf("ping: %w", err)
			}
		default:
			return connected, fmt.Errorf("receive: %w", err)
		}
	}
}

// pass gives a message to those who want it; a confirmed subscription is news for them too.
func (l *Live) pass(got any) {
	switch m := got.(type) {
	case *goredis.Message:
		parts := bytes.Split([]byte(m.Payload), []byte{'\n'})
		l.each(m.Channel, func(box *mailbox[ports.LiveBatch]) {
			box.put(ports.LiveBatch{Topic: strings.TrimPrefix(m.Channel, l.prefix), Frames: parts})
		})
	case *goredis.Subscription:
		if m.Kind == "subscribe" {
			l.each(m.Channel, func(box *mailbox[ports.LiveBatch]) { box.lose() })
		}
	}
}
