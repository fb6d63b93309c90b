package porttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func blobCases() map[string]func(*world) {
	return map[string]func(*world){
		"round trip":                     blobRoundTrip,
		"large":                          blobLarge,
		"racing the same":                blobRace,
		"what nothing refers to goes":    blobTrim,
		"trimming against those who put": blobTrimRace,
	}
}

func blobRoundTrip(w *world) {
	contents := [][]byte{[]byte("kind: ConfigMap\n"), {}, {0, 0xff, 0xfe, '\n'}}
	var sums []stack.Checksum
	for _, c := range contents {
		sum, err := w.Blobs().Put(w.ctx, c)
		wantNone(w.T, "put", err)
		h := sha256.Sum256(c)
		wantSame(w.T, "checksum", sum, stack.Checksum(hex.EncodeToString(h[:])))
		again, err := w.Blobs().Put(w.ctx, c)
		wantNone(w.T, "put again", err)
		wantSame(w.T, "checksum again", again, sum)
		got, err := w.Blobs().Get(w.ctx, sum)
		wantNone(w.T, "get", err)
		wantSame(w.T, "content", got, c)
		if len(got) > 0 {
			got[0] = 'X'
			got, err = w.Blobs().Get(w.ctx, sum)
			wantNone(w.T, "get", err)
			wantSame(w.T, "content after the caller changed a copy", got, c)
		}
		sums = append(sums, sum)
	}
	unknown := stack.Checksum(strings.Repeat("0", 64))
	_, err := w.Blobs().Get(w.ctx, unknown)
	wantKind(w.T, "get unknown", err, fault.NotFound)
	many, err := w.Blobs().GetMany(w.ctx, append(sums, unknown, sums[0]))
	wantNone(w.T, "get many", err)
	wantSame(w.T, "contents", many, map[stack.Checksum][]byte{sums[0]: contents[0], sums[1]: contents[1], sums[2]: contents[2]})
	none, err := w.Blobs().GetMany(w.ctx, nil)
	wantNone(w.T, "get none", err)
	wantSame(w.T, "no contents", none, nil)

	mine := []byte("the caller's")
	sum, err := w.Blobs().Put(w.ctx, mine)
	wantNone(w.T, "put", err)
	mine[0] = 'X'
	got, err := w.Blobs().Get(w.ctx, sum)
	wantNone(w.T, "get", err)
	wantSame(w.T, "content after the caller changed its own", string(got), "the caller's")
}

func blobLarge(w *world) {
	content := bytes.Repeat([]byte("apiVersion: v1\nkind: ConfigMap\n"), 1<<16)
	sum, err := w.Blobs().Put(w.ctx, content)
	wantNone(w.T, "put", err)
	got, err := w.Blobs().Get(w.ctx, sum)
	wantNone(w.T, "get", err)
	if !bytes.Equal(got, content) {
		w.Fatalf("got %d bytes that differ from the %d that were put", len(got), len(content))
	}
}

func blobRace(w *world) {
	for _, err := range race(8, func(int) error { return discard(w.Blobs().Put(w.ctx, []byte("the same"))) }) {
		wantNone(w.T, "put", err)
	}
}

func (w *world) trimBlobs(before time.Time, limit int) int {
	w.Helper()
	n, err := w.Blobs().Trim(w.ctx, before, limit)
	wantNone(w.T, "trim", err)
	return n
}

func (w *world) stored(sums ...stack.Checksum) map[stack.Checksum]bool {
	w.Helper()
	got, err := w.Blobs().GetMany(w.ctx, sums)
	wantNone(w.T, "get many", err)
	out := map[stack.Checksum]bool{}
	for sum := range got {
		out[sum] = true
	}
	return out
}

func blobTrim(w *world) {
	p := w.place(1)
	a, gone := p.agents[0].ID, w.place(0)
	wantNone(w.T, "delete a stack", w.Stacks().Delete(w.ctx, gone.stack.ID, w.at))
	change := w.assign(a, p.object)
	change.Variant = w.blob("kind: Variant")
	w.decide(p.stack.ID, change)
	done, open := w.newOrder(named(a)), w.newOrder(named(a))
	done.Checksum, open.Checksum = w.blob("kind: Job # done"), w.blob("kind: Job # open")
	for _, o := range []workorder.Order{done, open} {
		wantNone(w.T, "insert an order", w.WorkOrders().Insert(w.ctx, o))
	}
	claimed := w.claimOrder(done.ID, a, w.at)
	_, entry, err := claimed.Complete(workorder.Completer{Agent: a}, workorder.Result{Success: true}, w.at)
	wantNone(w.T, "complete", err)
	wantNone(w.T, "finish", w.WorkOrders().Finish(w.ctx, claimed.Version, *entry))

	kept := []stack.Checksum{p.object.Checksum, gone.object.Checksum, change.Variant, done.Checksum, open.Checksum}
	var unused []stack.Checksum
	for i := range 5 {
		unused = append(unused, w.blob(fmt.Sprint("unused ", i)))
	}
	now := time.Now()
	wantSame(w.T, "trimmed of what is young", w.trimBlobs(now.Add(-time.Hour), 10), 0)
	wantSame(w.T, "trimmed at most", w.trimBlobs(now.Add(time.Hour), 3), 3)
	wantSame(w.T, "left", len(w.stored(unused...)), 2)
	n := w.trimBlobs(now.Add(time.Hour), 1000)
	if left := w.stored(unused...); n < 2 || len(left) != 0 {
		w.Fatalf("trimmed %d, left %v, want nothing unused left", n, left)
	}
	wantSame(w.T, "trimmed of nothing", w.trimBlobs(now.Add(time.Hour), 1000), 0)
	wantSame(w.T, "kept", len(w.stored(kept...)), len(kept))
	wantSame(w.T, "stored anew", w.stored(w.blob("unused 0")), map[stack.Checksum]bool{unused[0]: true})

	w.decide(p.stack.ID, w.assign(a, p.object))
	wantSame(w.T, "trimmed of a variant that nobody has any more", w.trimBlobs(now.Add(time.Hour), 1000) > 0 && !w.stored(change.Variant)[change.Variant], true)
}

// blobTrimRace publishes while everything unused is deleted, however young: what came to refer to a content has it.
func blobTrimRace(w *world) {
	s := w.stack(w.generator("ci").ID, "web")
	objects := make([]stack.Object, 8)
	for i := range objects {
		objects[i] = w.newObject(s.ID, "kind: ConfigMap # of all")
	}
	for _, err := range race(2*len(objects), func(i int) error {
		if i%2 == 0 {
			_, err := w.Blobs().Trim(w.ctx, time.Now().Add(time.Hour), 10)
			if fault.Is(err, fault.Refused) { // what it was about to delete came to be used
				return nil
			}
			return err
		}
		err := w.Write(w.ctx, func(ctx context.Context, tx ports.Repositories) error {
			if _, err := tx.Blobs().Put(ctx, []byte("kind: ConfigMap # of all")); err != nil {
				return err
			}
			_, err := tx.Objects().Insert(ctx, objects[i/2])
			return err
		})
		return err
	}) {
		wantNone(w.T, "publish or trim", err)
	}
	got, err := w.Objects().OfStack(w.ctx, s.ID)
	wantNone(w.T, "of stack", err)
	wantSame(w.T, "objects", len(got), len(objects))
	content, err := w.Blobs().Get(w.ctx, objects[0].Checksum)
	wantNone(w.T, "content", err)
	wantSame(w.T, "content", string(content), "kind: ConfigMap # of all")
}
