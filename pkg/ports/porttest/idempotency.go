package porttest

import (
	"context"
	"errors"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/idempotency"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (w *world) idempotencyMethods() map[string]method {
	k := w.newKey("nobody")
	return map[string]method{
		"Idempotency.Get": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Idempotency().Get(ctx, k, w.at))
		},
		"Idempotency.Claim": func(ctx context.Context, r ports.Repositories) error {
			return r.Idempotency().Claim(ctx, k, w.at)
		},
		"Idempotency.Mark": func(ctx context.Context, r ports.Repositories) error {
			return r.Idempotency().Mark(ctx, w.newRecord(newID[string]()))
		},
		"Idempotency.Answer": func(ctx context.Context, r ports.Repositories) error {
			return r.Idempotency().Answer(ctx, k, idempotency.Answer{Status: 201})
		},
		"Idempotency.Trim": func(ctx context.Context, r ports.Repositories) error {
			return discard(r.Idempotency().Trim(ctx, w.at.Add(-time.Hour), 10))
		},
	}
}

func idempotencyCases() map[string]func(*world) {
	return map[string]func(*world){
		"a record and its answer come back":              recordAndAnswer,
		"a key is used once":                             keyUsedOnce,
		"a record counts for a day":                      recordExpires,
		"what is rolled back has used no key":            rolledBackKey,
		"many mark a key and one commits":                keyRace,
		"trimming takes the oldest, and not too many":    trimRecords,
		"a key that is new has no answer of the old one": renewedKey,
	}
}

func (w *world) newKey(text string) idempotency.Key {
	w.Helper()
	k, err := idempotency.NewKey("generator/1", "create_stack", "/stacks", text)
	wantNone(w.T, "make key", err)
	return k
}

func (w *world) newRecord(text string) idempotency.Record {
	w.Helper()
	return idempotency.Record{Key: w.newKey(text), Request: idempotency.RequestOf("", "application/json", []byte(text)), At: w.at,
		Resource: idempotency.Resource{Type: "stack", ID: newID[string]()}}
}

// markKey claims and marks as a request does, with what it does in between.
func (w *world) markKey(r idempotency.Record, work func(ctx context.Context, tx ports.Repositories) error) error {
	return w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Idempotency().Claim(ctx, r.Key, r.At); err != nil {
			return err
		}
		if work != nil {
			if err := work(ctx, tx); err != nil {
				return err
			}
		}
		return tx.Idempotency().Mark(ctx, r)
	})
}

func (w *world) getKey(k idempotency.Key, now time.Time) idempotency.Record {
	w.Helper()
	r, err := w.Idempotency().Get(w.ctx, k, now)
	wantNone(w.T, "get key", err)
	return r
}

func recordAndAnswer(w *world) {
	r := w.newRecord("a")
	_, err := w.Idempotency().Get(w.ctx, r.Key, w.at)
	wantCode(w.T, "get an unknown key", err, fault.NotFound, "idempotency_key_not_found")
	answer := idempotency.Answer{Status: 201, Header: map[string][]string{"Content-Type": {"application/json"}, "X": {"1", "2"}}, Body: []byte("{\"a\":1}\n")}
	wantCode(w.T, "answer an unknown key", w.Idempotency().Answer(w.ctx, r.Key, answer), fault.NotFound, "idempotency_key_not_found")
	wantNone(w.T, "mark", w.markKey(r, nil))
	wantSame(w.T, "marked", w.getKey(r.Key, w.at), r)
	wantNone(w.T, "answer", w.Idempotency().Answer(w.ctx, r.Key, answer))
	with := r
	with.Answer = &answer
	got := w.getKey(r.Key, w.at)
	wantSame(w.T, "answered", got, with)
	got.Answer.Body[0], got.Answer.Header["X"][0] = '!', "!"
	wantSame(w.T, "after changing what was returned", w.getKey(r.Key, w.at), with)
	_, err = w.Idempotency().Get(w.ctx, w.newKey("b"), w.at)
	wantCode(w.T, "get another key", err, fault.NotFound, "idempotency_key_not_found")
}

