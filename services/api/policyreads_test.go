package api_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// noting is a store that notes of how many stacks the facts are read; all is a read of all of them.
type noting struct {
	*memory.Store
	read, all *atomic.Int64
}

func (n noting) Facts() ports.Facts { return notingFacts{n.Store.Facts(), n} }

func (n noting) Write(ctx context.Context, fn func(context.Context, ports.Repositories) error) error {
	return n.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) error { return fn(ctx, notingTx{tx, n}) })
}

type notingTx struct {
	ports.Repositories
	n noting
}

func (t notingTx) Facts() ports.Facts { return notingFacts{t.Repositories.Facts(), t.n} }

type notingFacts struct {
	ports.Facts
	n noting
}

func (f notingFacts) Subjects(ctx context.Context, ids []stack.ID) ([]placement.Subject, error) {
	if ids == nil {
		f.n.all.Add(1)
	}
	f.n.read.Add(int64(len(ids)))
	return f.Facts.Subjects(ctx, ids)
}

// What is done with a policy reads the stacks that it reaches, and no others, however many there are.
func TestAPolicyReadsOnlyTheStacksThatItReaches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	store, ok := w.store.(*memory.Store)
	if !ok {
		t.Fatalf("the world's store is a %T", w.store)
	}
	n := noting{store, &atomic.Int64{}, &atomic.Int64{}}
	w.handler = w.handlerOf(n)
	const patch = `"overrides":[{"clusters":{"labels":["prod"]},"patches":[{"target":{"kind":"ConfigMap"},"patch":[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]}]}]`
	// Another policy of the generator makes stacks depend on others, so that each change is looked at for cycles.
	other := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"other","depends_on":[{"stack":"held"}]}`)
	w.ok(asOwner, request{method: "PUT", path: "/placement-policies/" + other.ID + "/stack-labels/none"})
	p := answer[policyAnswer](w, asOwner, "POST", "/placement-policies", `{"name":"p",`+patch+`}`)
	path := "/placement-policies/" + p.ID
	for _, step := range []struct {
		name string
		q    request
		most int64 // stacks that are read
	}{
		{"attach", request{method: "PUT", path: "/stacks/" + string(w.stack.ID) + "/placement-policy", body: `{"policy_id":"` + p.ID + `"}`}, 1},
		{"update", request{method: "PUT", path: path, body: `{"name":"p","clusters":{"labels":["prod"]},` + patch + `}`}, 1},
		{"attach to a label", request{method: "PUT", path: path + "/stack-labels/nobody-has-it"}, 1},
		{"detach from a label", request{method: "DELETE", path: path + "/stack-labels/nobody-has-it"}, 1},
		{"delete", request{method: "DELETE", path: path + "?detach=true"}, 1},
	} {
		n.read.Store(0)
		w.ok(asOwner, step.q)
		if all, read := n.all.Load(), n.read.Load(); all != 0 || read > step.most {
			t.Errorf("%s: all stacks were read %d times, and %d by their ids; want at most %d", step.name, all, read, step.most)
		}
	}
}
