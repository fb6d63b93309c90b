package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
	"github.com/colliery-io/brokkr/services/agent/internal/health"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const (
	chunk            = 128 // objects that are held with what is there and what would be
	terminatingRetry = 2 * time.Second
	settleTries      = 6 // looks at objects whose kind or namespace has just been made
	settlePause      = 100 * time.Millisecond
	establishLimit   = 30 * time.Second
)

// full is one pass over a stack that is wanted, or over some of its objects.
type full struct {
	w        *worker
	want     wire.Stack
	rules    health.Rules // how its custom resources are
	desired  plan.Desired
	stored   cluster.Inventory // as it is in the cluster
	settled  bool              // this bundle had been applied as a whole before
	state    map[cluster.Key]state
	notes    notes
	did      map[cluster.Key]plan.Action // to what was written
	conflict map[cluster.Key]error
	refused  map[cluster.Key]error
	truces   map[cluster.Key][]string // contested paths, which stay as they are
	leaving  []cluster.Entry          // not wanted any more, and not gone yet
	held     []cluster.Entry          // not wanted any more, and not to be taken away yet
}

func (w *worker) newFull(s wire.Stack) *full {
	return &full{
		w: w, want: s, rules: w.rulesOf(s), state: map[cluster.Key]state{}, notes: newNotes(), did: map[cluster.Key]plan.Action{},
		truces: map[cluster.Key][]string{}, conflict: map[cluster.Key]error{}, refused: map[cluster.Key]error{},
	}
}

// applyAll makes the cluster as the stack wants it. Unless it is the newest revision, nothing is taken away: a newer one may
// want what this one does not.
func (w *worker) applyAll(ctx context.Context, s wire.Stack, fresh, newest bool) (err error) {
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.leave()
	kind := passResync
	if fresh || !w.isCurrent() {
		kind = passApply
		w.setState(stateApplying)
	}
	as, refused := w.e.c.Accounts.As(s.GeneratorID, s.Policy.ServiceAccount)
	if refused == nil {
		s.Policy.ServiceAccount = string(as) // the default too, so that the inventory knows as whom the objects were made
	}
	if fresh {
		w.begin(s)
	}
	ctx, end := w.startPass(ctx, kind, s)
	defer func() { end(err) }()
	if refused != nil {
		return failure{step: stepAccount, err: refused}
	}

	f := w.newFull(s)
	if f.stored, err = w.e.c.Cluster.Inventories.Load(ctx, w.stack); err != nil {
		return failure{step: stepInventory, err: err}
	}
	w.remnant.found(f.stored.Version != "")
	f.settled = plan.IsApplied(f.stored, s)
	if fresh && !f.settled {
		w.tell(delivery.PhaseApplying, delivery.HealthUnknown, "", later)
	}
	var coming kinds
	if f.desired, coming, err = w.prepare(ctx, s); err != nil {
		return err
	}
	w.use(f.served(coming), f.stored.Entries) // first, so that no change is missed
	if err := f.converge(ctx, coming); err != nil {
		return err
	}
	// What is wanted is there; also while something cannot be taken away, it is kept so.
	f.held = f.stale()
	if err := f.hold(ctx); err != nil {
		return err
	}
	if newest && len(f.held) > 0 {
		if err := f.prune(ctx); err != nil {
			return err
		}
		if err := f.hold(ctx); err != nil {
			return err
		}
	}
	w.problem = ""
	if err := f.left(); err != nil {
		return err
	}
	w.tellHealth()
	return nil
}

// hold notes that everything wanted was applied, and takes it for what is in force.
func (f *full) hold(ctx context.Context) error {
	left := slices.Concat(f.leaving, f.held)
	if err := f.save(ctx, plan.Settled(f.stored, f.desired, f.uids(), f.did, left)); err != nil {
		return err
	}
	f.w.settle(f)
	return nil
}

// stale are the entries of what is not wanted any more.
func (f *full) stale() []cluster.Entry {
	want := make(map[cluster.Key]bool, len(f.desired.Objects))
	for _, o := range f.desired.Objects {
		want[o.Key] = true
	}
	return slices.DeleteFunc(slices.Clone(f.stored.Entries), func(e cluster.Entry) bool { return want[e.Key] })
}

// rulesOf are the health rules of a stack: its own, over those of the cluster's owner.
func (w *worker) rulesOf(s wire.Stack) health.Rules {
	if w.rules == nil || !slices.Equal(w.ruled, s.Policy.HealthRules) {
		w.ruled, w.rules = s.Policy.HealthRules, w.e.c.Rules.Over(s.Policy.HealthRules, w.e.c.Compile)
	}
	return w.rules
}

// left is what a pass could not do for single objects.
func (f *full) left() error {
	if len(f.conflict) > 0 {
		return join(stepOwnership, f.conflict)
	}
	return join(stepValidate, f.refused)
}

// uids are those of what is there and is the stack's.
func (f *full) uids() map[cluster.Key]string {
	uids := make(map[cluster.Key]string, len(f.state))
	for k, s := range f.state {
		if f.conflict[k] == nil {
			uids[k] = s.uid
		}
	}
	return uids
}

// served returns the desired objects of kinds that the cluster has.
func (f *full) served(coming kinds) []plan.Object {
	return slices.DeleteFunc(slices.Clone(f.desired.Objects), func(o plan.Object) bool { return coming[o.Mapping.Kind] })
}

