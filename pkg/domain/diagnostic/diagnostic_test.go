package diagnostic_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

var start = time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // constant

func asked() diagnostic.Request {
	return diagnostic.Request{ID: "d", Status: diagnostic.Pending, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
}

func TestLifeOfARequest(t *testing.T) {
	t.Parallel()
	type step struct {
		after time.Duration // since the beginning
		act   string        // claim or complete
		code  string        // of the conflict; empty: it works
	}
	for reason, c := range map[string]struct {
		steps []step
		then  time.Duration
		want  diagnostic.Status
		gone  bool
	}{
		"asked, claimed, answered":             {[]step{{1 * time.Minute, "claim", ""}, {2 * time.Minute, "complete", ""}}, 3 * time.Minute, diagnostic.Completed, false},
		"nobody answers":                       {nil, time.Hour, diagnostic.Expired, false},
		"an expired one is shown for an hour":  {nil, 2*time.Hour - time.Second, diagnostic.Expired, false},
		"and then forgotten":                   {nil, 2 * time.Hour, diagnostic.Expired, true},
		"an answer goes when its time is over": {[]step{{0, "claim", ""}, {0, "complete", ""}}, time.Hour, diagnostic.Completed, true},
		"claimed once":                         {[]step{{0, "claim", ""}, {time.Minute, "claim", "diagnostic_already_claimed"}}, time.Minute, diagnostic.Claimed, false},
		"a claim that is old is made anew":     {[]step{{0, "claim", ""}, {2 * time.Minute, "claim", ""}, {3 * time.Minute, "claim", "diagnostic_already_claimed"}}, 3 * time.Minute, diagnostic.Claimed, false},
		"an answer needs a claim":              {[]step{{0, "complete", "diagnostic_not_claimed"}}, 0, diagnostic.Pending, false},
		"one answer":                           {[]step{{0, "claim", ""}, {0, "complete", ""}, {0, "complete", "diagnostic_not_claimed"}, {0, "claim", "diagnostic_already_claimed"}}, 0, diagnostic.Completed, false},
		"a late answer counts":                 {[]step{{0, "claim", ""}, {50 * time.Minute, "complete", ""}}, 51 * time.Minute, diagnostic.Completed, false},
		"too late":                             {[]step{{0, "claim", ""}, {time.Hour, "complete", "diagnostic_not_claimed"}, {time.Hour, "claim", "diagnostic_already_claimed"}}, time.Hour, diagnostic.Expired, false},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			r := asked()
			for i, s := range c.steps {
				act := r.Claim
				if s.act == "complete" {
					act = r.Complete
				}
				next, err := act(start.Add(s.after))
				if s.code == "" && err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				if s.code != "" && (!fault.Is(err, fault.Conflict) || fault.CodeOf(err) != s.code || next.Status != r.Status) {
					t.Fatalf("step %d: got %v with %v, want nothing changed and %s", i, next.Status, err, s.code)
				}
				r = next
			}
			now := start.Add(c.then)
			if got := r.At(now).Status; got != c.want {
				t.Errorf("status: got %s, want %s", got, c.want)
			}
			if got := r.Forgotten(now); got != c.gone {
				t.Errorf("forgotten: got %v, want %v", got, c.gone)
			}
		})
	}
}

