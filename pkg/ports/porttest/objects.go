package porttest

import (
	"slices"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

func objectCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is stored comes back":          objectRoundTrip,
		"unknown is not found":               objectUnknown,
		"newest is of the highest sequence":  objectNewest,
		"publishing grows the stack version": objectVersion,
		"racers get sequences of their own":  objectRace,
	}
}

func objectRoundTrip(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	for _, marker := range []bool{false, true} {
		o := w.newObject(s.ID, "kind: ConfigMap")
		o.Marker = marker
		stored, err := w.Objects().Insert(w.ctx, o)
		wantNone(w.T, "insert", err)
		if stored.Sequence <= 0 {
			w.Fatalf("sequence: got %d, want a positive one", stored.Sequence)
		}
		o.Sequence = stored.Sequence
		wantSame(w.T, "inserted", stored, o)
		got, err := w.Objects().Get(w.ctx, everything, o.ID)
		wantNone(w.T, "get", err)
		wantSame(w.T, "object", got, o)
		_, err = w.Objects().Insert(w.ctx, o)
		wantKind(w.T, "insert again", err, fault.Conflict)
	}
}

func objectUnknown(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	_, err := w.Objects().Get(w.ctx, everything, newID[stack.ObjectID]())
	wantCode(w.T, "get", err, fault.NotFound, "deployment_object_not_found")
	_, err = w.Objects().Newest(w.ctx, s.ID)
	wantCode(w.T, "newest of nothing", err, fault.NotFound, "deployment_object_not_found")
	list, err := w.Objects().OfStack(w.ctx, s.ID)
	wantNone(w.T, "of stack", err)
	wantSame(w.T, "objects", list, nil)
	_, err = w.Objects().Insert(w.ctx, w.newObject(newID[stack.ID](), "x"))
	wantCode(w.T, "insert for an unknown stack", err, fault.NotFound, "stack_not_found")
	o := w.newObject(s.ID, "x")
	o.Checksum = stack.Checksum(strings.Repeat("0", 64))
	_, err = w.Objects().Insert(w.ctx, o)
	wantKind(w.T, "insert without its blob", err, fault.NotFound)
	_, err = w.Objects().Newest(w.ctx, s.ID)
	wantKind(w.T, "newest after the refusals", err, fault.NotFound)
}

func objectNewest(w *world) {
	g := w.generator("ci")
	s, other := w.stack(g.ID, "web"), w.stack(g.ID, "db")
	var want []stack.Object
	for _, content := range []string{"one", "two", "one"} {
		want = append(want, w.publish(s.ID, content))
		w.publish(other.ID, content)
	}
	slices.Reverse(want)
	for i := 1; i < len(want); i++ {
		wantGrown(w.T, "sequence", want[i].Sequence, want[i-1].Sequence)
	}
	got, err := w.Objects().Newest(w.ctx, s.ID)
	wantNone(w.T, "newest", err)
	wantSame(w.T, "newest", got, want[0])
	list, err := w.Objects().OfStack(w.ctx, s.ID)
	wantNone(w.T, "of stack", err)
	wantSame(w.T, "objects, newest first", list, want)
}

func objectVersion(w *world) {
	g := w.generator("ci")
	s, other := w.stack(g.ID, "web"), w.stack(g.ID, "db")
	v, ov := w.stackVersions(s.ID), w.stackVersions(other.ID)
	w.publish(s.ID, "one")
	v.grew("an object")
	ov.kept("another stack's object")
	o := w.newObject(s.ID, "two")
	o.Checksum = stack.Checksum(strings.Repeat("0", 64))
	_, err := w.Objects().Insert(w.ctx, o)
	wantKind(w.T, "insert without its blob", err, fault.NotFound)
	v.kept("a refused object")
}

func objectRace(w *world) {
	const racers = 8
	s := w.stack(w.generator("ci").ID, "web")
	sum := w.blob("same")
	for _, err := range race(racers, func(int) error {
		o := stack.Object{ID: newID[stack.ObjectID](), Stack: s.ID, Checksum: sum, SubmittedAt: w.at, CreatedAt: w.at, UpdatedAt: w.at}
		return discard(w.Objects().Insert(w.ctx, o))
	}) {
		wantNone(w.T, "insert", err)
	}
	list, err := w.Objects().OfStack(w.ctx, s.ID)
	wantNone(w.T, "of stack", err)
	seen := map[stack.Sequence]bool{}
	for _, o := range list {
		seen[o.Sequence] = true
	}
	if len(list) != racers || len(seen) != racers {
		w.Fatalf("got %d objects with %d sequences, want %d", len(list), len(seen), racers)
	}
	wantSame(w.T, "version", w.seeStack(s.ID).Version, s.Version+racers)
}
