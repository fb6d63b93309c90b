package scheduler_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// revise stores the next revision of the policy that decides about the stack.
func (f *fleet) revise(s stack.ID, doc policy.Document) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		ref, err := tx.Policies().Effective(ctx, s)
		if err != nil {
			return err
		}
		p, err := tx.Policies().Get(ctx, tenancy.Everything(), ref.ID)
		if err != nil {
			return err
		}
		p.Document = doc
		if err := tx.Policies().Revise(ctx, p); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.PolicyChanged, Generator: f.team, At: time.Now(), Data: map[string]any{"policy_id": string(p.ID)}})
	})
}

func (f *fleet) label(a agent.ID, label string) {
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if err := tx.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(uuid.NewString()), Agent: a, Label: label}); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: a, At: time.Now()})
	})
}

func (f *fleet) on(s stack.ID) []agent.ID {
	f.t.Helper()
	var out []agent.ID
	for a, x := range f.assignments(s) {
		if x.State == delivery.Assigned {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}

func (f *fleet) wantOn(why string, s stack.ID, want ...agent.ID) {
	f.t.Helper()
	slices.Sort(want)
	if got := f.on(s); !slices.Equal(got, want) {
		f.t.Errorf("%s: the stack is on %v, want %v", why, got, want)
	}
}

func labelled(labels ...string) policy.Document {
	return policy.Document{Name: "p", Clusters: &policy.Selector{Labels: labels}}
}

const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n"

func overridden(label, patch string) policy.Document {
	return policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{"prod"}}, Overrides: []policy.Override{{
		Clusters: policy.Selector{Labels: []string{label}},
		Patches:  []policy.Patch{{Target: policy.PatchTarget{Kind: "Deployment"}, JSON6902: []byte(patch)}},
	}}}
}

// Clusters that an override is for have a variant of their own, made once; the others have the object as it was published.
func TestOverridesReachTheirClusters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a, b, c := f.agent("a", "prod", "big"), f.agent("b", "prod", "big"), f.agent("c", "prod")
		s := f.stack("web")
		f.follow(s, overridden("big", `[{"op":"replace","path":"/spec/replicas","value":5}]`))
		f.publish(s, deployment)
		synctest.Wait()
		f.wantOn("everywhere", s, a, b, c)
		content := func(id agent.ID) string {
			t.Helper()
			text, err := f.store.Blobs().Get(t.Context(), f.wanted(s, id).Checksum)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		got := f.assignments(s)
		if got[a].Variant == "" || got[a].Variant != got[b].Variant || got[c].Variant != "" || !strings.Contains(content(a), "replicas: 5") || content(c) != deployment {
			t.Fatalf("variants: %+v\na has\n%s\nc has\n%s", got, content(a), content(c))
		}
		before := f.assignments(s)
		stop()
		stop = f.start(f.store)
		defer func() { stop() }()
		settle()
		if after := f.assignments(s); after[a].Revision != before[a].Revision || after[c].Revision != before[c].Revision {
			t.Errorf("a restart changed assignments: %+v, before %+v", after, before)
		}
		f.label(c, "big")
		synctest.Wait()
		if got := f.assignments(s); got[c].Variant != got[a].Variant {
			t.Errorf("after the label that the override asks for, c has %q, want %q", got[c].Variant, got[a].Variant)
		}
		f.revise(s, labelled("prod"))
		synctest.Wait()
		if got := f.assignments(s); got[a].Variant != "" || got[c].Variant != "" || content(a) != deployment {
			t.Errorf("without overrides: %+v, want the object as it was published", got)
		}
	})
}

// An override that fails keeps its clusters as they are, and no others.
func TestAFailingOverrideHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.start(f.store)()
		settle()
		a, c := f.agent("a", "prod", "big"), f.agent("c", "prod")
		s := f.stack("web")
		f.follow(s, overridden("big", `[{"op":"replace","path":"/spec/replicas","value":5}]`))
		first := f.publish(s, deployment)
		synctest.Wait()
		f.wantOn("both", s, a, c)
		second := f.publish(s, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n")
		synctest.Wait()
		got := f.assignments(s)
		if got[a].Object != first || got[a].Variant == "" || got[c].Object != second {
			t.Errorf("after an object that the override does not fit: %+v, want the first on a and the second on c", got)
		}
	})
}
