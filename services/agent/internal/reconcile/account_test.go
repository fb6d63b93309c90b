package reconcile_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
)

// deployer makes a service account in the world's namespace that may do everything with its config maps, and nothing else.
func deployer(w *world) string {
	w.create("v1/serviceaccounts/./deployer", map[string]any{"apiVersion": "v1", "kind": "ServiceAccount"})
	w.create("rbac.authorization.k8s.io/v1/roles/./deployer", map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
		"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"*"}}}})
	w.create("rbac.authorization.k8s.io/v1/rolebindings/./deployer", map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "deployer", "namespace": w.namespace}}})
	return w.namespace + "/deployer"
}

const secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: x}\n"

func TestAStackIsAppliedAsItsAccountAndHasNoOtherRights(t *testing.T) {
	t.Parallel()
	generator := uuid.NewString()
	w := newWorld(t, func(w *world) {
		w.accounts = account.Rules{Allowed: []account.Allowed{{Generator: generator, Namespace: w.namespace, Name: "deployer"}}}
	})
	as, id := deployer(w), uuid.NewString()
	s := w.stack(id, configMap("it", "ours"), wire.Policy{ServiceAccount: as})
	s.GeneratorID = generator
	w.apply(s)
	more := w.stack(id, configMap("it", "ours")+secret, wire.Policy{ServiceAccount: as})
	more.GeneratorID = generator
	w.engine.Desired([]wire.Stack{more}, nil)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return a.SequenceID == more.SequenceID && a.Phase == "failed" })
	if !strings.Contains(r.Message, "as service account "+as) || w.get("v1/secrets/./s") != nil {
		t.Errorf("what the account may not make: %q, there: %v", r.Message, w.get("v1/secrets/./s"))
	}
	w.remove(id)
	if w.get("v1/configmaps/./it") != nil {
		t.Error("the config map is still there after the removal")
	}
}

func TestAnAccountThatIsNotAllowedGivesNoRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.accounts = account.Rules{Allowed: []account.Allowed{{Generator: uuid.NewString(), Namespace: w.namespace, Name: "deployer"}}}
	})
	as, id := deployer(w), uuid.NewString()
	first := w.stack(id, configMap("it", "ours"))
	first.GeneratorID = uuid.NewString()
	w.apply(first)
	writes := w.wire.writes.Load()
	s := w.stack(id, configMap("it", "more"), wire.Policy{ServiceAccount: as})
	s.GeneratorID = first.GeneratorID
	w.engine.Desired([]wire.Stack{s}, nil)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return a.SequenceID == s.SequenceID && a.Phase == "failed" })
	for _, want := range []string{"account: ", as, s.GeneratorID, "agent.service_accounts"} {
		if !strings.Contains(r.Message, want) {
			t.Errorf("the report %q does not say %q", r.Message, want)
		}
	}
	if w.value("v1/configmaps/./it") != "ours" || w.wire.writes.Load() != writes {
		t.Error("something was written for a stack that names an account which it may not")
	}
}

// A treatment says nothing by which its stack stays in the cluster.
func TestAStackGoesAlthoughItNamesAnAccountThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		applied bool // as the deployer, else as the agent
		revoked bool // the deployer is not allowed any more
		spare   bool // is the default by then
		as      string
	}{
		"as it was applied":                {applied: true, as: "service account %s"},
		"as the agent applied it":          {as: "the agent itself"},
		"as what is not allowed any more":  {applied: true, revoked: true, as: "the agent itself"},
		"as the default, which is another": {applied: true, revoked: true, spare: true, as: "service account %s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			generator, id := uuid.NewString(), uuid.NewString()
			w := newWorld(t, func(w *world) {
				w.accounts = account.Rules{Allowed: []account.Allowed{{Generator: generator, Namespace: w.namespace, Name: "deployer"}}}
			})
			as := deployer(w)
			s := w.stack(id, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, finalizers: [example.com/hold]}\n")
			if c.applied {
				s.Policy.ServiceAccount = as
			}
			s.GeneratorID = generator
			w.apply(s)
			w.create("v1/configmaps/./theirs", map[string]any{"apiVersion": "v1", "kind": "ConfigMap"})
			if c.revoked {
				w.accounts = account.Rules{}
			}
			if c.spare {
				w.accounts.Default = as
			}
			w.restart()
			w.seq++
			told := wire.Removed{StackID: id, Revision: w.seq, GeneratorID: generator, Policy: &wire.Policy{ServiceAccount: "kube-system/admin"}}
			w.engine.Desired(nil, []wire.Removed{told})
			want := "removed as " + strings.ReplaceAll(c.as, "%s", as) + ": "
			w.reports.await(t, id, func(a wire.Applied) bool {
				return a.Phase == "removing" && strings.Contains(a.Message, want) && strings.Contains(a.Message, "service_account kube-system/admin")
			})
			w.patch("v1/configmaps/./it", `{"metadata":{"finalizers":null}}`)
			w.reports.awaitRemoved(t, id)
			if w.get("v1/configmaps/./it") != nil || w.get("v1/configmaps/./theirs") == nil {
				t.Errorf("after the removal: it %v, theirs %v", w.get("v1/configmaps/./it"), w.get("v1/configmaps/./theirs"))
			}
		})
	}
}

