package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
)

// order notes in which order parts end.
type order struct {
	mu   sync.Mutex
	list []string
}

func (o *order) add(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, name)
}

// part runs until its context ends.
func (o *order) part(name string, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		o.add(name)
		return err
	}
}

func group() *lifecycle.Group { return &lifecycle.Group{Log: slog.New(slog.DiscardHandler)} }

func TestPartsStopOutermostFirstOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o order
		g := group()
		g.AddClose("store", func(ctx context.Context) error {
			if ctx.Err() != nil {
				t.Error("closing got a context that is over")
			}
			o.add("store")
			return nil
		})
		g.Add("loop", func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second)
			o.add("loop")
			return nil
		})
		g.Add("listener", o.part("listener", context.Canceled))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Errorf("run: got %v, want nil: a cancelled part is no error", err)
		}
		if want := []string{"listener", "loop", "store"}; !slices.Equal(o.list, want) {
			t.Errorf("order: got %v, want %v", o.list, want)
		}
	})
}

func TestTheFirstPartThatEndsStopsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o order
		g := group()
		broken, alsoBroken := errors.New("broken"), errors.New("also broken")
		g.Add("store", o.part("store", alsoBroken))
		g.Add("loop", func(context.Context) error {
			time.Sleep(time.Second)
			return broken
		})
		err := g.Run(t.Context())
		if !errors.Is(err, broken) || !errors.Is(err, alsoBroken) || !strings.Contains(err.Error(), "loop: broken") {
			t.Errorf("got %v, want both errors with the parts' names", err)
		}
		if !slices.Equal(o.list, []string{"store"}) {
			t.Errorf("ended: got %v, want the store stopped too", o.list)
		}
	})
}

func TestAPartThatHangsIsNamedAndLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o order
		g := group()
		g.Grace = 2 * time.Second
		release := make(chan struct{})
		g.Add("store", o.part("store", nil))
		g.Add("stuck", func(context.Context) error {
			<-release
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := g.Run(ctx)
		close(release)
		if err == nil || !strings.Contains(err.Error(), "stuck did not end within 2s") || time.Since(began) != 2*time.Second {
			t.Errorf("after %s: got %v, want the part named after its grace", time.Since(began), err)
		}
		if !slices.Equal(o.list, []string{"store"}) {
			t.Errorf("ended: got %v, want the store stopped all the same", o.list)
		}
	})
}

func TestProfilesTellTheParts(t *testing.T) {
	t.Parallel()
	g := group()
	name := ""
	g.Add("loop", func(ctx context.Context) error {
		name, _ = pprof.Label(ctx, lifecycle.PartLabel)
		return nil
	})
	if err := g.Run(t.Context()); err != nil || name != "loop" {
		t.Errorf("got the label %q (%v), want the part's name", name, err)
	}
}

func TestSignalsEndTheContext(t *testing.T) { //nolint:paralleltest // it sends a signal to the test's own process
	ctx, stop := lifecycle.Signals(t.Context())
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("SIGTERM did not end the context")
	}
}
