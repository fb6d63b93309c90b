package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// shownFields is how many changed fields of one manifest are named; the rest is counted.
const shownFields = 50

// Preview is what publishing would do.
type Preview struct {
	Stack    stack.ID
	Base     *stack.Object // the newest object, against which it is compared; nil: nothing was published yet
	Checksum stack.Checksum
	Marker   bool
	bundle.Difference
	Clusters []Move          // that have the stack or would get it, by name
	Hold     *placement.Hold // removals that wait for approval and would go on waiting
}

// Effect is what a publication would do to the stack in a cluster.
type Effect string

// The effects. Keep is of a cluster that has the newest object when no manifest differs from it.
const (
	Gain   Effect = "gain"
	Keep   Effect = "keep"
	Update Effect = "update"
	Lose   Effect = "lose"
)

// Move is what a publication would do in one cluster, and why.
type Move struct {
	Agent   agent.ID
	Name    string // of the agent; empty if it is deleted
	Cluster string
	Effect  Effect
	Reasons []placement.Reason
}

// ObjectDiff is what makes one deployment object of another one of its stack, without the values of Secrets.
type ObjectDiff struct {
	From, To stack.Object
	bundle.Difference
}

// PreviewObject says what PublishObject of the same would change, to who may publish it and with the same checks, and writes
// nothing. The clusters are those of the stack's marks and of the agents as they are now; an owner sees no cluster of others.
func (a *App) PreviewObject(ctx context.Context, p tenancy.Principal, s stack.ID, content []byte, marker bool) (Preview, error) {
	if _, err := ownStack(ctx, a.Store, p, s); err != nil {
		return Preview{}, err
	}
	if err := a.checkContent(content, marker); err != nil {
		return Preview{}, err
	}
	sub, err := a.subject(ctx, p, s)
	if err != nil {
		return Preview{}, err
	}
	sum := sha256.Sum256(content)
	out := Preview{Stack: s, Base: sub.Newest, Checksum: stack.Checksum(hex.EncodeToString(sum[:])), Marker: marker, Hold: sub.Hold}
	var before []byte
	if sub.Newest != nil {
		if before, err = a.content(ctx, *sub.Newest); err != nil {
			return Preview{}, err
		}
	}
	if out.Difference, err = difference(before, content); err != nil {
		return Preview{}, fmt.Errorf("compare with the newest object: %w", err)
	}
	out.Clusters, err = a.moves(ctx, p, sub, out)
	if marker {
		out.Hold = nil // what a user names himself is not braked
	}
	return out, err
}

// moves decides as the scheduler would if the previewed object were the newest. It knows no brake: what is held now is told
// beside it.
func (a *App) moves(ctx context.Context, p tenancy.Principal, sub placement.Subject, preview Preview) ([]Move, error) {
	facts := a.Store.Facts()
	clusters, err := facts.Clusters(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read clusters: %w", err)
	}
	priors, err := facts.Prior(ctx, []stack.ID{sub.Stack})
	if err != nil {
		return nil, fmt.Errorf("read the stack's assignments: %w", err)
	}
	agents, err := a.fleet(ctx)
	if err != nil {
		return nil, err
	}
	var visible map[agent.ID]bool
	if !p.IsStaff() {
		if visible, err = a.visibleClusters(ctx, p, sub.Stack); err != nil {
			return nil, err
		}
	}
	newest, prior := sub.Newest, priors[sub.Stack]
	sub.Newest = &stack.Object{Stack: sub.Stack, Checksum: preview.Checksum, Marker: preview.Marker}
	decided := placement.Decide(placement.Input{Subject: sub, Clusters: clusters, Prior: prior}, a.now())
	same := newest != nil && newest.Marker == preview.Marker && len(preview.Changes) == 0
	out := []Move{}
	for _, v := range decided.Verdicts {
		was, has := prior[v.Agent]
		m := Move{Agent: v.Agent, Name: agents[v.Agent].Name, Cluster: v.Cluster, Reasons: v.Reasons}
		switch {
		case v.Picked && (!has || was.State != delivery.Assigned):
			m.Effect = Gain
		case v.Picked && same && was.Object == newest.ID:
			m.Effect = Keep
		case v.Picked:
			m.Effect = Update
		case has:
			m.Effect = Lose
		default:
			continue
		}
		if p.IsStaff() || visible[v.Agent] {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(x, y Move) int {
		return cmp.Or(cmp.Compare(x.Cluster, y.Cluster), cmp.Compare(x.Agent, y.Agent))
	})
	return out, nil
}

// DiffObjects returns what makes the object id of the object against, to who may read both. Objects of two stacks have no
// difference to show: the other one is NotFound.
func (a *App) DiffObjects(ctx context.Context, p tenancy.Principal, id, against stack.ObjectID) (ObjectDiff, error) {
	to, after, err := a.readObject(ctx, p, id)
	if err != nil {
		return ObjectDiff{}, err
	}
	from, before, err := a.readObject(ctx, p, against)
	if err != nil {
		return ObjectDiff{}, err
	}
	if from.Stack != to.Stack {
		return ObjectDiff{}, fault.Newf(fault.NotFound, "deployment_object_not_found", "deployment object %s is not there", against)
	}
	out := ObjectDiff{From: from, To: to}
	if out.Difference, err = difference(before, after); err != nil {
		return ObjectDiff{}, fmt.Errorf("compare %s with %s: %w", id, against, err)
	}
	return out, nil
}

// difference compares two contents that were found good.
func difference(before, after []byte) (bundle.Difference, error) {
	was, err := bundle.ParseStored(before)
	if err != nil {
		return bundle.Difference{}, err
	}
	is, err := bundle.ParseStored(after)
	if err != nil {
		return bundle.Difference{}, err
	}
	return bundle.Diff(was, is, shownFields).Redact(), nil
}
