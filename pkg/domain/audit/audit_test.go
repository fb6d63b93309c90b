package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func entry(n int, at time.Time) audit.Entry {
	who := audit.ActorOf(tenancy.Principal{Role: tenancy.RoleAdmin, Credential: "00000000-0000-4000-8000-000000000001"})
	return audit.Did(audit.StackUpdated, "", map[string]int{"n": n}, map[string]int{"n": n + 1}).
		Complete(audit.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)), at, who, audit.Source{RequestID: "r"})
}

// sealed returns chains of so many entries, one a month.
func sealed(lengths ...int) ([]audit.Chain, [][]audit.Entry) {
	var chains []audit.Chain
	var entries [][]audit.Entry
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, n := range lengths {
		var former *audit.Chain
		if i > 0 {
			former = &chains[i-1]
		}
		c := audit.Begin(audit.PeriodOf(at), former)
		var list []audit.Entry
		for j := range n {
			list = append(list, c.Seal(entry(i*1000+j, at.Add(time.Duration(j)*time.Minute))))
		}
		chains, entries, at = append(chains, c), append(entries, list), at.AddDate(0, 1, 0)
	}
	return chains, entries
}

func verify(chains []audit.Chain, entries [][]audit.Entry) error {
	if err := audit.CheckChains(chains); err != nil {
		return err
	}
	for i, c := range chains {
		if c.DroppedAt != nil {
			continue
		}
		var next *audit.Chain
		if i+1 < len(chains) {
			next = &chains[i+1]
		}
		w := audit.NewWalk(c, next)
		for _, e := range entries[i] {
			if err := w.Add(e); err != nil {
				return err
			}
		}
		if err := w.End(); err != nil {
			return err
		}
	}
	return nil
}

// Whatever one thing is done to a sealed log, the verification names the place or an earlier one of the same chain.
func TestEveryTamperingIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		chains, entries := sealed(rapid.SliceOfN(rapid.IntRange(1, 6), 1, 4).Draw(t, "lengths")...)
		if err := verify(chains, entries); err != nil {
			t.Fatalf("untouched: %v", err)
		}
		c := rapid.IntRange(0, len(chains)-1).Draw(t, "chain")
		i := rapid.IntRange(0, len(entries[c])-1).Draw(t, "entry")
		e := &entries[c][i]
		switch rapid.IntRange(0, 7).Draw(t, "tampering") {
		case 0:
			e.Actor.ID = "00000000-0000-4000-8000-000000000002"
		case 1:
			e.Action, e.Hash = audit.StackDeleted, audit.Hash{}
			e.Hash = e.Sum()
		case 2:
			entries[c] = append(entries[c][:i:i], entries[c][i+1:]...)
		case 3:
			entries[c] = entries[c][:i]
		case 4:
			e.At = e.At.AddDate(0, 2, 0)
			e.Hash = e.Sum()
		case 5:
			e.Link[3]++
		case 6: // the whole chain is made anew, with another entry
			made := chains[c]
			var former *audit.Chain
			if c > 0 {
				former = &chains[c-1]
			}
			made = audit.Begin(made.Period, former)
			for j := range entries[c] {
				if j == i {
					entries[c][j].Details = map[string]string{"forged": "yes"}
					entries[c][j].Hash = entries[c][j].Sum()
				}
				entries[c][j] = made.Seal(entries[c][j])
			}
			chains[c] = made
			if c == len(chains)-1 {
				t.Skip("the newest chain made anew is told by an export alone")
			}
		case 7:
			if len(chains) == 1 || c == len(chains)-1 {
				t.Skip("the newest chain taken away is told by an export alone")
			}
			chains, entries = append(chains[:c:c], chains[c+1:]...), append(entries[:c:c], entries[c+1:]...)
		}
		var broken *audit.Break
		if err := verify(chains, entries); !errors.As(err, &broken) {
			t.Fatalf("got %v, want a break", err)
		}
	})
}

func TestDroppedChainsStillHoldWhatFollows(t *testing.T) {
	t.Parallel()
	chains, entries := sealed(3, 2, 4)
	gone := time.Now()
	chains[0].DroppedAt, entries[0] = &gone, nil
	if err := verify(chains, entries); err != nil {
		t.Fatalf("after a drop: %v", err)
	}
	chains[0].Head[0]++
	if err := verify(chains, entries); err == nil {
		t.Error("another head of what was dropped was not noticed")
	}
}

func TestAChainMayGoOnAfterTheNextBegan(t *testing.T) {
	t.Parallel()
	chains, entries := sealed(2, 2)
	late := chains[0].Seal(entry(99, chains[0].Period.Start()))
	entries[0] = append(entries[0], late)
	if err := verify(chains, entries); err != nil {
		t.Fatalf("a late entry: %v", err)
	}
}

func TestDigestIsCanonical(t *testing.T) {
	t.Parallel()
	type thing struct {
		B int
		A string
	}
	a, b := audit.Did(audit.StackCreated, "", nil, thing{1, "x"}), audit.Did(audit.StackCreated, "", nil, map[string]any{"A": "x", "B": 1})
	if a.After != b.After || len(a.After) != 64 || a.Before != "" {
		t.Errorf("digests %q and %q of the same JSON", a.After, b.After)
	}
	if c := audit.Did(audit.StackCreated, "", nil, thing{2, "x"}); c.After == a.After {
		t.Error("another thing has the same digest")
	}
}

func TestCheckWantsEverything(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := entry(1, now)
	if err := good.Check(); err != nil {
		t.Fatalf("a whole entry: %v", err)
	}
	if long := audit.Did(audit.StackCreated, "", nil, nil).Complete(good.ID, now, good.Actor, audit.Source{UserAgent: strings.Repeat("ü", 600)}); long.Check() != nil || len(long.Source.UserAgent) > 512 {
		t.Errorf("a long user agent: %v, %d bytes", long.Check(), len(long.Source.UserAgent))
	}
	for name, e := range map[string]audit.Entry{
		"nobody":       audit.Did(audit.StackCreated, "", nil, nil).Complete(good.ID, now, audit.Actor{Type: "admin"}, audit.Source{}),
		"no time":      audit.Did(audit.StackCreated, "", nil, nil).Complete(good.ID, time.Time{}, good.Actor, audit.Source{}),
		"no word":      audit.Did("stack", "", nil, nil).Complete(good.ID, now, good.Actor, audit.Source{}),
		"no resource":  audit.Did(audit.StackCreated, "web", nil, nil).Complete(good.ID, now, good.Actor, audit.Source{}),
		"no digest":    audit.Did(audit.StackCreated, "", make(chan int), nil).Complete(good.ID, now, good.Actor, audit.Source{}),
		"many details": audit.Did(audit.StackCreated, "", nil, nil).With("x", strings.Repeat("x", 17<<10)).Complete(good.ID, now, good.Actor, audit.Source{}),
	} {
		if err := e.Check(); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: got %v, want Internal", name, err)
		}
	}
}

func TestActorOf(t *testing.T) {
	t.Parallel()
	for _, role := range tenancy.Roles() {
		got := audit.ActorOf(tenancy.Principal{Role: role, Credential: "c", Agent: "a", Generator: "g"})
		want := map[tenancy.Role]string{tenancy.RoleAgent: "a", tenancy.RoleGenerator: "g"}[role]
		if want == "" {
			want = "c"
		}
		if got.Type != string(role) || got.ID != want || got.Credential != "c" {
			t.Errorf("%s: got %+v", role, got)
		}
	}
}
