package scheduler_test

import (
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout"
)

// metric is the value of one series, such as brokkr_rollout_open{phase="paused"}; of a histogram its count.
func (f *fleet) metric(series string) float64 {
	f.t.Helper()
	families, err := f.tel.Registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if named(family.GetName(), m) == series {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	f.t.Errorf("there is no %s", series)
	return -1
}

func named(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
	}
	if sort.Strings(labels); len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	return name
}

func (f *fleet) wantMetrics(when string, want map[string]float64) {
	f.t.Helper()
	for series, v := range want {
		if got := f.metric(series); got != v {
			f.t.Errorf("%s: %s is %v, want %v", when, series, got, v)
		}
	}
}

// The metrics say where rollouts stand, what they wait for and since when, how long waves took, and how they ended.
func TestMetricsOfARollout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := stage(t, canaryThenRest(func(r *policy.Rollout) { r.Waves[0].Approval = true }))
		defer x.stop()
		began := time.Now()
		time.Sleep(10 * time.Second)
		x.wantMetrics("while the canary is waited for", map[string]float64{
			`brokkr_rollout_open{phase="progressing"}`: 1, `brokkr_rollout_clusters{state="deploying"}`: 1, `brokkr_rollout_clusters{state="pending"}`: 3,
			`brokkr_rollout_blocked_since_timestamp_seconds{kind="health"}`: float64(began.Unix()), `brokkr_rollout_blocked_since_timestamp_seconds{kind="approval"}`: 0,
			`brokkr_rollout_wave_seconds`: 0, `brokkr_rollout_transitions_total{to="progressing"}`: 1,
		})
		x.healthy(x.s, x.canary)
		time.Sleep(3 * time.Second)
		x.wantMetrics("while somebody has to approve", map[string]float64{
			`brokkr_rollout_open{phase="progressing"}`: 0, `brokkr_rollout_open{phase="waiting_approval"}`: 1, `brokkr_rollout_clusters{state="healthy"}`: 1,
			`brokkr_rollout_blocked_since_timestamp_seconds{kind="health"}`: 0, `brokkr_rollout_blocked_since_timestamp_seconds{kind="approval"}`: float64(began.Add(10 * time.Second).Unix()),
		})
		x.act(x.s, func(r *rollout.Rollout, now time.Time, by string) (rollout.Transition, error) {
			return r.Approve(now, by, -1)
		})
		time.Sleep(3 * time.Second)
		x.healthy(x.s, x.rest...)
		time.Sleep(3 * time.Second)
		x.wantMetrics("when it is over", map[string]float64{
			`brokkr_rollout_open{phase="progressing"}`: 0, `brokkr_rollout_open{phase="waiting_approval"}`: 0, `brokkr_rollout_clusters{state="healthy"}`: 0,
			`brokkr_rollout_wave_seconds`: 2, `brokkr_rollout_transitions_total{to="completed"}`: 1,
			`brokkr_rollout_blocked_since_timestamp_seconds{kind="health"}`: 0,
		})
	})
}

// What a policy wants and does not get is told as long as it lasts, and so are removals that wait for approval.
func TestMetricsOfUnmetDemandAndHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		stop := f.start(f.store)
		defer stop()
		settle()
		s := f.stack("web", "prod")
		one := f.agent("one", "gpu")
		f.publish(s, "content")
		f.follow(s, policy.Document{Name: "p", Clusters: &policy.Selector{Labels: []string{"gpu"}}, Strategy: policy.Strategy{Count: &policy.Range{Min: 3, Max: 3}}})
		time.Sleep(3 * time.Second)
		f.wantMetrics("with one of three", map[string]float64{`brokkr_scheduler_unmet_stacks`: 1, `brokkr_scheduler_unmet_clusters`: 2, `brokkr_scheduler_held_stacks`: 0})
		f.unlabel(one, "gpu") // its only cluster: that is held
		time.Sleep(3 * time.Second)
		f.wantMetrics("with its last cluster about to go", map[string]float64{`brokkr_scheduler_held_stacks`: 1})
		f.label(one, "gpu")
		f.agent("two", "gpu")
		f.agent("three", "gpu")
		time.Sleep(3 * time.Second)
		f.wantMetrics("with all three", map[string]float64{`brokkr_scheduler_unmet_stacks`: 0, `brokkr_scheduler_unmet_clusters`: 0, `brokkr_scheduler_held_stacks`: 0})
	})
}
