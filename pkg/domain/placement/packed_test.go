package placement_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

func decided(clusters int) placement.Decision {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d := placement.Decision{
		Stack: "s", WakeAt: &at, Policy: &policy.Ref{ID: "p", Name: "web", Revision: 3, By: policy.ByStack},
		Hold:    &placement.Hold{Since: at, Reason: "many", Removes: []agent.ID{"a"}, Of: 3, Fingerprint: "f"},
		Changes: []placement.Change{{Agent: "a", State: delivery.Assigned, Object: "o", Reason: "because"}},
	}
	for i := range clusters {
		sum := sha256.Sum256(fmt.Append(nil, i))
		v := placement.Verdict{
			Agent: agent.ID(fmt.Sprintf("%x-%x-4%x-8%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])), Cluster: fmt.Sprintf("cluster-%d", i), Picked: i%100 == 0,
			Reasons: []placement.Reason{{Rule: placement.RuleNoMatch, Wanted: "prod", Observed: fmt.Sprintf("region-%d", i%7), Message: "no shared label"}},
		}
		d.Verdicts = append(d.Verdicts, v)
	}
	return d
}

func TestPackedDecisionsComeBack(t *testing.T) {
	t.Parallel()
	for _, d := range []placement.Decision{{}, decided(0), decided(1), decided(1000)} {
		b, err := d.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, err := placement.Unpack(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Errorf("%d verdicts (-packed +unpacked):\n%s", len(d.Verdicts), diff)
		}
	}
}

// A packer that is used again forgets what it packed before, and every field and text comes back.
func TestAPackerIsUsedAgain(t *testing.T) {
	t.Parallel()
	var p placement.Packer
	full := placement.Decision{Stack: "s", Changes: []placement.Change{
		{Agent: "a", State: delivery.Removing, Object: "o", Reason: "it goes"}, {Agent: "b", State: delivery.Removing, Object: "o", Reason: "told anew", Going: true},
	}, Verdicts: []placement.Verdict{
		{Agent: "a", Cluster: "\"quoted\" \\ back", Picked: true, Reasons: []placement.Reason{}, Group: "größer", Score: -3, Ranked: true, Incumbent: true, Avoided: true,
			Spread: []placement.Fullness{{By: "annotation.region", Domain: "\"eu\"", Picked: 2, Fewest: 1}, {By: "annotation.zone"}}, Scores: []placement.Score{
				{Name: "facts.price", Observed: "0.5", Weight: 3, Points: 150}, {Name: "balance", Points: -1}, {Name: "stickiness"}}},
		{Agent: "b", Cluster: "line\nbreak\tand <tags> & \u2028", Reasons: nil},
		{Agent: "c", Cluster: "\x00\x1f\x7f", Reasons: []placement.Reason{{Rule: placement.RuleCEL, Wanted: "a < b && c", Observed: "日本", Message: "no"}, {Rule: placement.RuleSpread}}},
		{Agent: "d", Cluster: "like b", Reasons: nil},
		{Agent: "e", Cluster: "like a", Scores: []placement.Score{
			{Name: "facts.price", Observed: "0.75", Weight: 3, Points: 75}, {Name: "balance", Points: 100}, {Name: "stickiness", Observed: "new\x00"}}},
		{Agent: "g", Cluster: "summed", Score: 12, Ranked: true, Scores: []placement.Score{{Name: "balance", Points: 5}, {Name: "stickiness", Points: 7}},
			Reasons: []placement.Reason{{Rule: placement.RuleCapacity}, {Rule: placement.RuleOutranked, Wanted: "at most 1", Observed: "12 points", Message: "others come first"}}},
		{Agent: "h", Cluster: "like summed", Score: -3, Ranked: true, Scores: []placement.Score{{Name: "balance", Points: -5}, {Name: "stickiness", Points: 2}},
			Reasons: []placement.Reason{{Rule: placement.RuleCapacity}, {Rule: placement.RuleOutranked, Wanted: "at most 1", Observed: "-3 points", Message: "others come first"}}},
		{Agent: "i", Cluster: "no sum", Score: 0, Scores: []placement.Score{{Name: "balance", Points: 5}},
			Reasons: []placement.Reason{{Rule: placement.RuleOutranked, Observed: "5 points"}, {Rule: placement.RuleSpread, Observed: "0 points"}}},
		{Agent: "j", Cluster: "another sum", Score: 6, Scores: []placement.Score{{Name: "balance", Points: 5}}, Reasons: []placement.Reason{{Rule: placement.RuleOutranked, Observed: "06 points"}}},
		{Agent: "f", Cluster: "in another group", Group: "b", Scores: []placement.Score{{Name: "balance", Weight: 2, Points: 7}}},
	}}
	for i, d := range []placement.Decision{decided(1000), full, {}, decided(3), full} {
		b, err := p.Pack(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := placement.Unpack(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Errorf("decision %d (-packed +unpacked):\n%s", i, diff)
		}
	}
}

// Verdicts that have lists in common, or nearly, come back as what each of them was.
func TestVerdictsThatShareListsComeBack(t *testing.T) {
	t.Parallel()
	var p placement.Packer
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "x", "y"})
		lists := make([][]placement.Reason, 3)
		for i := range lists {
			for range rapid.IntRange(0, 3).Draw(t, "reasons") {
				lists[i] = append(lists[i], placement.Reason{Rule: rapid.SampledFrom([]placement.Rule{placement.RuleCEL, placement.RuleOutranked}).Draw(t, "rule"),
					Wanted: text.Draw(t, "wanted"), Observed: rapid.SampledFrom([]string{"", "0 points", "3 points", "4 points"}).Draw(t, "observed"), Message: text.Draw(t, "message")})
			}
		}
		spreads := [][]placement.Fullness{nil, {{By: "a", Domain: "x", Picked: 1}}, {{By: "a", Domain: "x", Picked: 1}}, {{By: "a", Domain: "y", Picked: 1}}, {{By: "a", Domain: "x", Picked: 1}, {By: "b"}}}
		d := placement.Decision{Stack: "s"}
		for i := range rapid.IntRange(0, 40).Draw(t, "clusters") {
			v := placement.Verdict{Agent: agent.ID(fmt.Sprint(i)), Cluster: fmt.Sprint("c", i), Spread: rapid.SampledFrom(spreads).Draw(t, "spread"),
				Score: rapid.SampledFrom([]int64{0, 0, 3, 4}).Draw(t, "score")}
			list := rapid.SampledFrom(lists).Draw(t, "list")
			v.Reasons = list[:rapid.IntRange(0, len(list)).Draw(t, "of")]
			if rapid.Bool().Draw(t, "scored") {
				v.Scores = []placement.Score{{Name: "balance", Points: 3}}
			}
			if rapid.Bool().Draw(t, "more") {
				v.Picked, v.Ranked, v.Incumbent, v.Avoided = rapid.Bool().Draw(t, "picked"), rapid.Bool().Draw(t, "ranked"), rapid.Bool().Draw(t, "incumbent"), rapid.Bool().Draw(t, "avoided")
				v.Group = text.Draw(t, "group")
			}
			d.Verdicts = append(d.Verdicts, v)
		}
		b, err := p.Pack(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := placement.Unpack(b.Bytes())
		if diff := cmp.Diff(d, got); diff != "" || err != nil {
			t.Errorf("%v (-packed +unpacked):\n%s", err, diff)
		}
	})
}

