package porttest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func newMemoryWorld(t *testing.T) *world {
	s := memory.New(time.Now)
	return newWorld(t, s, s)
}

// TestMethodsAreComplete compares the table of methods, on which several cases rest, with the interfaces.
func TestMethodsAreComplete(t *testing.T) {
	t.Parallel()
	methods := newMemoryWorld(t).methods()
	roles := reflect.TypeFor[ports.Repositories]()
	n := 0
	for i := range roles.NumMethod() {
		role := roles.Method(i)
		for j := range role.Type.Out(0).NumMethod() {
			name := role.Name + "." + role.Type.Out(0).Method(j).Name
			if methods[name] == nil {
				t.Errorf("%s is not in the table", name)
			}
			n++
		}
	}
	if n != len(methods) {
		t.Errorf("the table has %d methods, the interfaces %d", len(methods), n)
	}
}

func TestFaultyFailsEveryMethodOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	w := newMemoryWorld(t)
	for name, call := range w.methods() {
		faulty := Faulty(w, 1, broken)
		if err := call(w.ctx, faulty); !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want the fault", name, err)
		}
		if err := call(w.ctx, faulty); errors.Is(err, broken) {
			t.Errorf("%s: failed a second time", name)
		}
		inside := Faulty(w, 1, broken)
		err := inside.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error { return call(ctx, tx) })
		if !errors.Is(err, broken) {
			t.Errorf("%s in a transaction: got %v, want the fault", name, err)
		}
	}
}

func TestFaultyCountsOverTransactions(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	w := newMemoryWorld(t)
	for n := 1; ; n++ {
		faulty := Faulty(w, n, broken)
		run := func() error {
			if _, err := faulty.Generators().List(w.ctx, everything); err != nil {
				return err
			}
			return faulty.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
				if err := tx.Generators().Insert(ctx, w.newGenerator("ci")); err != nil {
					return err
				}
				return tx.Outbox().Append(ctx, w.newEvent("inserted"))
			})
		}
		err := run()
		list, listErr := w.Generators().List(w.ctx, everything)
		wantNone(t, "list", listErr)
		if err == nil {
			wantSame(t, "calls until it succeeded", n, 4)
			wantSame(t, "generators", len(list), 1)
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("call %d: got %v, want the fault", n, err)
		}
		wantSame(t, "generators after a failure", len(list), 0)
	}
}

func TestFaultyStoreIsAStore(t *testing.T) {
	t.Parallel()
	Store(t, func(*testing.T) (ports.Store, ports.Wakeups) {
		s := memory.New(time.Now)
		return Faulty(s, 0, nil), s
	})
}
