package clustertest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

func inventoryCases() map[string]func(*world) {
	return map[string]func(*world){
		"none is empty":                      inventoryNone,
		"what is saved comes back":           inventoryRoundTrip,
		"small or large, and small again":    inventorySizes,
		"a save is compare-and-set":          inventoryStale,
		"one of many savers wins":            inventoryRace,
		"one of many first savers wins":      inventoryFirstRace,
		"a deletion":                         inventoryDelete,
		"stacks are apart":                   inventoryApart,
		"a cancelled context, and no damage": inventoryCancelled,
	}
}

func (w *world) load(stack string) cluster.Inventory {
	w.Helper()
	inv, err := w.Inventories.Load(w.ctx, stack)
	wantNone(w.T, "load", err)
	return inv
}

// save saves it and returns it as it has to be loaded.
func (w *world) save(inv cluster.Inventory) cluster.Inventory {
	w.Helper()
	version, err := w.Inventories.Save(w.ctx, inv)
	wantNone(w.T, "save", err)
	if version == "" || version == inv.Version {
		w.Fatalf("version: got %q after %q, want a new one", version, inv.Version)
	}
	inv.Version = version
	return inv
}

func newInventory(entries int) cluster.Inventory {
	inv := cluster.Inventory{
		Stack: uuid.NewString(), Name: "shop", Applied: "c0ffee", Object: uuid.NewString(), Sequence: 42, Generator: uuid.NewString(),
		Policy: wire.Policy{Prune: "orphan", PruneAdopted: true, PruneProtected: true, Adopt: "if_no_diff", Drift: "report",
			IgnorePaths: []string{"/spec/replicas"}, ServiceAccount: "shop/deployer"},
	}
	for i := range entries {
		inv.Entries = append(inv.Entries, cluster.Entry{
			Key: cluster.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("app-%05d", i)}, Version: "v1",
			UID: uuid.NewString(), Adopted: i%2 == 1,
		})
	}
	return inv
}

func inventoryNone(w *world) {
	wantSame(w.T, "inventory", w.load("nothing"), cluster.Inventory{Stack: "nothing"})
}

func inventoryRoundTrip(w *world) {
	inv := w.save(newInventory(3))
	wantSame(w.T, "inventory", w.load(inv.Stack), inv)
	inv.Applied, inv.Sequence, inv.Policy = "", 43, wire.Policy{}
	inv.Entries = inv.Entries[1:]
	inv.Entries[0].UID = ""
	inv = w.save(inv)
	wantSame(w.T, "inventory", w.load(inv.Stack), inv)
	empty := w.save(cluster.Inventory{Stack: uuid.NewString()})
	wantSame(w.T, "empty inventory", w.load(empty.Stack), empty)
}

func inventorySizes(w *world) {
	inv := newInventory(1)
	for _, n := range []int{1, 5_000, 20_000, 2} {
		inv.Entries = newInventory(n).Entries
		inv = w.save(inv)
		wantSame(w.T, fmt.Sprintf("inventory of %d", n), w.load(inv.Stack), inv)
	}
}

func (w *world) wantStale(inv cluster.Inventory) {
	w.Helper()
	_, err := w.Inventories.Save(w.ctx, inv)
	wantKind(w.T, "save", err, fault.Conflict)
}

func inventoryStale(w *world) {
	first := w.save(newInventory(1))
	second := first
	second.Applied = "second"
	second = w.save(second)
	w.wantStale(first)
	fresh := newInventory(1)
	fresh.Stack = first.Stack
	w.wantStale(fresh) // believes that there is none
	wantSame(w.T, "inventory", w.load(first.Stack), second)
	wantNone(w.T, "delete", w.Inventories.Delete(w.ctx, first.Stack, ""))
	w.wantStale(second)
	wantSame(w.T, "inventory", w.load(first.Stack), cluster.Inventory{Stack: first.Stack})
}

func inventoryRace(w *world) {
	inv := w.save(newInventory(1))
	wantOneWinner(w.T, "save", race(8, func(i int) error {
		mine := inv
		mine.Sequence = int64(100 + i)
		_, err := w.Inventories.Save(w.ctx, mine)
		return err
	}))
}

func inventoryFirstRace(w *world) {
	inv := newInventory(1)
	wantOneWinner(w.T, "save", race(8, func(i int) error {
		mine := inv
		mine.Sequence = int64(100 + i)
		_, err := w.Inventories.Save(w.ctx, mine)
		return err
	}))
}

func inventoryDelete(w *world) {
	inv := w.save(newInventory(1))
	for range 2 {
		wantNone(w.T, "delete", w.Inventories.Delete(w.ctx, inv.Stack, ""))
		wantSame(w.T, "inventory", w.load(inv.Stack), cluster.Inventory{Stack: inv.Stack})
	}
	inv.Version = ""
	old := w.save(inv)
	inv = old
	inv.Sequence++
	inv = w.save(inv)
	wantKind(w.T, "delete of what has changed", w.Inventories.Delete(w.ctx, inv.Stack, old.Version), fault.Conflict)
	wantSame(w.T, "inventory", w.load(inv.Stack), inv)
	wantNone(w.T, "delete of what has not changed", w.Inventories.Delete(w.ctx, inv.Stack, inv.Version))
	wantNone(w.T, "delete of what is gone", w.Inventories.Delete(w.ctx, inv.Stack, inv.Version))
	inv.Version = ""
	inv = w.save(inv)
	wantSame(w.T, "inventory", w.load(inv.Stack), inv)
}

func inventoryApart(w *world) {
	a, b := w.save(newInventory(2)), w.save(newInventory(3))
	wantNone(w.T, "delete", w.Inventories.Delete(w.ctx, a.Stack, ""))
	wantSame(w.T, "inventory", w.load(b.Stack), b)
}

func inventoryCancelled(w *world) {
	inv := w.save(newInventory(1))
	ctx := cancelled(w.ctx)
	_, err := w.Inventories.Load(ctx, inv.Stack)
	wantCancelled(w.T, "load", err)
	changed := inv
	changed.Applied = "changed"
	_, err = w.Inventories.Save(ctx, changed)
	wantCancelled(w.T, "save", err)
	wantCancelled(w.T, "delete", w.Inventories.Delete(ctx, inv.Stack, ""))
	wantSame(w.T, "inventory", w.load(inv.Stack), inv)
}