// TestARequestIsAnsweredAtMostOnce makes any moves at any times.
func TestARequestIsAnsweredAtMostOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, now, answers := asked(), start, 0
		for range rapid.IntRange(1, 12).Draw(t, "moves") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "later")))
			if rapid.Bool().Draw(t, "claim") {
				was := r.Open(now)
				next, err := r.Claim(now)
				if (err == nil) != was {
					t.Fatalf("claim of what is open=%v: %v", was, err)
				}
				r = next
				continue
			}
			next, err := r.Complete(now)
			if err == nil {
				answers++
			}
			r = next
		}
		if answers > 1 {
			t.Fatalf("%d answers", answers)
		}
		if (r.CompletedAt != nil) != (r.Status == diagnostic.Completed) || (r.ClaimedAt == nil) != (r.Status == diagnostic.Pending) {
			t.Fatalf("the moments do not fit the status: %+v", r)
		}
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	n := func(v int64) *int64 { return &v }
	for reason, c := range map[string]struct {
		minutes *int64
		want    time.Duration
	}{
		"an hour if nothing is said": {nil, time.Hour},
		"as said":                    {n(5), 5 * time.Minute},
		"a week at most":             {n(7 * 24 * 60), 7 * 24 * time.Hour},
		"not longer":                 {n(7*24*60 + 1), 0},
		"not nothing":                {n(0), 0},
		"not the past":               {n(-1), 0},
		"no overflow":                {n(1 << 62), 0},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			got, err := diagnostic.CheckRetention(c.minutes)
			if got != c.want || (err == nil) != (c.want > 0) || (err != nil && fault.CodeOf(err) != "invalid_diagnostic_request") {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	r := diagnostic.NewRedactor([]string{"hunter2hunter2", "hunter2", "two\nlines here", "abc", "", "quo\"ted\\value"})
	for in, want := range map[string]string{
		"login with hunter2hunter2 failed":  "login with *** failed",
		"login with hunter2":                "login with ***",
		"it said: lines here":               "it said: ***",
		"abc is too short to be looked for": "abc is too short to be looked for",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	got, err := r.JSON(`[{"message":"pw \u0068unter2","n":12345678901234567890,"key":"quo\"ted\\value"}]`)
	if want := `[{"key":"***","message":"pw ***","n":12345678901234567890}]`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"", "{", `[] []`, "nothing"} {
		if got, err := r.JSON(bad); fault.CodeOf(err) != "invalid_diagnostic_result" {
			t.Errorf("%q: got %q, %v, want it refused", bad, got, err)
		}
	}
}

func TestNoSecretSurvivesRedaction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9"\\]{8,20}`), 1, 4).Draw(t, "secrets")
		var text strings.Builder
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			text.WriteString(rapid.SampledFrom(secrets).Draw(t, "secret"))
			text.WriteString(rapid.StringMatching(` [A-Z]{0,5} `).Draw(t, "between"))
		}
		got := diagnostic.NewRedactor(secrets).Text(text.String())
		for _, s := range secrets {
			if strings.Contains(got, s) {
				t.Fatalf("%q is still in %q", s, got)
			}
		}
	})
}

func TestCheckedResult(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	none := diagnostic.NewRedactor([]string{"hunter2"})
	good := diagnostic.Result{PodStatuses: `[{"name":"hunter2"}]`, Events: `[]`, LogTails: text(`{"a/b":"hunter2"}`)}
	got, err := good.Checked(none)
	if err != nil || got.PodStatuses != `[{"name":"***"}]` || *got.LogTails != `{"a/b":"***"}` || *good.LogTails != `{"a/b":"hunter2"}` {
		t.Errorf("got %+v, %v, want it without the secret, and the given one as it was", got, err)
	}
	if got, err := (diagnostic.Result{PodStatuses: "[]", Events: "[]"}).Checked(none); err != nil || got.LogTails != nil {
		t.Errorf("without log tails: got %+v, %v", got, err)
	}
	for what, bad := range map[string]diagnostic.Result{
		"pod_statuses": {PodStatuses: "{}", Events: "[]"},
		"events":       {PodStatuses: "[]", Events: "no"},
		"log_tails":    {PodStatuses: "[]", Events: "[]", LogTails: text("[]")},
		"more than":    {PodStatuses: `["` + strings.Repeat("a", diagnostic.MaxPart) + `"]`, Events: "[]"},
	} {
		if _, err := bad.Checked(none); fault.CodeOf(err) != "invalid_diagnostic_result" || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v, want invalid_diagnostic_result that names it", what, err)
		}
	}
}
