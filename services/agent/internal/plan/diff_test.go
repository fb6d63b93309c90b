package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/plan"
)

const config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {key: ours}}"

// stampAs gives u the stamps of a stack and an agent, as of the stack "a"; what is empty is left out.
func stampAs(u *unstructured.Unstructured, stack, agent string) {
	annotations, labels := u.GetAnnotations(), u.GetLabels()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	if stack != "" {
		annotations[cluster.AnnotationStack], labels[cluster.LabelStack] = stack, stack
		annotations[cluster.AnnotationChecksum], annotations[cluster.AnnotationObject] = "sum-a", "object-a"
	}
	if agent != "" {
		annotations[cluster.AnnotationOwner] = agent
	}
	if len(annotations) > 0 {
		u.SetAnnotations(annotations)
	}
	if len(labels) > 0 {
		u.SetLabels(labels)
	}
}

// sayAdopted makes an object with stamps say that it was there before the stack.
func sayAdopted(u *unstructured.Unstructured) {
	annotations := u.GetAnnotations()
	annotations[cluster.AnnotationAdopted] = "true"
	u.SetAnnotations(annotations)
}

// applied is the inventory after stack "a" was applied as a whole.
func applied(entries ...cluster.Entry) cluster.Inventory {
	return cluster.Inventory{Stack: stackID, Name: "web", Applied: "sum-a", Object: "object-a", Sequence: 1, Entries: entries, Version: "9"}
}

func entry(k cluster.Key, uid string) cluster.Entry {
	return cluster.Entry{Key: k, Version: "v1", UID: uid}
}

var configKey = cluster.Key{Kind: "ConfigMap", Namespace: namespace, Name: "c"}

// verdict is what a diff says of one object.
type verdict struct {
	Action   plan.Action
	Drift    bool
	Paths    []string
	Reported bool   // drift that is only told
	Conflict string // its reason
	Other    string // unchanged, terminating, deferred, expired
	Entry    *cluster.Entry
}

func judge(set plan.ChangeSet, k cluster.Key) verdict {
	var v verdict
	take := func(list []plan.Change) {
		for _, c := range list {
			v.Action, v.Drift, v.Paths = c.Action, c.Drift, c.Paths
		}
	}
	take(set.Changes)
	if v.Action == "" {
		take(set.Drift)
		v.Reported = v.Action != ""
	}
	for _, c := range set.Conflicts {
		v.Conflict = c.Reason
	}
	switch {
	case set.Unchanged > 0:
		v.Other = "unchanged"
	case len(set.Terminating) > 0:
		v.Other = "terminating"
	case len(set.Deferred) > 0:
		v.Other = "deferred"
	case len(set.Expired) > 0:
		v.Other = "expired"
	}
	for _, e := range set.Inventory.Entries {
		if e.Key == k {
			v.Entry = &e
		}
	}
	return v
}

