// Command watch is a generator: it publishes a folder of manifests as a stack, whenever the folder changes, until it is
// told to stop. It is an example of a controller that uses package client.
//
//	BROKKR_URL=http://localhost:3000 BROKKR_PAK=brokkr_... watch -dir ./manifests -stack web -label prod
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/colliery-io/brokkr/pkg/client"
)

type settings struct {
	dir, stack string
	labels     []string
	every      time.Duration // between two looks at the folder
	resync     time.Duration // after which it is compared with the broker although nothing changed
}

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var s settings
	flag.StringVar(&s.dir, "dir", ".", "folder of manifests")
	flag.StringVar(&s.stack, "stack", "", "name of the stack")
	flag.Func("label", "label of the stack (repeatable)", func(v string) error { s.labels = append(s.labels, v); return nil })
	flag.DurationVar(&s.every, "every", 2*time.Second, "how often to look at the folder")
	flag.DurationVar(&s.resync, "resync", 10*time.Minute, "how often to compare with the broker although nothing changed")
	flag.Parse()
	if s.stack == "" || s.every <= 0 || s.resync <= 0 {
		fmt.Fprintln(os.Stderr, "watch: -stack is missing, or a time is not positive")
		os.Exit(2)
	}
	c, err := client.New(client.Options{URL: os.Getenv("BROKKR_URL"), PAK: os.Getenv("BROKKR_PAK"), RequestTimeout: 30 * time.Second, UserAgent: "watch-example"})
	if err != nil {
		log.Error("BROKKR_URL is of no use", "error", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Info("watching", "dir", s.dir, "stack", s.stack)
	watch(ctx, log, c, s)
	log.Info("stopped")
}

// watch publishes what the folder holds until ctx ends. A change counts when two looks in a row see the same: who writes
// several files is not published half-way. What the broker refuses is not tried again until the folder changes or the resync comes.
func watch(ctx context.Context, log *slog.Logger, c *client.Client, s settings) {
	var seen, settled string // checksums of the last look, and of what was dealt with
	var due time.Time
	failures := 0
	for wait := time.Duration(0); pause(ctx, wait); wait = s.every {
		b, err := client.ReadBundle(s.dir)
		sum := b.Checksum()
		if err != nil {
			sum = err.Error() // a folder that is wrong settles too, and is told of once
		}
		if sum != seen {
			seen = sum
			continue
		}
		if sum == settled && time.Now().Before(due) {
			continue
		}
		if err == nil {
			err = publish(ctx, log, c, s, b)
		}
		if err != nil && client.IsTemporary(err) {
			failures++
			log.WarnContext(ctx, "the broker is away; trying again", "error", err, "failures", failures)
			if !pause(ctx, backoff(failures)) {
				return
			}
			continue
		}
		if err != nil {
			log.ErrorContext(ctx, "not published; waiting for a change", "error", err)
		}
		failures, settled, due = 0, sum, time.Now().Add(s.resync)
	}
}

// publish makes the bundle the stack's desired state. One that has begun is brought to its end although ctx ends meanwhile.
func publish(ctx context.Context, log *slog.Logger, c *client.Client, s settings, b client.Bundle) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	done, err := c.Apply(ctx, client.Desired{Stack: s.stack, Marks: client.Marks{Labels: s.labels}, Bundle: b})
	if err != nil {
		var unsure *client.UnsureError
		if errors.As(err, &unsure) {
			log.WarnContext(ctx, "it may have been published all the same; the next look compares")
		}
		return err
	}
	log.InfoContext(ctx, string(done.Outcome), "stack", done.Stack.Name, "sequence", done.Object.SequenceID, "checksum", done.Object.YAMLChecksum)
	return nil
}

// pause waits, and reports whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// backoff grows from one to thirty seconds, with jitter so that many do not come back at once.
func backoff(failures int) time.Duration {
	d := min(time.Second<<min(failures-1, 5), 30*time.Second)
	return d/2 + rand.N(d/2) //nolint:gosec // jitter
}
