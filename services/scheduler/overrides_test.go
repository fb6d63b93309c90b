package scheduler_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
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
		if err := tx.Agents().AddLabel(ctx, agent.Label{ID: agent.LabelID(f.newID()), Agent: a, Label: label}); err != nil {
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

// What nobody had for days is deleted; a cluster that then comes to need it is given it all the same.
func TestAnUnusedVariantIsMadeAnewWhenItIsNeededAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		settle()
		a := f.agent("a", "prod", "big")
		s := f.stack("web")
		f.follow(s, overridden("big", `[{"op":"replace","path":"/spec/replicas","value":5}]`))
		f.publish(s, deployment)
		synctest.Wait()
		variant := f.assignments(s)[a].Variant
		f.unlabel(a, "big")
		synctest.Wait()
		if got := f.assignments(s)[a].Variant; variant == "" || got != "" {
			t.Fatalf("variants: first %q, then %q; want one with the label alone", variant, got)
		}
		f.ahead.Store(int64(stack.UnusedFor))
		time.Sleep(11 * time.Minute) // the janitor's pause
		if _, err := f.store.Blobs().Get(t.Context(), variant); !fault.Is(err, fault.NotFound) {
			t.Errorf("after a day unused: got %v, want it deleted", err)
		}
		f.label(a, "big")
		synctest.Wait()
		if got := f.assignments(s)[a].Variant; got != variant {
			t.Errorf("with the label again: got variant %q, want %q", got, variant)
		}
		if _, err := f.store.Blobs().Get(t.Context(), variant); err != nil {
			t.Errorf("its content: %v", err)
		}
		stop()
	})
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
		f := working(t)
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
		f.wantBlocked("an object that the override does not fit", s, second, "overrides[0].patches[0]", "nothing is there", a)
		if got := f.gauge("brokkr_scheduler_blocked_clusters"); got != 1 {
			t.Errorf("blocked clusters: %v, want 1", got)
		}
		rec, _, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range rec.Decision.Verdicts {
			says := slices.ContainsFunc(v.Reasons, func(r placement.Reason) bool {
				return r.Rule == placement.RuleOverride && strings.Contains(r.Message, "overrides[0].patches[0]") && strings.Contains(r.Message, "nothing is there")
			})
			if says != (v.Agent == a) {
				t.Errorf("the verdict about %s says %+v", v.Cluster, v.Reasons)
			}
		}
		time.Sleep(20 * time.Minute) // polls and resyncs
		if again, _, err := f.store.Decisions().Latest(t.Context(), s); err != nil || again.Generation != rec.Generation {
			t.Errorf("decision %d, %v: want %d, nothing has changed", again.Generation, err, rec.Generation)
		}
		f.revise(s, overridden("big", `[{"op":"add","path":"/spec","value":{"replicas":5}}]`))
		synctest.Wait()
		if got := f.assignments(s); got[a].Object != second || got[a].Variant == "" {
			t.Errorf("after the policy was mended: %+v, want the second with its override on a", got[a])
		}
		f.wantBlocked("mended", s, second, "", "")
		if got := f.gauge("brokkr_scheduler_blocked_clusters"); got != 0 {
			t.Errorf("blocked clusters: %v, want none", got)
		}
	})
}

// wantBlocked fails unless exactly these clusters keep what they have, for one cause.
func (f *fleet) wantBlocked(why string, s stack.ID, o stack.ObjectID, override, reason string, want ...agent.ID) {
	f.t.Helper()
	subjects, err := f.store.Facts().Subjects(f.t.Context(), []stack.ID{s})
	if err != nil {
		f.t.Fatal(err)
	}
	got := subjects[0].Blocked
	if len(want) == 0 && len(got) == 0 {
		return
	}
	slices.Sort(want)
	if len(got) != 1 || got[0].Object != o || got[0].Override != override || !strings.Contains(got[0].Reason, reason) || !slices.Equal(got[0].Agents, want) {
		f.t.Errorf("%s: blocked %+v, want %v by %s: %s", why, got, want, override, reason)
	}
}

// gauge returns a gauge of the replica that started last.
func (f *fleet) gauge(name string) float64 {
	f.t.Helper()
	families, err := f.tel.Registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	f.t.Fatalf("no gauge %s", name)
	return 0
}

// A cluster for which an override cannot be applied fails its rollout at once, with the true reason, before anybody is given anything.
func TestAFailingOverrideFailsItsRolloutAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		a, b := f.agent("a", "prod", "canary"), f.agent("b", "prod", "big")
		s := f.stack("web")
		doc := overridden("big", `[{"op":"replace","path":"/spec/replicas","value":5}]`)
		doc.Rollout = &policy.Rollout{Waves: []policy.Wave{{Name: "canary", Clusters: &policy.Selector{Labels: []string{"canary"}}}, {Name: "rest"}}}
		f.follow(s, doc)
		first := f.publish(s, deployment)
		synctest.Wait()
		f.healthy(s, a)
		synctest.Wait()
		f.healthy(s, b)
		synctest.Wait()
		if r := f.governing(s); r.Phase != rollout.PhaseCompleted {
			t.Fatalf("first rollout: %s %+v, want it completed", r.Phase, r.Blockers)
		}
		variant := f.assignments(s)[b].Variant
		second := f.publish(s, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n")
		synctest.Wait() // no time passes
		r := f.governing(s)
		if r.Phase != rollout.PhasePaused || !strings.Contains(r.Reason, "overrides[0].patches[0]") || !strings.Contains(r.Reason, "nothing is there") || !strings.Contains(r.Reason, string(b)) {
			t.Errorf("rollout %s: %s; want it paused, with cluster, override and reason", r.Phase, r.Reason)
		}
		f.wantHas("nobody is given the second", s, second)
		f.wantHas("both keep the first", s, first, a, b)
		f.wantBlocked("told", s, second, "overrides[0].patches[0]", "nothing is there", b)
		if got := f.assignments(s)[b].Variant; got != variant || got == "" {
			t.Errorf("variant of b: %q, want %q kept", got, variant)
		}
		doc.Overrides[0].Patches[0].JSON6902 = []byte(`[{"op":"add","path":"/spec","value":{"replicas":5}}]`)
		f.revise(s, doc)
		synctest.Wait()
		f.act(s, (*rollout.Rollout).Resume)
		synctest.Wait()
		f.healthy(s, a)
		synctest.Wait()
		f.wantHas("mended and resumed", s, second, a, b)
		f.wantBlocked("mended", s, second, "", "")
	})
}