func TestDiffOfOneObject(t *testing.T) {
	t.Parallel()
	ours := &cluster.Entry{Key: configKey, Version: "v1", UID: "uid-1"}
	planned := &cluster.Entry{Key: configKey, Version: "v1"}
	adopted := &cluster.Entry{Key: configKey, Version: "v1", Adopted: true}
	kept := &cluster.Entry{Key: configKey, Version: "v1", UID: "uid-1", Adopted: true}
	adoption := []string{"/metadata/annotations/brokkr.io~1adopted"}
	stamps := []string{"/metadata/annotations/brokkr.io~1deployment-object-id", "/metadata/annotations/brokkr.io~1owner-id",
		"/metadata/annotations/k8s.brokkr.io~1deployment-checksum", "/metadata/annotations/k8s.brokkr.io~1stack", "/metadata/labels/brokkr.io~1stack"}
	withData := append([]string{"/data/key"}, stamps...)
	const theirs = "theirs"
	for name, tc := range map[string]struct {
		absent       bool
		value        string // of data.key; "" is as wanted
		stack, agent string // stamps
		terminating  bool
		unasked      bool // no dry run yet
		says, would  bool // it says of itself that it was adopted, and would after the dry run
		uid          string
		inventory    cluster.Inventory
		policy       wire.Policy
		revision     string // "" is a
		want         verdict
	}{
		"new":                                {absent: true, want: verdict{Action: plan.Create, Entry: planned}},
		"not looked at":                      {absent: true, unasked: true, want: verdict{Other: "deferred"}},
		"not asked":                          {stack: stackID, agent: agentID, unasked: true, want: verdict{Other: "deferred"}},
		"being deleted":                      {stack: stackID, agent: agentID, terminating: true, unasked: true, want: verdict{Other: "terminating", Entry: planned}},
		"as wanted":                          {stack: stackID, agent: agentID, inventory: applied(entry(configKey, "uid-1")), want: verdict{Other: "unchanged", Entry: ours}},
		"as wanted, inventory lost":          {stack: stackID, agent: agentID, want: verdict{Other: "unchanged", Entry: ours}},
		"as wanted, lost, says adopted":      {stack: stackID, agent: agentID, says: true, would: true, want: verdict{Other: "unchanged", Entry: kept}},
		"adopted by an earlier agent":        {stack: stackID, agent: agentID, would: true, inventory: applied(*kept), want: verdict{Action: plan.Update, Drift: true, Paths: adoption, Entry: kept}},
		"adopted earlier, drift reported":    {stack: stackID, agent: agentID, would: true, inventory: applied(*kept), policy: wire.Policy{Drift: "report"}, want: verdict{Other: "unchanged", Entry: kept}},
		"adopted earlier, drift ignored":     {stack: stackID, agent: agentID, would: true, inventory: applied(*kept), policy: wire.Policy{Drift: "ignore"}, want: verdict{Other: "unchanged", Entry: kept}},
		"adopted earlier, next revision":     {stack: stackID, agent: agentID, would: true, inventory: applied(*kept), policy: wire.Policy{Drift: "report"}, revision: "b", want: verdict{Action: plan.Update, Paths: []string{adoption[0], stamps[0], stamps[2]}, Entry: kept}},
		"an adopted one that was restored":   {stack: stackID, agent: agentID, inventory: applied(cluster.Entry{Key: configKey, UID: "uid-0", Adopted: true}), want: verdict{Other: "unchanged", Entry: &cluster.Entry{Key: configKey, Version: "v1", UID: "uid-0", Adopted: true}}},
		"of an agent that wrote no owner":    {stack: stackID, want: verdict{Action: plan.Update, Paths: stamps[1:2], Entry: ours}},
		"drifted":                            {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), want: verdict{Action: plan.Update, Drift: true, Paths: withData[:1], Entry: ours}},
		"drifted, policy says correct":       {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{Drift: "correct"}, want: verdict{Action: plan.Update, Drift: true, Paths: withData[:1], Entry: ours}},
		"drifted, to be reported":            {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{Drift: "report"}, want: verdict{Action: plan.Update, Drift: true, Paths: withData[:1], Reported: true, Entry: ours}},
		"drifted, to be ignored":             {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{Drift: "ignore"}, want: verdict{Entry: ours}},
		"drifted, policy of a later agent":   {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{Drift: "ask"}, want: verdict{Action: plan.Update, Drift: true, Paths: withData[:1], Reported: true, Entry: ours}},
		"drifted where it may":               {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{IgnorePaths: []string{"/data/key"}}, want: verdict{Other: "unchanged", Entry: ours}},
		"deleted by somebody":                {absent: true, inventory: applied(entry(configKey, "uid-0")), want: verdict{Action: plan.Create, Drift: true, Entry: planned}},
		"deleted, to be reported":            {absent: true, inventory: applied(entry(configKey, "uid-0")), policy: wire.Policy{Drift: "report"}, want: verdict{Action: plan.Create, Drift: true, Reported: true, Entry: &cluster.Entry{Key: configKey, Version: "v1", UID: "uid-0"}}},
		"an adopted one deleted":             {absent: true, inventory: applied(cluster.Entry{Key: configKey, UID: "uid-0", Adopted: true}), want: verdict{Action: plan.Create, Drift: true, Entry: planned}},
		"an adopted one is not ours at once": {stack: stackID, agent: agentID, inventory: applied(cluster.Entry{Key: configKey, Adopted: true}), want: verdict{Other: "unchanged", Entry: &cluster.Entry{Key: configKey, Version: "v1", UID: "uid-1", Adopted: true}}},
		"a new revision, drift reported":     {stack: stackID, agent: agentID, value: theirs, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{Drift: "report"}, revision: "b", want: verdict{Action: plan.Update, Paths: []string{"/data/key", stamps[0], stamps[2]}, Entry: ours}},
		"the same content published again":   {stack: stackID, agent: agentID, inventory: func() cluster.Inventory { i := applied(entry(configKey, "uid-1")); i.Object = "object-0"; return i }(), policy: wire.Policy{Drift: "report"}, value: theirs, want: verdict{Action: plan.Update, Paths: withData[:1], Entry: ours}},
		"stamps taken off":                   {inventory: applied(entry(configKey, "uid-1")), want: verdict{Action: plan.Update, Drift: true, Paths: stamps, Entry: ours}},
		"stack's stamps taken off":           {agent: agentID, inventory: applied(entry(configKey, "uid-1")), policy: wire.Policy{Adopt: "never"}, want: verdict{Action: plan.Update, Drift: true, Paths: append([]string{stamps[0]}, stamps[2:]...), Entry: ours}},
		"made by somebody":                   {value: theirs, want: verdict{Action: plan.Adopt, Paths: withData, Entry: adopted}},
		"made by somebody in between":        {value: theirs, inventory: applied(entry(configKey, "uid-0")), want: verdict{Action: plan.Adopt, Paths: withData, Entry: adopted}},
		"made by somebody as it was to be":   {value: theirs, inventory: applied(entry(configKey, "")), policy: wire.Policy{Adopt: "always"}, want: verdict{Action: plan.Adopt, Paths: withData, Entry: adopted}},
		"with our agent's stamp":             {value: theirs, agent: agentID, want: verdict{Action: plan.Adopt, Paths: append([]string{"/data/key", stamps[0]}, stamps[2:]...), Entry: adopted}},
		"never adopt":                        {policy: wire.Policy{Adopt: "never"}, want: verdict{Conflict: "not_adopted: it was there before, and the stack's treatment is adopt: never"}},
		"never adopt what was made anew":     {policy: wire.Policy{Adopt: "never"}, inventory: applied(entry(configKey, "uid-0")), want: verdict{Conflict: "not_adopted: it was there before, and the stack's treatment is adopt: never", Entry: &cluster.Entry{Key: configKey, Version: "v1", UID: "uid-0"}}},
		"a way of adopting of later agents":  {policy: wire.Policy{Adopt: "ask"}, want: verdict{Conflict: "not_adopted: it was there before, and the stack's treatment is adopt: ask"}},
		"adopt if alike, and it is":          {policy: wire.Policy{Adopt: "if_no_diff"}, want: verdict{Action: plan.Adopt, Paths: stamps, Entry: adopted}},
		"adopt if alike, and it is not":      {value: theirs, policy: wire.Policy{Adopt: "if_no_diff"}, want: verdict{Conflict: "not_adopted: it was there before and differs in /data/key, and the stack's treatment is adopt: if_no_diff"}},
		"adopt if alike but for the ignored": {value: theirs, policy: wire.Policy{Adopt: "if_no_diff", IgnorePaths: []string{"/data"}}, want: verdict{Action: plan.Adopt, Paths: stamps, Entry: adopted}},
		"another stack's":                    {stack: "stack-2", agent: agentID, want: verdict{Conflict: "owned_by stack stack-2 of agent agent-1: take the object out of one of the two stacks"}},
		"another stack's of an old agent":    {stack: "stack-2", inventory: applied(entry(configKey, "uid-1")), want: verdict{Conflict: "owned_by stack stack-2: take the object out of one of the two stacks", Entry: ours}},
		"another agent's":                    {stack: stackID, agent: "agent-2", want: verdict{Conflict: "owned_by agent agent-2 (same stack): take its annotation brokkr.io/owner-id off to let this agent have it"}},
		"another agent's without a stack":    {agent: "agent-2", inventory: applied(entry(configKey, "uid-1")), want: verdict{Conflict: "owned_by agent agent-2: take its annotation brokkr.io/owner-id off to let this agent have it", Entry: ours}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			revision := "a"
			if tc.revision != "" {
				revision = tc.revision
			}
			d := prepare(t, stack(revision, tc.policy), object(t, config))
			seen := plan.Observation{Payload: d.Objects[0].Manifest}
			if !tc.absent {
				seen.Live = object(t, config)
				seen.Live.SetUID("uid-1")
				seen.Live.SetResourceVersion("5")
				stampAs(seen.Live, tc.stack, tc.agent)
				if tc.says {
					sayAdopted(seen.Live)
				}
				if tc.value != "" {
					seen.Live.Object["data"] = map[string]any{"key": tc.value}
				}
				if tc.terminating {
					now := metav1.Unix(1_700_000_000, 0)
					seen.Live.SetDeletionTimestamp(&now)
				}
			}
			if !tc.unasked {
				seen.Would = d.Objects[0].Manifest.DeepCopy()
				if tc.would {
					sayAdopted(seen.Would)
				}
				if tc.value != "" && len(tc.policy.IgnorePaths) > 0 {
					seen.Would.Object["data"] = map[string]any{"key": "from a webhook"}
				}
			}
			set := plan.Diff(d, plan.Observed{Inventory: tc.inventory, Objects: map[cluster.Key]plan.Observation{configKey: seen}})
			if tc.want.Entry != nil && tc.want.Entry.Version == "" {
				tc.want.Entry.Version = "v1"
			}
			if diff := cmp.Diff(tc.want, judge(set, configKey)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			for _, c := range set.Changes {
				if (c.Before == "") != tc.absent {
					t.Errorf("it was seen at version %q, absent: %v", c.Before, tc.absent)
				}
			}
		})
	}
}

