package placement_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

const (
	team = tenancy.GeneratorID("team")
	web  = stack.ID("web")
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func cluster(id string, change ...func(*placement.Cluster)) placement.Cluster {
	c := placement.Cluster{Agent: agent.ID(id), Name: id, Version: 7, Labels: map[string]bool{"prod": true}, Generators: map[tenancy.GeneratorID]bool{team: true}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func subject(change ...func(*placement.Subject)) placement.Subject {
	s := placement.Subject{Stack: web, Name: "web", Generator: team, Labels: map[string]bool{"prod": true}, Newest: &stack.Object{ID: "o2", Stack: web, Sequence: 2}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func prior(object stack.ObjectID, agents ...string) placement.Prior {
	p := placement.Prior{}
	for _, a := range agents {
		p[agent.ID(a)] = delivery.Assignment{Agent: agent.ID(a), Stack: web, Object: object, State: delivery.Assigned}
	}
	return p
}

func TestDecidePlainMatching(t *testing.T) {
	t.Parallel()
	type want struct {
		changes map[agent.ID]delivery.State
		rule    placement.Rule
	}
	tests := map[string]struct {
		reason string
		in     placement.Input
		want   want
	}{
		"SharedLabel": {
			reason: "any shared label places the stack",
			in:     placement.Input{Subject: subject(), Clusters: []placement.Cluster{cluster("a")}},
			want:   want{map[agent.ID]delivery.State{"a": delivery.Assigned}, placement.RuleLabel},
		},
		"SharedAnnotation": {
			reason: "key and value must both be equal",
			in: placement.Input{
				Subject:  subject(func(s *placement.Subject) { s.Labels = nil; s.Annotations = map[string]string{"region": "eu"} }),
				Clusters: []placement.Cluster{cluster("a", func(c *placement.Cluster) { c.Annotations = map[string]string{"region": "eu"} })},
			},
			want: want{map[agent.ID]delivery.State{"a": delivery.Assigned}, placement.RuleAnnotation},
		},
		"AnnotationOfOtherValue": {
			reason: "the same key with another value is no match",
			in: placement.Input{
				Subject:  subject(func(s *placement.Subject) { s.Labels = nil; s.Annotations = map[string]string{"region": "eu"} }),
				Clusters: []placement.Cluster{cluster("a", func(c *placement.Cluster) { c.Annotations = map[string]string{"region": "us"} })},
			},
			want: want{nil, placement.RuleNoMatch},
		},
		"ExplicitTarget": {
			reason: "a target needs no label",
			in: placement.Input{
				Subject:  subject(func(s *placement.Subject) { s.Labels = nil }),
				Clusters: []placement.Cluster{cluster("a", func(c *placement.Cluster) { c.Targets = map[stack.ID]bool{web: true} })},
			},
			want: want{map[agent.ID]delivery.State{"a": delivery.Assigned}, placement.RuleTarget},
		},
		"NoConsent": {
			reason: "nothing crosses without an approved registration, whoever asks",
			in: placement.Input{Subject: subject(), Clusters: []placement.Cluster{cluster("a", func(c *placement.Cluster) {
				c.Generators = nil
				c.Targets = map[stack.ID]bool{web: true}
			})}},
			want: want{nil, placement.RuleConsent},
		},
		"NothingPublished": {
			reason: "a stack without an object is placed nowhere, and removed nowhere either",
			in:     placement.Input{Subject: subject(func(s *placement.Subject) { s.Newest = nil }), Clusters: []placement.Cluster{cluster("a")}, Prior: prior("o1", "a")},
			want:   want{nil, placement.RuleNoObject},
		},
		"NewObject": {
			reason: "a newer object replaces the older one",
			in:     placement.Input{Subject: subject(), Clusters: []placement.Cluster{cluster("a")}, Prior: prior("o1", "a")},
			want:   want{map[agent.ID]delivery.State{"a": delivery.Assigned}, placement.RuleLabel},
		},
		"Unchanged": {
			reason: "what stands as wanted costs nothing",
			in:     placement.Input{Subject: subject(), Clusters: []placement.Cluster{cluster("a")}, Prior: prior("o2", "a")},
			want:   want{nil, placement.RuleLabel},
		},
		"StackDeleted": {
			reason: "lesson 6: a deleted stack leaves its clusters by tombstones",
			in:     placement.Input{Subject: subject(func(s *placement.Subject) { s.Deleted = true }), Clusters: []placement.Cluster{cluster("a")}, Prior: prior("o2", "a")},
			want:   want{map[agent.ID]delivery.State{"a": delivery.Removing}, placement.RuleDeleted},
		},
		"DeletionMarker": {
			reason: "lesson 8: a marker is never assigned, it removes",
			in:     placement.Input{Subject: subject(func(s *placement.Subject) { s.Newest.Marker = true }), Clusters: []placement.Cluster{cluster("a")}, Prior: prior("o1", "a")},
			want:   want{map[agent.ID]delivery.State{"a": delivery.Removing}, placement.RuleMarker},
		},
		"ConsentRevoked": {
			reason: "lesson 7: revoked consent is a recorded removal",
			in:     placement.Input{Subject: subject(), Clusters: []placement.Cluster{cluster("a", func(c *placement.Cluster) { c.Generators = nil })}, Prior: prior("o2", "a")},
			want:   want{map[agent.ID]delivery.State{"a": delivery.Removing}, placement.RuleConsent},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := placement.Decide(tc.in, now)
			got := map[agent.ID]delivery.State{}
			for _, c := range d.Changes {
				got[c.Agent] = c.State
				if c.Reason == "" {
					t.Errorf("%s: change without a reason: %+v", tc.reason, c)
				}
				if c.Version != 7 {
					t.Errorf("%s: the change does not rest on the agent's version: %+v", tc.reason, c)
				}
			}
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(tc.want.changes, got); diff != "" {
				t.Errorf("%s: changes (-want +got):\n%s", tc.reason, diff)
			}
			if len(d.Verdicts) != 1 || d.Verdicts[0].Reasons[0].Rule != tc.want.rule {
				t.Errorf("%s: verdicts = %+v, want rule %s", tc.reason, d.Verdicts, tc.want.rule)
			}
		})
	}
}

// Lesson 23: an empty or partial read removes nothing.
func TestMissingClustersRemoveNothing(t *testing.T) {
	t.Parallel()
	d := placement.Decide(placement.Input{Subject: subject(), Prior: prior("o2", "a", "b", "c")}, now)
	if len(d.Changes) != 0 || d.Hold != nil {
		t.Fatalf("decision on an empty read of clusters = %+v, want no change", d)
	}
}

func TestBrakeHoldsUntilApproved(t *testing.T) {
	t.Parallel()
	var clusters []placement.Cluster
	var names []string
	for i := range 10 {
		n := fmt.Sprint("c", i)
		names = append(names, n)
		clusters = append(clusters, cluster(n, func(c *placement.Cluster) {
			if i < 6 {
				c.Labels = nil
			}
		}))
	}
	brake := placement.Brake{Share: 0.2, AtOne: 5}
	in := placement.Input{Subject: subject(), Clusters: clusters, Prior: prior("o1", names...), Brake: brake}
	d := placement.Decide(in, now)
	if d.Hold == nil || len(d.Hold.Removes) != 6 || d.Hold.Of != 10 {
		t.Fatalf("hold = %+v, want 6 of 10 held", d.Hold)
	}
	if len(d.Changes) != 4 {
		t.Fatalf("changes = %+v, want the 4 updates to go on", d.Changes)
	}
	held := in
	held.Subject.Hold, held.Subject.Generation = d.Hold, 3
	held.Prior = prior("o2", names...)
	if again := placement.Decide(held, now.Add(time.Hour)); again.Hold == nil || !again.Hold.Since.Equal(now) || again.News(held.Subject) {
		t.Fatalf("decided again: %+v, want the same hold with its first time and no news", again.Hold)
	}
	held.Subject.Approved = 3
	if ok := placement.Decide(held, now); ok.Hold != nil || len(ok.Changes) != 6 {
		t.Fatalf("approved: %+v, want 6 removals", ok)
	}
	held.Clusters = append([]placement.Cluster(nil), clusters...)
	held.Clusters[9].Labels = nil
	if more := placement.Decide(held, now); more.Hold == nil {
		t.Fatal("one removal more than was approved went through")
	}
	del := in
	del.Subject.Deleted = true
	if gone := placement.Decide(del, now); gone.Hold != nil || len(gone.Changes) != 10 {
		t.Fatalf("a deleted stack is what the user named; got hold %+v, %d changes", gone.Hold, len(gone.Changes))
	}
	fleet := placement.Input{Subject: subject(), Clusters: clusters[:2], Prior: prior("o2", "c0", "c1"), Brake: placement.Brake{Share: 0.2, AtOne: 5, Fleet: admitting(1)}}
	if d := placement.Decide(fleet, now); d.Hold == nil {
		t.Fatal("more removals than the fleet's window admits went through")
	}
}

// A hold whose cause has passed ends by itself, but one for the stack's share.
func TestHoldsEndWithTheirCause(t *testing.T) {
	t.Parallel()
	three := []placement.Cluster{cluster("c0"), cluster("c1"), cluster("c2")}
	bare := func(c placement.Cluster) placement.Cluster { c.Labels = nil; return c }
	lost := admitting(3)
	full := lost.With(removed(3, 4*time.Minute))
	room := time.Minute * 6 // until what was removed is in the window no longer
	brake := func(w *placement.FleetWindow) placement.Brake { return placement.Brake{Share: 0.2, AtOne: 5, Fleet: w} }
	held := func(in placement.Input, want placement.HoldCause) placement.Input {
		t.Helper()
		d := placement.Decide(in, now)
		if d.Hold == nil || d.Hold.Cause != want {
			t.Fatalf("hold = %+v, want one for %s", d.Hold, want)
		}
		in.Subject.Hold, in.Subject.Generation = d.Hold, 7
		if again := placement.Decide(in, now.Add(time.Second)); again.News(in.Subject) {
			t.Fatalf("%s: decided again it is news: %+v", want, again.Hold)
		}
		return in
	}

	in := placement.Input{Subject: subject(), Clusters: []placement.Cluster{bare(three[0]), three[1], three[2]}, Prior: prior("o2", "c0", "c1", "c2"), Brake: brake(&full)}
	in = held(in, placement.HoldFleet)
	d := placement.Decide(in, now)
	if d.WakeAt == nil || d.WakeAt.Before(now.Add(room)) || d.WakeAt.After(now.Add(room+10*time.Second+time.Microsecond)) {
		t.Fatalf("to be tried again at %v, want in %s", d.WakeAt, room)
	}
	if d := placement.Decide(in, *d.WakeAt); d.Hold != nil || len(d.Changes) != 1 || !d.News(in.Subject) {
		t.Errorf("when the window has room: hold %+v, changes %+v, want the removal", d.Hold, d.Changes)
	}
	in.Brake = brake(admitting(0))
	if d := placement.Decide(in, now); d.Hold == nil || d.WakeAt != nil {
		t.Errorf("a window that never has room: hold %+v, to be tried again at %v, want it held until it is approved", d.Hold, d.WakeAt)
	}

	was := subject(func(s *placement.Subject) { s.Decided = &policy.Ref{ID: "p", Revision: 1} })
	in = held(placement.Input{Subject: was, Clusters: []placement.Cluster{bare(three[0])}, Prior: prior("o2", "c0"), Brake: brake(nil)}, placement.HoldNowhere)
	in.Subject.Decided = nil // the hold was recorded without the policy
	if d := placement.Decide(in, now.Add(time.Minute)); d.News(in.Subject) {
		t.Errorf("looked at later: %+v, want the same hold", d)
	}
	in.Clusters = []placement.Cluster{bare(three[0]), three[1]}
	if d := placement.Decide(in, now); d.Hold != nil || len(d.Changes) != 2 {
		t.Errorf("another cluster has it: hold %+v, changes %+v, want the move", d.Hold, d.Changes)
	}
	in.Clusters = []placement.Cluster{three[0]}
	if d := placement.Decide(in, now); d.Hold != nil || !d.News(in.Subject) {
		t.Errorf("it stays where it is: hold %+v, want none", d.Hold)
	}

	var clusters []placement.Cluster
	var names []string
	for i := range 6 {
		names = append(names, fmt.Sprint("c", i))
		clusters = append(clusters, bare(cluster(names[i])))
	}
	in = held(placement.Input{Subject: subject(), Clusters: clusters, Prior: prior("o2", names...), Brake: brake(nil)}, placement.HoldShare)
	for i := range 4 { // few enough by themselves
		in.Clusters[i] = cluster(names[i])
	}
	for _, w := range []*placement.FleetWindow{nil, admitting(0), admitting(9)} {
		in.Brake = brake(w)
		d := placement.Decide(in, now)
		if d.Hold == nil || d.Hold.Cause != placement.HoldShare {
			t.Errorf("a part of what is held: hold %+v, want it held still", d.Hold)
		}
	}
	in.Subject.Hold = &placement.Hold{Since: now, Reason: "of an earlier release", Removes: in.Subject.Hold.Removes, Fingerprint: in.Subject.Hold.Fingerprint}
	if d := placement.Decide(in, now); d.Hold == nil || d.Hold.Reason != "of an earlier release" {
		t.Errorf("a hold of an earlier release: %+v, want it held still", d.Hold)
	}
}

// Decide: same input same output, whatever the order; only clusters with consent and a match; no change after it was applied.
func TestDecideProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.Just(true))
		s := subject(func(s *placement.Subject) {
			s.Labels = labels.Draw(t, "labels")
			s.Deleted = rapid.Bool().Draw(t, "deleted")
		})
		p := placement.Prior{}
		var clusters []placement.Cluster
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			c := cluster(fmt.Sprintf("c%02d", i))
			c.Labels = labels.Draw(t, "cluster labels")
			if rapid.Bool().Draw(t, "no consent") {
				c.Generators = nil
			}
			clusters = append(clusters, c)
			if st := rapid.SampledFrom([]delivery.State{"", delivery.Assigned, delivery.Removing}).Draw(t, "prior"); st != "" {
				p[c.Agent] = delivery.Assignment{Agent: c.Agent, Stack: web, State: st, Object: stack.ObjectID(rapid.SampledFrom([]string{"o1", "o2"}).Draw(t, "object"))}
			}
		}
		in := placement.Input{Subject: s, Clusters: clusters, Prior: p, Brake: placement.Brake{Share: 0.2, AtOne: 5, Fleet: rapid.SampledFrom([]*placement.FleetWindow{nil, admitting(0), admitting(2), admitting(5)}).Draw(t, "window")}}
		d := placement.Decide(in, now)
		mixed := in
		mixed.Clusters = append([]placement.Cluster(nil), clusters...)
		rand.Shuffle(len(mixed.Clusters), func(i, j int) { mixed.Clusters[i], mixed.Clusters[j] = mixed.Clusters[j], mixed.Clusters[i] })
		if diff := cmp.Diff(d, placement.Decide(mixed, now)); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
		after := placement.Prior{}
		for a, x := range p {
			after[a] = x
		}
		changed := map[agent.ID]bool{}
		for _, ch := range d.Changes {
			changed[ch.Agent] = true
			after[ch.Agent] = delivery.Assignment{Agent: ch.Agent, Stack: web, Object: ch.Object, State: ch.State}
		}
		for i, v := range d.Verdicts {
			if v.Picked && (s.Deleted || !clusters[i].Generators[team]) {
				t.Fatalf("picked without consent or of a deleted stack: %+v", v)
			}
			if len(v.Reasons) == 0 {
				t.Fatalf("verdict without a reason: %+v", v)
			}
			if d.Hold == nil && placement.Differs(s, clusters[i], p) != changed[v.Agent] {
				t.Fatalf("Differs disagrees with Decide on %s", v.Agent)
			}
		}
		in.Prior, in.Subject.Hold = after, d.Hold
		if again := placement.Decide(in, now.Add(time.Minute)); again.News(in.Subject) {
			t.Fatalf("deciding again is news: %+v", again)
		}
	})
}
