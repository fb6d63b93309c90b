package plan_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

func TestDiffBeginsTheInventory(t *testing.T) {
	t.Parallel()
	old := cluster.Inventory{Stack: stackID, Name: "old", Applied: "sum-old", Object: "object-old", Sequence: 1, Version: "9",
		Entries: []cluster.Entry{entry(cluster.Key{Kind: "Secret", Name: "gone"}, "uid-0")}}
	p := wire.Policy{Prune: "orphan"}
	s := stack("b", p)
	s.SequenceID, s.Policy.HealthRules = 2, []string{"A.example.com='healthy'"} // which are no matter of what is there
	d := prepare(t, s, object(t, config))
	o := plan.Observed{Inventory: old, Objects: map[cluster.Key]plan.Observation{configKey: {Payload: d.Objects[0].Manifest, Would: d.Objects[0].Manifest}}}
	want := cluster.Inventory{Stack: stackID, Name: "web", Object: "object-b", Sequence: 2, Policy: p, Version: "9",
		Entries: []cluster.Entry{entry(configKey, ""), entry(cluster.Key{Kind: "Secret", Name: "gone"}, "uid-0")}}
	got := plan.Diff(d, o).Inventory
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
	if len(old.Entries) != 1 || old.Applied != "sum-old" {
		t.Errorf("the former inventory was changed: %+v", old)
	}
	// Interrupted there, going back to the old bundle is work and not drift.
	back := prepare(t, stack("old", wire.Policy{Drift: "report"}), object(t, config))
	o.Inventory = got
	if set := plan.Diff(back, o); len(set.Changes) != 1 || set.Changes[0].Drift {
		t.Errorf("going back gives %+v, want a change that is not drift", set)
	}
}

func TestSettled(t *testing.T) {
	t.Parallel()
	k := func(name string) cluster.Key {
		return cluster.Key{Kind: "ConfigMap", Namespace: namespace, Name: name}
	}
	cm := func(name string) string {
		return "{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + ", namespace: shop}}"
	}
	d := prepare(t, stack("b", wire.Policy{}), object(t, cm("made")), object(t, cm("kept")), object(t, cm("anew")), object(t, cm("taken")), object(t, cm("unseen")), object(t, cm("restored")), object(t, cm("appeared")))
	inv := cluster.Inventory{Stack: stackID, Object: "object-b", Version: "9", Entries: []cluster.Entry{
		entry(k("made"), ""),
		{Key: k("kept"), Version: "v1", UID: "uid-kept", Adopted: true},
		{Key: k("anew"), Version: "v1", UID: "uid-old", Adopted: true},
		{Key: k("taken"), Version: "v1", Adopted: true},
		{Key: k("restored"), Version: "v1", UID: "uid-old", Adopted: true},
		entry(k("appeared"), ""),
		entry(k("pruned"), "uid-pruned"), entry(k("going"), "uid-going"),
	}}
	got := plan.Settled(inv, d, map[cluster.Key]string{k("made"): "uid-made", k("kept"): "uid-kept", k("anew"): "uid-anew", k("taken"): "uid-taken", k("pruned"): "uid-pruned", k("restored"): "uid-new"},
		map[cluster.Key]plan.Action{k("made"): plan.Create, k("anew"): plan.Create, k("kept"): plan.Update, k("appeared"): plan.Adopt}, []cluster.Entry{entry(k("going"), "uid-going")})
	want := cluster.Inventory{Stack: stackID, Object: "object-b", Applied: "sum-b", Version: "9", Entries: []cluster.Entry{
		entry(k("anew"), "uid-anew"), {Key: k("appeared"), Version: "v1", Adopted: true}, entry(k("going"), "uid-going"),
		{Key: k("kept"), Version: "v1", UID: "uid-kept", Adopted: true},
		entry(k("made"), "uid-made"),
		{Key: k("restored"), Version: "v1", UID: "uid-new", Adopted: true},
		{Key: k("taken"), Version: "v1", UID: "uid-taken", Adopted: true},
		entry(k("unseen"), ""),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
}

func TestWhatHasRunIsNotedAtOnce(t *testing.T) {
	t.Parallel()
	k := cluster.Key{Group: "batch", Kind: "Job", Namespace: namespace, Name: "j"}
	inv := cluster.Inventory{Stack: stackID, Object: "object-b", Entries: []cluster.Entry{entry(configKey, "uid-0"), entry(k, "")}}
	got := plan.Ran(inv, stack("b", wire.Policy{}), map[cluster.Key]string{k: "uid-1"})
	want := []cluster.Entry{entry(configKey, "uid-0"), {Key: k, Version: "v1", UID: "uid-1", Object: "object-b"}}
	if diff := cmp.Diff(want, got.Entries); diff != "" || got.Applied != "" {
		t.Errorf("applied %q, entries (-want +got):\n%s", got.Applied, diff)
	}
	if inv.Entries[1].UID != "" {
		t.Error("the former inventory was changed")
	}
	d := prepare(t, stack("b", wire.Policy{}), object(t, config), object(t, "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}, spec: {ttlSecondsAfterFinished: 60}}"))
	settled := plan.Settled(inv, d, map[cluster.Key]string{configKey: "uid-0", k: "uid-1"}, nil, nil)
	if diff := cmp.Diff(want, settled.Entries); diff != "" {
		t.Errorf("settled entries (-want +got):\n%s", diff)
	}
}

// TestSame changes each field in turn, so that one that comes new is not forgotten.
func TestSame(t *testing.T) {
	t.Parallel()
	make1 := func() cluster.Inventory {
		return cluster.Inventory{Stack: "s", Policy: wire.Policy{IgnorePaths: []string{"/a"}}, Entries: []cluster.Entry{{Key: configKey}}}
	}
	if a, b := make1(), make1(); !plan.Same(a, b) {
		t.Error("two alike are not the same")
	}
	other := func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString("other")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int64:
			v.SetInt(7)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		default:
			t.Fatalf("no other value for a %s", v.Kind())
		}
	}
	differ := func(name string, at func(*cluster.Inventory) reflect.Value, want bool) {
		a, b := make1(), make1()
		other(at(&b))
		if got := plan.Same(a, b); got != want {
			t.Errorf("with another %s they are the same: %v, want %v", name, got, want)
		}
	}
	inventory, policy, entry := reflect.TypeFor[cluster.Inventory](), reflect.TypeFor[wire.Policy](), reflect.TypeFor[cluster.Entry]()
	for i := range inventory.NumField() {
		if f := inventory.Field(i); f.Name != "Policy" {
			differ(f.Name, func(v *cluster.Inventory) reflect.Value { return reflect.ValueOf(v).Elem().Field(i) }, f.Name == "Version")
		}
	}
	for i := range policy.NumField() {
		differ("policy "+policy.Field(i).Name, func(v *cluster.Inventory) reflect.Value { return reflect.ValueOf(&v.Policy).Elem().Field(i) }, false)
	}
	for i := range entry.NumField() {
		if f := entry.Field(i); f.Name != "Key" {
			differ("entry's "+f.Name, func(v *cluster.Inventory) reflect.Value { return reflect.ValueOf(&v.Entries[0]).Elem().Field(i) }, false)
		}
	}
	a, b := make1(), make1()
	b.Entries[0].Key.Name = "other"
	if plan.Same(a, b) {
		t.Error("with another key of an entry they are the same")
	}
}