func TestDiffDefersWhatWasNotLookedAt(t *testing.T) {
	t.Parallel()
	d := prepare(t, stack("a", wire.Policy{}), object(t, config))
	set := plan.Diff(d, plan.Observed{})
	if got := judge(set, configKey); got.Other != "deferred" || got.Entry != nil || len(set.Changes) != 0 {
		t.Errorf("got %+v, want it deferred and not in the inventory", got)
	}
}

func TestDiffLeavesExpiredJobsGone(t *testing.T) {
	t.Parallel()
	const job = "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}, spec: {ttlSecondsAfterFinished: 60}}"
	k := cluster.Key{Group: "batch", Kind: "Job", Namespace: namespace, Name: "j"}
	for name, tc := range map[string]struct {
		text     string
		entry    cluster.Entry
		revision string
		want     verdict
	}{
		"it has run":                           {job, entry(k, "uid-1"), "a", verdict{Other: "expired", Entry: &cluster.Entry{Key: k, Version: "v1", UID: "uid-1"}}},
		"a new revision runs again":            {job, entry(k, "uid-1"), "b", verdict{Action: plan.Create, Entry: &cluster.Entry{Key: k, Version: "v1"}}},
		"it was never made":                    {job, entry(k, ""), "a", verdict{Action: plan.Create, Drift: true, Entry: &cluster.Entry{Key: k, Version: "v1"}}},
		"it has run for what is not settled":   {job, cluster.Entry{Key: k, Version: "v1", UID: "uid-1", Object: "object-b"}, "b", verdict{Other: "expired", Entry: &cluster.Entry{Key: k, Version: "v1", UID: "uid-1", Object: "object-b"}}},
		"it has run for what was there before": {job, cluster.Entry{Key: k, Version: "v1", UID: "uid-1", Object: "object-a"}, "b", verdict{Action: plan.Create, Entry: &cluster.Entry{Key: k, Version: "v1"}}},
		"it would have stayed": {strings.Replace(job, "ttlSecondsAfterFinished: 60", "suspend: false", 1), entry(k, "uid-1"), "a",
			verdict{Action: plan.Create, Drift: true, Entry: &cluster.Entry{Key: k, Version: "v1"}}},
		"no job of Kubernetes": {strings.Replace(job, "batch/v1", "x.io/v1", 1), entry(cluster.Key{Group: "x.io", Kind: "Job", Namespace: namespace, Name: "j"}, "uid-1"), "a",
			verdict{Action: plan.Create, Drift: true, Entry: &cluster.Entry{Key: cluster.Key{Group: "x.io", Kind: "Job", Namespace: namespace, Name: "j"}, Version: "v1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := prepare(t, stack(tc.revision, wire.Policy{}), object(t, tc.text))
			o := d.Objects[0]
			set := plan.Diff(d, plan.Observed{Inventory: applied(tc.entry), Objects: map[cluster.Key]plan.Observation{
				o.Key: {Payload: o.Manifest, Would: o.Manifest}}})
			if diff := cmp.Diff(tc.want, judge(set, o.Key)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdoptsWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	adopted := cluster.Entry{Key: configKey, UID: "uid-1", Adopted: true}
	for name, tc := range map[string]struct {
		absent       bool
		stack, agent string
		says         bool
		entry        cluster.Entry
		want         bool
	}{
		"it is not there":              {absent: true, entry: adopted},
		"it is nobody's":               {want: true},
		"nobody's, with our agent":     {agent: agentID, want: true},
		"nobody's, made in between":    {entry: entry(configKey, "uid-0"), want: true},
		"ours, somebody took stamps":   {entry: entry(configKey, "uid-1")},
		"adopted, somebody took them":  {entry: adopted, want: true},
		"ours":                         {stack: stackID, agent: agentID, entry: entry(configKey, "uid-1")},
		"ours, inventory lost":         {stack: stackID, agent: agentID},
		"says so, inventory lost":      {stack: stackID, agent: agentID, says: true, want: true},
		"the inventory says so":        {stack: stackID, agent: agentID, entry: adopted, want: true},
		"restored with all its stamps": {stack: stackID, agent: agentID, entry: cluster.Entry{Key: configKey, UID: "uid-0", Adopted: true}, want: true},
		"another stack's":              {stack: "stack-2", agent: agentID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := prepare(t, stack("a", wire.Policy{}), object(t, config))
			var live *unstructured.Unstructured
			if !tc.absent {
				live = object(t, config)
				live.SetUID("uid-1")
				stampAs(live, tc.stack, tc.agent)
				if tc.says {
					sayAdopted(live)
				}
			}
			got := d.Adopts(tc.entry, live)
			if got != tc.want {
				t.Errorf("adopts: %v, want %v", got, tc.want)
			}
			for _, ignore := range [][]string{nil, {"/metadata/annotations"}} {
				payload := plan.Payload(d.Objects[0], live, ignore, got)
				if says := payload.GetAnnotations()[cluster.AnnotationAdopted] == "true"; says != tc.want {
					t.Errorf("ignoring %v, what is applied says that it was adopted: %v, want %v", ignore, says, tc.want)
				}
			}
			if _, says := d.Objects[0].Manifest.GetAnnotations()[cluster.AnnotationAdopted]; says {
				t.Error("the manifest was changed")
			}
		})
	}
}

func TestABundleCannotSayThatItsObjectsWereThere(t *testing.T) {
	t.Parallel()
	u := object(t, config)
	u.SetAnnotations(map[string]string{cluster.AnnotationAdopted: "true"})
	d := prepare(t, stack("a", wire.Policy{}), u)
	if v, says := d.Objects[0].Manifest.GetAnnotations()[cluster.AnnotationAdopted]; says {
		t.Errorf("the manifest says adopted: %q", v)
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	u := object(t, config)
	if s, a := plan.Owner(u); s != "" || a != "" {
		t.Errorf("an object of nobody has owner %q %q", s, a)
	}
	u.SetLabels(map[string]string{cluster.LabelStack: "by-label"})
	if s, a := plan.Owner(u); s != "by-label" || a != "" {
		t.Errorf("owner %q %q, want that of the label", s, a)
	}
	u.SetAnnotations(map[string]string{cluster.AnnotationStack: "by-annotation", cluster.AnnotationOwner: "x"})
	u.SetUID(types.UID("any"))
	if s, a := plan.Owner(u); s != "by-annotation" || a != "x" {
		t.Errorf("owner %q %q, want that of the annotations", s, a)
	}
}
