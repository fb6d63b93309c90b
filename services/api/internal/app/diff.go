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
	Masked   int             // Secrets whose values were not compared, because the caller may not know them
	Clusters []Move          // that have the stack or would get it, by name
	Hold     *placement.Hold // removals that wait for approval and would go on waiting
	Warnings []PolicyProblem // what the overrides of the stack's policy would do to it, or fail to do
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
	Masked int // as in Preview
}

// PreviewObject says what PublishObject of the same would change, to who may publish it and with the same checks, and writes
// nothing. The clusters are those of the stack's marks and of the agents as they are now; an owner sees no cluster of others. Who may not
// know the values of its Secrets does not learn whether they would change. Limited (too_many_plans) if there is no turn for it.
func (a *App) PreviewObject(ctx context.Context, p tenancy.Principal, s stack.ID, content []byte, marker bool) (Preview, error) {
	v, err := ownStack(ctx, a.Store, p, s)
	if err != nil {
		return Preview{}, err
	}
	end, err := a.foresee(ctx, p)
	if err != nil {
		return Preview{}, err
	}
	defer end()
	sees, err := seesSecrets(ctx, a.Store, p, v.Generator)
	if err != nil {
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
	if out.Difference, out.Masked, err = difference(ctx, before, content, sees); err != nil {
		return Preview{}, fmt.Errorf("compare with the newest object: %w", err)
	}
	if out.Clusters, err = a.moves(ctx, p, sub, out); err != nil {
		return Preview{}, err
	}
	if marker {
		out.Hold = nil // what a user names himself is not braked
		return out, nil
	}
	if out.Hold, err = a.until(ctx, out.Hold); err != nil {
		return Preview{}, err
	}
	out.Warnings, err = a.foretell(ctx, sub, content)
	return out, err
}

// foretell tells what the overrides of the policy that decides about a stack would come to on this content. One that fails does
// not keep it from being published: the clusters that the override is for keep what they have.
func (a *App) foretell(ctx context.Context, sub placement.Subject, content []byte) ([]PolicyProblem, error) {
	if sub.Policy == nil {
		return nil, nil
	}
	v, err := a.Store.Policies().Get(ctx, tenancy.Scope{Generator: sub.Generator}, sub.Policy.ID)
	if err != nil {
		return nil, fmt.Errorf("get the stack's policy: %w", err)
	}
	warnings, errs := problemsOf(sub.Name, content, v.Document)
	for _, e := range errs {
		e.Message += " (the clusters of this override would keep what they have)"
		warnings = append(warnings, e)
	}
	return warnings, nil
}

// moves decides as the scheduler would if the previewed object were the newest. It knows no brake: what is held now is told
// beside it.
func (a *App) moves(ctx context.Context, p tenancy.Principal, sub placement.Subject, preview Preview) ([]Move, error) {
	ids := []stack.ID{sub.Stack}
	if sub.Policy != nil {
		ids = nil // a policy may look at all that is on clusters
	}
	w, err := a.readDeciding(ctx, a.Store, ids)
	if err != nil {
		return nil, err
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
	newest, prior := sub.Newest, w.priors[sub.Stack]
	sub.Newest = &stack.Object{Stack: sub.Stack, Checksum: preview.Checksum, Marker: preview.Marker}
	w.subjects[sub.Stack], w.brake = sub, placement.Brake{Waiting: placement.Waiting{}}
	decided := w.decide(sub.Stack, a.now())
	same := newest != nil && newest.Marker == preview.Marker && len(preview.Changes)+preview.Masked == 0
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
// difference to show: the other one is NotFound. Limited (too_many_plans) if there is no turn for it.
func (a *App) DiffObjects(ctx context.Context, p tenancy.Principal, id, against stack.ObjectID) (ObjectDiff, error) {
	end, err := a.foresee(ctx, p)
	if err != nil {
		return ObjectDiff{}, err
	}
	defer end()
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
	sees, err := a.seesSecretsOf(ctx, p, to.Stack)
	if err != nil {
		return ObjectDiff{}, err
	}
	out := ObjectDiff{From: from, To: to}
	if out.Difference, out.Masked, err = difference(ctx, before, after, sees); err != nil {
		return ObjectDiff{}, fmt.Errorf("compare %s with %s: %w", id, against, err)
	}
	return out, nil
}

// difference compares two contents that were found good. The values of Secrets are never shown, and for who may not know them
// not even compared: who can publish could guess them until nothing differs. It returns in how many Secrets that was so.
func difference(ctx context.Context, before, after []byte, sees bool) (bundle.Difference, int, error) {
	was, err := bundle.ParseStored(before)
	if err != nil {
		return bundle.Difference{}, 0, err
	}
	if err := ctx.Err(); err != nil { // each of the steps may take a while
		return bundle.Difference{}, 0, err
	}
	is, err := bundle.ParseStored(after)
	if err != nil {
		return bundle.Difference{}, 0, err
	}
	if err := ctx.Err(); err != nil {
		return bundle.Difference{}, 0, err
	}
	masked := 0
	if !sees {
		masked = max(bundle.Mask(was), bundle.Mask(is))
	}
	return bundle.Diff(was, is, shownFields).Redact(), masked, nil
}
