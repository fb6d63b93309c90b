package scheduler_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// says stores what an agent tells of its cluster, as a gateway does.
func (f *fleet) says(a agent.ID, s cluster.Status) {
	f.t.Helper()
	f.write(func(ctx context.Context, tx ports.Repositories) error {
		if _, err := tx.Clusters().Report(ctx, a, s, time.Now()); err != nil {
			return err
		}
		return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: a, At: time.Now()})
	})
	settle()
}

// A version that cannot be read for a moment is no reason to give a cluster other content than its overrides make.
func TestAnOverrideOverWhatIsUnknownChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		a := f.agent("a", "prod")
		f.says(a, cluster.Status{KubernetesVersion: "v1.36.3", Nodes: 3})
		s := f.stack("web")
		doc := overridden("big", `[{"op":"replace","path":"/spec/replicas","value":5}]`)
		doc.Overrides[0].Clusters = policy.Selector{Expressions: []policy.Expression{{Key: "kubernetes.version", Operator: policy.AtLeast, Values: []string{"1.30"}}}}
		f.follow(s, doc)
		f.publish(s, deployment)
		settle()
		want := func(why, text string) {
			t.Helper()
			got, err := f.store.Blobs().Get(t.Context(), f.wanted(s, a).Checksum)
			if err != nil || !strings.Contains(string(got), text) {
				t.Errorf("%s: got %s, %v; want %s", why, got, err, text)
			}
		}
		want("the version is known", "replicas: 5")
		before := f.wanted(s, a).Revision
		f.says(a, cluster.Status{Nodes: 3, Unknown: map[cluster.Part]string{cluster.PartVersion: "discovery failed"}})
		want("it is not", "replicas: 5")
		if got := f.wanted(s, a).Revision; got != before {
			t.Errorf("the assignment changed from revision %d to %d", before, got)
		}
		f.says(a, cluster.Status{KubernetesVersion: "v1.29.0", Nodes: 3})
		if got, err := f.store.Blobs().Get(t.Context(), f.wanted(s, a).Checksum); err != nil || strings.Contains(string(got), "replicas: 5") {
			t.Errorf("an older version: got %s, %v; want the object's own content", got, err)
		}
	})
}

// That a policy is detached is no wish that its stack be gone from everywhere.
func TestAStackWithoutItsPolicyIsNotGoneFromEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := working(t)
		for _, n := range []string{"a", "b", "c"} {
			f.agent(n, "prod")
		}
		s := f.stack("web", "team-web")
		f.follow(s, policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{"prod"}}})
		o := f.publish(s, "x")
		settle()
		f.write(func(ctx context.Context, tx ports.Repositories) error {
			id, err := tx.Policies().Detach(ctx, s)
			if err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.PolicyDetached, Stack: s, Generator: f.team, At: time.Now(), Data: map[string]any{"policy_id": string(id)}})
		})
		time.Sleep(20 * time.Minute) // also after everything has been read and decided again
		synctest.Wait()
		for a, x := range f.assignments(s) {
			if x.State != delivery.Assigned || x.Object != o {
				t.Errorf("on %s: %s because %q, want it kept until somebody approves", a, x.State, x.Reason)
			}
		}
		_, hold, err := f.store.Decisions().Latest(t.Context(), s)
		if err != nil || hold == nil || len(hold.Removes) != 3 {
			t.Errorf("hold: %+v, %v; want one of three removals", hold, err)
		}
	})
}

// A canary that went silent after it was healthy releases nothing: nobody knows how it is now.
func TestACanaryThatCannotBeReachedReleasesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) { r.Waves[0].Soak = policy.Duration(10 * time.Minute) }))
		defer x.stop()
		x.healthy(x.s, x.canary)
		synctest.Wait()
		x.write(func(ctx context.Context, tx ports.Repositories) error {
			v, err := tx.Agents().ByName(ctx, "canary", "canary")
			if err != nil {
				return err
			}
			v.Status = agent.Inactive
			if err := tx.Agents().Update(ctx, v); err != nil {
				return err
			}
			return tx.Outbox().Append(ctx, event.Event{Type: event.AgentChanged, Agent: x.canary, At: time.Now()})
		})
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		for a, y := range x.assignments(x.s) {
			if y.Object == x.next && a != x.canary {
				t.Errorf("%s has the new object although nobody knows how the canary is", a)
			}
		}
	})
}

// Replicas that share the stacks heed what the others decide: what depends on a stack of another shard is released by reports,
// not by the next time that everything is read.
func TestReplicasHeedEachOthersDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sharing(t)
		a := f.agent("a", "prod")
		synctest.Wait()
		var first, then []stack.ID
		for i := range 10 {
			name := fmt.Sprint("crds", i)
			first, then = append(first, f.stack(name, "prod")), append(then, f.stack(fmt.Sprint("web", i), "prod"))
			f.follow(then[i], policy.Document{Name: "after", DependsOn: []policy.Dependency{{Stack: name}}})
			f.publish(then[i], "web")
		}
		settle()
		for _, s := range first {
			f.publish(s, "crds")
		}
		settle()
		for _, s := range first {
			f.healthy(s, a)
		}
		settle()
		for i, s := range then {
			if len(f.assignments(s)) != 1 {
				t.Errorf("web%d waits although what it depends on is healthy", i)
			}
		}
	})
}

// A rollout that has ended is not written again with each later decision.
func TestAnEndedRolloutKeepsItsVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest())
		defer x.stop()
		x.healthy(x.s, x.canary)
		synctest.Wait()
		x.healthy(x.s, x.rest...)
		synctest.Wait()
		before := x.governing(x.s)
		for i := range 3 {
			x.agent(fmt.Sprint("joins", i), "prod")
			synctest.Wait()
		}
		if after := x.governing(x.s); after.Version != before.Version || after.Phase != before.Phase {
			t.Errorf("after three clusters joined: version %d, %s; want %d, %s", after.Version, after.Phase, before.Version, before.Phase)
		}
	})
}