func keyUsedOnce(w *world) {
	r := w.newRecord("a")
	wantNone(w.T, "mark", w.markKey(r, nil))
	wantCode(w.T, "claim again", w.Idempotency().Claim(w.ctx, r.Key, w.at), fault.Conflict, "idempotency_done")
	again := w.newRecord("a")
	wantCode(w.T, "mark again", w.Idempotency().Mark(w.ctx, again), fault.Conflict, "idempotency_done")
	wantSame(w.T, "the first", w.getKey(r.Key, w.at), r)
	wantNone(w.T, "mark another", w.markKey(w.newRecord("b"), nil))
}

func recordExpires(w *world) {
	r := w.newRecord("a")
	wantNone(w.T, "mark", w.markKey(r, nil))
	end := r.At.Add(idempotency.Keep)
	wantSame(w.T, "before its end", w.getKey(r.Key, end.Add(-time.Millisecond)), r)
	_, err := w.Idempotency().Get(w.ctx, r.Key, end)
	wantCode(w.T, "after a day", err, fault.NotFound, "idempotency_key_not_found")
	late := w.newRecord("a")
	late.At = end.Add(-time.Millisecond)
	wantCode(w.T, "mark before its end", w.markKey(late, nil), fault.Conflict, "idempotency_done")
	late.At = end
	wantNone(w.T, "mark after a day", w.markKey(late, nil))
	wantSame(w.T, "the new one", w.getKey(r.Key, end), late)
}

func renewedKey(w *world) {
	r := w.newRecord("a")
	wantNone(w.T, "mark", w.markKey(r, nil))
	wantNone(w.T, "answer", w.Idempotency().Answer(w.ctx, r.Key, idempotency.Answer{Status: 201, Body: []byte("old")}))
	r.At = r.At.Add(2 * idempotency.Keep)
	wantNone(w.T, "mark after a day", w.markKey(r, nil))
	wantSame(w.T, "the new one", w.getKey(r.Key, r.At), r)
	n, err := w.Idempotency().Trim(w.ctx, r.At, 10)
	wantNone(w.T, "trim", err)
	wantSame(w.T, "trimmed", n, 0)
}

func rolledBackKey(w *world) {
	r := w.newRecord("a")
	err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
		if err := errors.Join(tx.Idempotency().Claim(ctx, r.Key, r.At), tx.Idempotency().Mark(ctx, r)); err != nil {
			return err
		}
		return errClosure
	})
	if !errors.Is(err, errClosure) {
		w.Fatalf("write: got %v, want the closure's error", err)
	}
	_, err = w.Idempotency().Get(w.ctx, r.Key, w.at)
	wantKind(w.T, "get", err, fault.NotFound)
	wantNone(w.T, "mark", w.markKey(r, nil))
}

// keyRace has racers that each make a generator under the same key.
func keyRace(w *world) {
	const racers = 8
	before, err := w.Generators().List(w.ctx, everything)
	wantNone(w.T, "list generators", err)
	errs := race(racers, func(int) error {
		return w.markKey(w.newRecord("a"), func(ctx context.Context, tx ports.Repositories) error {
			return tx.Generators().Insert(ctx, w.newGenerator("g-"+newID[string]()))
		})
	})
	wantOneWinner(w.T, "mark", errs)
	for _, err := range errs {
		if err != nil && !idempotency.Collision(err) {
			w.Errorf("a loser: got %v, want that the key is used or being used", err)
		}
	}
	after, err := w.Generators().List(w.ctx, everything)
	wantNone(w.T, "list generators", err)
	wantSame(w.T, "generators made", len(after)-len(before), 1)
}

func trimRecords(w *world) {
	var all []idempotency.Record
	for i, text := range []string{"c", "a", "b", "d"} {
		r := w.newRecord(text)
		r.At = w.at.Add(time.Duration(i) * time.Minute)
		wantNone(w.T, "mark", w.markKey(r, nil))
		all = append(all, r)
	}
	for _, want := range []int{2, 1, 0} {
		n, err := w.Idempotency().Trim(w.ctx, all[3].At, 2)
		wantNone(w.T, "trim", err)
		wantSame(w.T, "trimmed", n, want)
		if want == 2 {
			wantSame(w.T, "the youngest of the old", w.getKey(all[2].Key, w.at), all[2])
		}
	}
	for i, r := range all {
		_, err := w.Idempotency().Get(w.ctx, r.Key, w.at)
		if (err == nil) != (i == 3) {
			w.Errorf("record %d: got %v, want only the newest to be left", i, err)
		}
	}
}
