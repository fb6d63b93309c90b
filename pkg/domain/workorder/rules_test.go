package workorder_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/workorder"
)

const (
	mine   agent.ID = "0d9c4b9e-2a9b-4a62-8d6e-3b1f5f1c9a77"
	theirs agent.ID = "b3f0a6a4-5f0e-4a1f-8a0c-9f6f7f4d2e11"
	long            = 30 * 24 * time.Hour
)

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func seconds(n int32) *int32 { return &n }

func text(s string) *string { return &s }

// order returns one with 2 retries after 10 s, 20 s, and a timeout of 100 s.
func order(t interface {
	Helper()
	Fatal(args ...any)
}) workorder.Order {
	t.Helper()
	o, err := workorder.New("o", workorder.Spec{
		Type: "custom", MaxRetries: seconds(2), Backoff: seconds(10), ClaimTimeout: seconds(100),
		Targeting: workorder.Targeting{Agents: []agent.ID{mine}},
	}, "sum", 3, now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func claimed(t *testing.T) workorder.Order {
	t.Helper()
	o, err := order(t).ClaimFor(mine, now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestNewHasDefaults(t *testing.T) {
	t.Parallel()
	o, err := workorder.New("o", workorder.Spec{Type: "build", Targeting: workorder.Targeting{Labels: []string{"x"}}}, "sum", 3, now())
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxRetries != 3 || o.Backoff != time.Minute || o.ClaimTimeout != time.Hour || o.Status != workorder.Pending || o.AvailableAt != now() {
		t.Errorf("got %+v, want 3 retries, 60 s, 3600 s, pending from now", o)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	some := workorder.Targeting{Agents: []agent.ID{mine}}
	for name, tc := range map[string]struct {
		spec workorder.Spec
		code string
	}{
		"no type":            {workorder.Spec{Targeting: some}, "invalid_work_order"},
		"a long type":        {workorder.Spec{Type: strings.Repeat("x", 65), Targeting: some}, "invalid_work_order"},
		"a type of two rows": {workorder.Spec{Type: "a\nb", Targeting: some}, "invalid_work_order"},
		"nobody":             {workorder.Spec{Type: "custom"}, "no_targeting_specified"},
		"negative retries":   {workorder.Spec{Type: "custom", MaxRetries: seconds(-1), Targeting: some}, "invalid_work_order"},
		"many retries":       {workorder.Spec{Type: "custom", MaxRetries: seconds(101), Targeting: some}, "invalid_work_order"},
		"no backoff":         {workorder.Spec{Type: "custom", Backoff: seconds(0), Targeting: some}, "invalid_work_order"},
		"no timeout":         {workorder.Spec{Type: "custom", ClaimTimeout: seconds(0), Targeting: some}, "invalid_work_order"},
		"an endless timeout": {workorder.Spec{Type: "custom", ClaimTimeout: seconds(604801), Targeting: some}, "invalid_work_order"},
		"an empty label":     {workorder.Spec{Type: "custom", Targeting: workorder.Targeting{Labels: []string{""}}}, "invalid_work_order"},
		"an empty key":       {workorder.Spec{Type: "custom", Targeting: workorder.Targeting{Annotations: map[string]string{"": "v"}}}, "invalid_work_order"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := workorder.New("o", tc.spec, "sum", 3, now())
			if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != tc.code {
				t.Errorf("got %v, want invalid with code %s", err, tc.code)
			}
		})
	}
}

func TestTargetingIsAUnion(t *testing.T) {
	t.Parallel()
	target := workorder.Targeting{Agents: []agent.ID{mine}, Labels: []string{"prod"}, Annotations: map[string]string{"region": "eu"}}
	for name, tc := range map[string]struct {
		agent       agent.ID
		labels      map[string]bool
		annotations map[string]string
		want        bool
	}{
		"named":                {agent: mine, want: true},
		"labelled":             {agent: theirs, labels: map[string]bool{"prod": true}, want: true},
		"annotated":            {agent: theirs, annotations: map[string]string{"region": "eu"}, want: true},
		"another value":        {agent: theirs, annotations: map[string]string{"region": "us"}},
		"neither of the three": {agent: theirs, labels: map[string]bool{"dev": true}},
	} {
		if got := target.Matches(tc.agent, tc.labels, tc.annotations); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

func TestOnlyAPendingOrderIsClaimed(t *testing.T) {
	t.Parallel()
	o := claimed(t)
	if !o.HeldBy(mine) || o.HeldBy(theirs) || o.HeldBy("") || !o.Claim.EndsAt.Equal(now().Add(100*time.Second)) {
		t.Errorf("got %+v, want claimed for 100 s by the one agent", o.Claim)
	}
	if _, err := o.ClaimFor(theirs, now()); fault.CodeOf(err) != "work_order_not_claimable" || !fault.Is(err, fault.NotFound) {
		t.Errorf("a second claim: got %v", err)
	}
}

func TestNobodyCompletesWhatNobodyClaimed(t *testing.T) {
	t.Parallel()
	for _, o := range []workorder.Order{order(t), claimed(t)} {
		for _, a := range []agent.ID{"", theirs} {
			_, entry, err := o.Complete(workorder.Completer{Agent: a}, workorder.Result{Success: true}, now())
			if fault.CodeOf(err) != "work_order_not_claimed_by_agent" || entry != nil {
				t.Errorf("%s by %q: got %v, %v; want it refused", o.Status, a, entry, err)
			}
		}
	}
	_, entry, err := order(t).Complete(workorder.Completer{Anybody: true}, workorder.Result{Success: true}, now())
	if err != nil || entry == nil || entry.ClaimedBy != "" || entry.ClaimedAt != nil {
		t.Errorf("by an admin: got %+v, %v; want an entry without a claim", entry, err)
	}
}

func TestRetriesGrowApartAndEnd(t *testing.T) {
	t.Parallel()
	o, at := order(t), now()
	for i, wait := range []time.Duration{10 * time.Second, 20 * time.Second} {
		var err error
		if o, err = o.ClaimFor(mine, at); err != nil {
			t.Fatal(err)
		}
		next, entry, err := o.Complete(workorder.Completer{Agent: mine}, workorder.Result{Message: text("no"), Retryable: true}, at)
		if err != nil || entry != nil || next.Status != workorder.RetryPending || !next.NextRetryAfter.Equal(at.Add(wait)) || next.Retries != i+1 || *next.LastError != "no" {
			t.Fatalf("failure %d: got %+v, %v, %v; want a retry after %s", i, next, entry, err, wait)
		}
		if _, _, due := next.Advance(at.Add(wait-1), long); due {
			t.Errorf("retry %d: due too early", i)
		}
		at = at.Add(wait)
		var due bool
		if o, entry, due = next.Advance(at, long); !due || entry != nil || o.Status != workorder.Pending || !o.AvailableAt.Equal(at) {
			t.Fatalf("retry %d: got %+v, %v, want it pending again", i, o, due)
		}
	}
	o, err := o.ClaimFor(mine, at)
	if err != nil {
		t.Fatal(err)
	}
	_, entry, err := o.Complete(workorder.Completer{Agent: mine}, workorder.Result{Message: text("no"), Retryable: true}, at)
	if err != nil || entry == nil || entry.Success || entry.Retries != 2 || *entry.Message != "no" || entry.ClaimedBy != mine {
		t.Errorf("last failure: got %+v, %v, want the end", entry, err)
	}
}

func TestWhatIsNotRetryableEndsAtOnce(t *testing.T) {
	t.Parallel()
	_, entry, err := claimed(t).Complete(workorder.Completer{Agent: mine}, workorder.Result{Message: text("never")}, now())
	if err != nil || entry == nil || entry.Success || entry.Retries != 0 {
		t.Errorf("got %+v, %v, want a failed entry", entry, err)
	}
}

func TestRenewalsShortenTheSilenceAndNeverExtendTheTimeout(t *testing.T) {
	t.Parallel()
	o, err := claimed(t).Renew(mine, 30*time.Second, now().Add(10*time.Second))
	if err != nil || !o.Claim.EndsAt.Equal(now().Add(40*time.Second)) {
		t.Fatalf("got %+v, %v, want it to end 30 s later", o.Claim, err)
	}
	next, entry, due := o.Advance(now().Add(40*time.Second), long)
	if !due || entry != nil || next.Status != workorder.RetryPending || !strings.Contains(*next.LastError, "stopped renewing") {
		t.Errorf("after silence: got %+v, want a retry that says why", next)
	}
	if o, err = o.Renew(mine, 30*time.Second, now().Add(90*time.Second)); err != nil || !o.Claim.EndsAt.Equal(now().Add(100*time.Second)) {
		t.Errorf("near the timeout: got %+v, %v, want it to end at the timeout", o.Claim, err)
	}
	if _, err := o.Renew(mine, 30*time.Second, now().Add(100*time.Second)); fault.CodeOf(err) != "work_order_not_claimed_by_agent" {
		t.Errorf("at the timeout: got %v, want it refused", err)
	}
	if next, _, _ := o.Advance(now().Add(100*time.Second), long); !strings.Contains(*next.LastError, "not completed within 1m40s") {
		t.Errorf("at the timeout: got %q, want the reason", *next.LastError)
	}
	if _, err := o.Renew(theirs, 30*time.Second, now()); fault.CodeOf(err) != "work_order_not_claimed_by_agent" {
		t.Errorf("by another: got %v", err)
	}
	if _, err := order(t).Renew("", 30*time.Second, now()); fault.CodeOf(err) != "work_order_not_claimed_by_agent" {
		t.Errorf("of an unclaimed one by nobody: got %v", err)
	}
	if _, err := o.Renew(mine, time.Hour, now()); !fault.Is(err, fault.Invalid) {
		t.Errorf("for an hour: got %v, want it refused", err)
	}
}

func TestWhatNobodyTakesEnds(t *testing.T) {
	t.Parallel()
	if _, _, due := order(t).Advance(now().Add(long-1), long); due {
		t.Error("ended too early")
	}
	_, entry, due := order(t).Advance(now().Add(long), long)
	if !due || entry == nil || entry.Success || !strings.Contains(*entry.Message, "no agent claimed it") {
		t.Errorf("got %+v, want a failed entry that says why", entry)
	}
}

// However it goes, an order is tried at most once more than it has retries, and its waits stay bounded.
func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		retries := rapid.Int32Range(0, 100).Draw(t, "retries")
		backoff := rapid.Int32Range(1, 86400).Draw(t, "backoff")
		o, err := workorder.New("o", workorder.Spec{Type: "x", MaxRetries: &retries, Backoff: &backoff, Targeting: workorder.Targeting{Labels: []string{"l"}}}, "s", 1, now())
		if err != nil {
			t.Fatal(err)
		}
		at, attempts := now(), int32(0)
		for {
			attempts++
			if o, err = o.ClaimFor(mine, at); err != nil {
				t.Fatal(err)
			}
			var entry *workorder.Entry
			if rapid.Bool().Draw(t, "times out") {
				at = o.Claim.EndsAt
				o, entry, _ = o.Advance(at, long)
			} else {
				o, entry, _ = o.Complete(workorder.Completer{Agent: mine}, workorder.Result{Retryable: true}, at)
			}
			if entry != nil {
				break
			}
			if wait := o.NextRetryAfter.Sub(at); wait <= 0 || wait > workorder.LongestWait {
				t.Fatalf("wait of %s", wait)
			}
			at = *o.NextRetryAfter
			o, _, _ = o.Advance(at, long)
		}
		if attempts != retries+1 {
			t.Fatalf("%d attempts with %d retries", attempts, retries)
		}
	})
}

func TestStatusesParse(t *testing.T) {
	t.Parallel()
	for _, s := range workorder.Statuses() {
		if got, err := workorder.ParseStatus(string(s)); err != nil || got != s {
			t.Errorf("%s: got %s, %v", s, got, err)
		}
	}
	if _, err := workorder.ParseStatus("claimed"); !fault.Is(err, fault.Invalid) {
		t.Errorf("another spelling: got %v", err)
	}
}
