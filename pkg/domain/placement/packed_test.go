package placement_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		got, err := placement.Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Errorf("%d verdicts (-packed +unpacked):\n%s", len(d.Verdicts), diff)
		}
	}
}

func TestPackedDecisionsAreSmall(t *testing.T) {
	t.Parallel()
	b, err := decided(1000).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 30_000 {
		t.Errorf("a decision over 1000 clusters takes %d bytes, want at most 30 a cluster", len(b))
	}
	for i := range b {
		if _, err := placement.Unpack(b[:i]); err == nil {
			t.Fatalf("the first %d of %d bytes are read as a decision", i, len(b))
		}
		if i > 200 {
			break
		}
	}
}
