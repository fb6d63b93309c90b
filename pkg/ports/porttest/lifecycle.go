package porttest

import (
	"context"
	"errors"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func lifecycleCases() map[string]func(*world) {
	return map[string]func(*world){
		"every method answers":                      everyMethodAnswers,
		"every method honours a cancelled context":  cancelledEverywhere,
		"every method is unavailable after a close": unavailableAfterClose,
	}
}

// everyMethodAnswers calls each method on things that do not exist, outside and inside a transaction: the answer is
// none or a classified error, never Internal.
func everyMethodAnswers(w *world) {
	wantNone(w.T, "ping", w.Ping(w.ctx))
	for name, call := range w.methods() {
		if err := call(w.ctx, w); err != nil && fault.KindOf(err) == fault.Internal {
			w.Errorf("%s: got %v, want a classified error", name, err)
		}
		err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if err := call(ctx, tx); err != nil {
				return err
			}
			return errClosure
		})
		if !errors.Is(err, errClosure) && fault.KindOf(err) == fault.Internal {
			w.Errorf("%s in a transaction: got %v, want a classified error", name, err)
		}
	}
}

func cancelledEverywhere(w *world) {
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	for name, call := range w.methods() {
		if err := call(ctx, w); !errors.Is(err, context.Canceled) {
			w.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	if err := w.Ping(ctx); !errors.Is(err, context.Canceled) {
		w.Errorf("ping: got %v, want context.Canceled", err)
	}
	ran := false
	err := w.Write(ctx, func(context.Context, ports.Repositories) error {
		ran = true
		return nil
	})
	if !errors.Is(err, context.Canceled) || ran {
		w.Errorf("write: got %v (ran %v), want context.Canceled and no run", err, ran)
	}
}

func unavailableAfterClose(w *world) {
	methods := w.methods()
	wantNone(w.T, "close", w.Close())
	wantNone(w.T, "close again", w.Close())
	for name, call := range methods {
		if err := call(w.ctx, w); !fault.Is(err, fault.Unavailable) {
			w.Errorf("%s: got %v, want Unavailable", name, err)
		}
	}
	wantKind(w.T, "ping", w.Ping(w.ctx), fault.Unavailable)
	wantKind(w.T, "write", w.Write(w.ctx, func(context.Context, ports.Repositories) error { return nil }), fault.Unavailable)
}