func TestTheDefaultAccountIsOfStacksThatNameNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.accounts = account.Rules{Default: w.namespace + "/deployer"} })
	as, id := deployer(w), uuid.NewString()
	w.apply(w.stack(id, configMap("it", "ours")))
	s := w.stack(id, configMap("it", "ours")+secret)
	w.engine.Desired([]wire.Stack{s}, nil)
	r := w.reports.await(t, id, func(a wire.Applied) bool { return a.SequenceID == s.SequenceID && a.Phase == "failed" })
	if !strings.Contains(r.Message, "as service account "+as) || w.get("v1/secrets/./s") != nil {
		t.Errorf("it was not applied as the default account: %q", r.Message)
	}
	w.remove(id)
}

func TestATombstoneSaysWhatBecomesOfTheObjects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		applied wire.Policy
		told    *wire.Policy
		stays   bool
	}{
		"nothing new":            {applied: wire.Policy{Prune: "orphan"}, stays: true},
		"orphan, said at last":   {told: &wire.Policy{Prune: "orphan"}, stays: true},
		"delete, said at last":   {applied: wire.Policy{Prune: "orphan"}, told: &wire.Policy{}},
		"the same as it was":     {told: &wire.Policy{}},
		"what no agent knows of": {told: &wire.Policy{Prune: "archive"}, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := uuid.NewString()
			w.apply(w.stack(id, configMap("it", "ours"), c.applied))
			w.seq++
			w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq, Policy: c.told}})
			w.reports.awaitRemoved(t, id)
			u := w.get("v1/configmaps/./it")
			if (u != nil) != c.stays {
				t.Fatalf("it is %v, want there: %v", u, c.stays)
			}
			if u != nil && (u.GetLabels()["brokkr.io/stack"] != "" || u.GetAnnotations()["brokkr.io/owner-id"] != "") {
				t.Errorf("what stays is still stamped: %v %v", u.GetLabels(), u.GetAnnotations())
			}
			w.reports.mu.Lock()
			defer w.reports.mu.Unlock()
			if got := w.reports.removed[id]; got.Policy != nil || got.GeneratorID != "" {
				t.Errorf("the acknowledgement has more than its stack and revision: %+v", got)
			}
		})
	}
}

func TestATombstoneMayChangeWhileItWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	// The service goes before the config map.
	held := "---\napiVersion: v1\nkind: Service\nmetadata: {name: held, finalizers: [example.com/hold]}\nspec: {ports: [{port: 80}]}\n"
	w.apply(w.stack(id, configMap("it", "ours")+held))
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq, Policy: &wire.Policy{}}})
	w.reports.await(t, id, func(a wire.Applied) bool {
		return a.Phase == "removing" && strings.Contains(a.Message, "finalizers: example.com/hold")
	})
	if w.get("v1/configmaps/./it") == nil {
		t.Fatal("it went before what comes after it")
	}
	w.seq++
	w.engine.Desired(nil, []wire.Removed{{StackID: id, Revision: w.seq, Policy: &wire.Policy{Prune: "orphan"}}})
	w.reports.awaitRemoved(t, id)
	if w.get("v1/configmaps/./it") == nil {
		t.Error("it was deleted though the treatment says orphan by now")
	}
	w.patch("v1/services/./held", `{"metadata":{"finalizers":null}}`)
}

// During an upgrade an older gateway may tell of a removal again, without what it does not know.
func TestATombstoneThatSaysNoTreatmentTakesNoneAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		applied, told wire.Policy
		stays         bool
	}{
		"orphan": {told: wire.Policy{Prune: "orphan"}, stays: true},
		"delete": {applied: wire.Policy{Prune: "orphan"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id, held := uuid.NewString(), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, finalizers: [example.com/hold]}\n"
			w.apply(w.stack(id, held, c.applied))
			told := wire.Removed{StackID: id, Revision: w.seq + 1, GeneratorID: uuid.NewString(), Policy: &c.told}
			w.seq += 2
			again := wire.Removed{StackID: id, Revision: w.seq}
			if c.stays { // it does not wait
				w.engine.Desired(nil, []wire.Removed{told, again})
			} else {
				w.engine.Desired(nil, []wire.Removed{told})
				w.reports.await(t, id, func(a wire.Applied) bool {
					return a.Phase == "removing" && strings.Contains(a.Message, "example.com/hold")
				})
				w.engine.Desired(nil, []wire.Removed{again})
				w.patch("v1/configmaps/./it", `{"metadata":{"finalizers":null}}`)
			}
			w.reports.awaitRemoved(t, id)
			u := w.get("v1/configmaps/./it")
			if (u != nil && u.GetDeletionTimestamp() == nil) != c.stays {
				t.Errorf("it is %v, want there: %v", u, c.stays)
			}
			if u != nil {
				w.patch("v1/configmaps/./it", `{"metadata":{"finalizers":null}}`)
			}
		})
	}
}

func TestGoingBackToDeleteDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.NewString()
	orphan := wire.Policy{Prune: "orphan"}
	w.apply(w.stack(id, configMap("it", "ours")+configMap("left", "ours"), orphan))
	w.apply(w.stack(id, configMap("it", "ours"), orphan)) // left stays behind
	w.apply(w.stack(id, configMap("it", "ours")))         // and from here on things are deleted again
	if w.get("v1/configmaps/./left") == nil || w.get("v1/configmaps/./it") == nil {
		t.Fatal("the change of the treatment has deleted something")
	}
	w.remove(id)
	if w.get("v1/configmaps/./left") == nil || w.get("v1/configmaps/./it") != nil {
		t.Errorf("after the removal: left %v, it %v; want what was orphaned alone", w.get("v1/configmaps/./left"), w.get("v1/configmaps/./it"))
	}
}