// converge looks and applies, in rounds: objects that need others of the bundle come after them.
func (f *full) converge(ctx context.Context, coming kinds) error {
	todo := f.served(coming)
	later := slices.DeleteFunc(slices.Clone(f.desired.Objects), func(o plan.Object) bool { return !coming[o.Mapping.Kind] })
	for tries := 0; ; {
		set, refused, err := f.compare(ctx, todo)
		if err != nil {
			return err
		}
		if len(set.Terminating) > 0 && !f.settled {
			return awaitGone(set.Terminating)
		}
		again, hard := f.divide(todo, refused, set, tries)
		if len(hard) > 0 && !f.settled {
			return join(stepValidate, hard)
		}
		for k, err := range hard {
			f.refused[k] = err
		}
		if err := f.write(ctx, set); err != nil {
			return err
		}
		if later = append(later, again...); len(later) == 0 {
			return nil
		}
		if len(set.Changes) > 0 {
			tries = 0
		}
		tries++
		if err := f.establish(ctx, coming, tries); err != nil {
			return err
		}
		todo, later = later, nil
	}
}

// divide tells refusals that may be for want of objects of the same bundle, which are about to be made or have just been
// made, from those that stand.
func (f *full) divide(todo []plan.Object, refused map[cluster.Key]refusal, set plan.ChangeSet, tries int) (again []plan.Object, hard map[cluster.Key]error) {
	hard = map[cluster.Key]error{}
	for _, o := range todo {
		r, is := refused[o.Key]
		if !is {
			continue
		}
		making := slices.ContainsFunc(set.Changes, func(c plan.Change) bool { return c.Object.Rank < o.Rank })
		hopeful := making || (tries > 0 && tries < settleTries)
		if hopeful && !r.exists && (fault.Is(r.err, fault.NotFound) || fault.Is(r.err, fault.Forbidden) || fault.CodeOf(r.err) == cluster.CodeKindNotHere) {
			again = append(again, o)
			continue
		}
		hard[o.Key] = r.err
	}
	return again, hard
}

// compare looks at objects, some at a time so that memory stays bounded, and says what has to be done about them.
func (f *full) compare(ctx context.Context, todo []plan.Object) (plan.ChangeSet, map[cluster.Key]refusal, error) {
	all, refused := plan.ChangeSet{Inventory: f.stored}, map[cluster.Key]refusal{}
	for part := range slices.Chunk(todo, chunk) {
		some := plan.Desired{Agent: f.desired.Agent, Stack: f.desired.Stack, Objects: part}
		found, no, err := f.w.observe(ctx, some, f.stored)
		if err != nil {
			return all, nil, err
		}
		for k, o := range found {
			f.state[k] = stateOf(f.rules, k, o.Live)
		}
		for k, r := range no {
			refused[k] = r
		}
		set := plan.Diff(some, plan.Observed{Inventory: all.Inventory, Objects: found, Partial: true})
		all.Changes = append(all.Changes, set.Changes...)
		all.Drift = append(all.Drift, set.Drift...)
		all.Conflicts = append(all.Conflicts, set.Conflicts...)
		all.Terminating = append(all.Terminating, set.Terminating...)
		all.Inventory = set.Inventory
		for _, o := range set.Expired {
			f.state[o.Key] = expired(o.Key)
		}
	}
	return all, refused, nil
}

// write does what a change set says.
func (f *full) write(ctx context.Context, set plan.ChangeSet) error {
	for _, c := range set.Conflicts {
		f.conflict[c.Object.Key] = fault.New(fault.Refused, codeNotOwned, c.Reason)
	}
	if len(f.conflict) > 0 && !f.settled {
		return join(stepOwnership, f.conflict) // nothing of the new bundle is written
	}
	for _, o := range set.Terminating {
		f.notes.leaving[o.Key] = "it is created again when it is gone"
	}
	for _, c := range set.Drift {
		f.w.e.c.Metrics.drift.WithLabelValues("reported").Inc()
		what := "differs in " + dependents.First(c.Paths, ", ") + by(c.By)
		if c.Action == plan.Create {
			what = "is missing"
		}
		f.notes.differs[c.Object.Key] = what + "; the stack's treatment is to report it only"
	}
	changes := f.peace(set.Changes)
	if !f.settled {
		f.w.settled, f.w.begun = false, f.want // from here on the cluster is no more as it was
	}
	if err := f.save(ctx, set.Inventory); err != nil {
		return err
	}
	err := f.applyChanges(ctx, changes)
	ran := map[cluster.Key]string{}
	for _, c := range changes {
		if k := c.Object.Key; f.did[k] != "" && plan.Expires(c.Object) {
			ran[k] = f.state[k].uid
		}
	}
	if len(ran) == 0 {
		return err
	}
	// Also if something else has failed, or the pass is superseded: else they would run again and again.
	if failed := f.save(context.WithoutCancel(ctx), plan.Ran(f.stored, f.want, ran)); err == nil {
		err = failed
	}
	return err
}

func awaitGone(objects []plan.Object) error {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.Key.String()
	}
	return &waiting{what: "being deleted, to be created again when gone: " + dependents.First(names, ", "), retry: terminatingRetry}
}

// save stores the inventory if it says something new.
func (f *full) save(ctx context.Context, inv cluster.Inventory) error {
	if f.stored.Version != "" && plan.Same(inv, f.stored) {
		return nil
	}
	inv.Version = f.stored.Version
	version, err := f.w.e.c.Cluster.Inventories.Save(ctx, inv)
	if err != nil {
		return failure{step: stepInventory, err: err}
	}
	inv.Version = version
	f.stored = inv
	f.w.remnant.found(true)
	return nil
}

// begin notes the start of work on a new assignment.
func (w *worker) begin(s wire.Stack) {
	w.current, w.began, w.wasHealthy = s, time.Now(), false
}