// A field that a verdict, or a part of it, gets some day is kept too.
func TestEveryFieldOfAVerdictIsPacked(t *testing.T) {
	t.Parallel()
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
		case reflect.String:
			v.SetString("text")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(7)
		default:
			t.Fatalf("a verdict has a field of kind %s", v.Kind())
		}
	}
	var v placement.Verdict
	fill(reflect.ValueOf(&v).Elem())
	d := placement.Decision{Stack: "s", Verdicts: []placement.Verdict{v}}
	b, err := d.Pack()
	if err != nil {
		t.Fatal(err)
	}
	got, err := placement.Unpack(b.Bytes())
	if diff := cmp.Diff(d, got); diff != "" || err != nil {
		t.Errorf("%v (-packed +unpacked):\n%s", err, diff)
	}
}

// Records of earlier releases have the scores with the verdicts.
func TestEarlierRecordsAreRead(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(`{"d":{"stack_id":"s","verdicts":null,"changes":null},"a":["x"],"c":["one"],` +
		`"s":[{"agent_id":"","cluster":"","picked":true,"reasons":null,"score":5,"scores":[{"name":"balance","observed":"3","points":5}]}],"w":[0]}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := placement.Unpack(b.Bytes())
	want := placement.Decision{Stack: "s", Verdicts: []placement.Verdict{{Agent: "x", Cluster: "one", Picked: true, Score: 5, Scores: []placement.Score{{Name: "balance", Observed: "3", Points: 5}}}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Verdicts that differ in their points alone take no more room than the points: a record of a policy that ranks is not larger than
// one of a policy that refuses.
func TestPointsAreKeptOnce(t *testing.T) {
	t.Parallel()
	d := decided(1000)
	for i := range d.Verdicts {
		d.Verdicts[i].Scores, d.Verdicts[i].Ranked = []placement.Score{{Name: "balance", Points: 40}}, true
		d.Verdicts[i].Reasons = []placement.Reason{{Rule: placement.RuleOutranked, Wanted: "at most 10 clusters", Observed: "40 points", Message: "it fits, but others come first"}}
		d.Verdicts[i].Score = 40
	}
	same, err := d.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Verdicts {
		n := int64(i * 7919 % 1000)
		d.Verdicts[i].Score, d.Verdicts[i].Scores[0].Points, d.Verdicts[i].Reasons[0].Observed = n, n, fmt.Sprintf("%d points", n)
	}
	different, err := d.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if more := len(different.Rest) - len(same.Rest); more > 3000 {
		t.Errorf("different points take %d bytes more, want at most 3 a cluster", more)
	}
}

// Whom the verdicts are about is kept for the next decision, and told anew if it is others.
func TestAPackerTellsWhom(t *testing.T) {
	t.Parallel()
	var p placement.Packer
	verdicts := func(names ...string) placement.Decision {
		d := placement.Decision{Stack: "s"}
		for _, n := range names {
			d.Verdicts = append(d.Verdicts, placement.Verdict{Agent: agent.ID("a-" + n), Cluster: n})
		}
		return d
	}
	renamed := verdicts("a", "b")
	renamed.Verdicts[1].Cluster = "c"
	var before placement.Packed
	for i, d := range []placement.Decision{verdicts("a", "b"), verdicts("a", "b"), renamed, verdicts("b", "a"), verdicts("b"), verdicts(), verdicts("a", "b")} {
		b, err := p.Pack(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := placement.Unpack(b.Bytes())
		if diff := cmp.Diff(d, got); diff != "" || err != nil {
			t.Errorf("decision %d: %v (-packed +unpacked):\n%s", i, err, diff)
		}
		if same := bytes.Equal(b.Whom, before.Whom); same != (i == 1) {
			t.Errorf("decision %d is about the same clusters as the one before: %t", i, same)
		}
		before = b
	}
}

func BenchmarkPack(b *testing.B) {
	d := decided(1000)
	for i := range d.Verdicts {
		d.Verdicts[i].Score = int64(i)
		d.Verdicts[i].Scores = []placement.Score{{Name: "available.cpu", Observed: fmt.Sprint(i%64, ".25"), Weight: 5, Points: int64(i)}, {Name: "balance", Observed: fmt.Sprint(i % 40), Points: int64(i % 100)}}
	}
	var p placement.Packer
	b.ReportAllocs()
	for b.Loop() {
		text, err := p.Pack(d)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(text.Rest)), "bytes")
	}
}

func TestPackedDecisionsAreSmall(t *testing.T) {
	t.Parallel()
	kept, err := decided(1000).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if len(kept.Rest) > 2000 || len(kept.Whom) > 29_000 {
		t.Errorf("a decision over 1000 clusters takes %d bytes beside the %d that it has in common with others, want at most 2 and 29 a cluster", len(kept.Rest), len(kept.Whom))
	}
	b := kept.Bytes()
	for i := range b {
		if _, err := placement.Unpack(b[:i]); err == nil {
			t.Fatalf("the first %d of %d bytes are read as a decision", i, len(b))
		}
		if i > 200 {
			break
		}
	}
}
