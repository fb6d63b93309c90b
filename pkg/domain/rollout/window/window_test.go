package window_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/rollout/window"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNext(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ cron, after, want string }{
		"the next minute":             {"* * * * *", "2026-03-02T10:00Z", "2026-03-02T10:01Z"},
		"later today":                 {"30 22 * * *", "2026-03-02T10:00Z", "2026-03-02T22:30Z"},
		"tomorrow":                    {"0 9 * * *", "2026-03-02T09:00Z", "2026-03-03T09:00Z"},
		"on workdays, from a Friday":  {"0 22 * * 1-5", "2026-03-06T23:00Z", "2026-03-09T22:00Z"},
		"names":                       {"0 0 * feb sun", "2026-03-01T00:00Z", "2027-02-07T00:00Z"},
		"Sunday is 7 too":             {"0 0 * * 7", "2026-03-02T00:00Z", "2026-03-08T00:00Z"},
		"steps":                       {"*/20 8-10/2 * * *", "2026-03-02T08:50Z", "2026-03-02T10:00Z"},
		"a step from a number on":     {"50/5 * * * *", "2026-03-02T08:50Z", "2026-03-02T08:55Z"},
		"lists":                       {"0,15 6,18 * * *", "2026-03-02T06:15Z", "2026-03-02T18:00Z"},
		"the 31st":                    {"0 0 31 * *", "2026-03-31T00:00Z", "2026-05-31T00:00Z"},
		"a leap day":                  {"0 0 29 2 *", "2026-03-01T00:00Z", "2028-02-29T00:00Z"},
		"either day if both are said": {"0 0 13 * fri", "2026-03-01T00:00Z", "2026-03-06T00:00Z"},
	}
	for name, tc := range tests {
		c, err := window.Parse(tc.cron)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c.Next(at(t, tc.after)); !got.Equal(at(t, tc.want)) {
			t.Errorf("%s: %q after %s is %s, want %s", name, tc.cron, tc.after, got, tc.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 * ", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *", "0 0 31 feb *", "-1 * * * *"} {
		if _, err := window.Parse(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want Invalid", text, err)
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	nightly := policy.Window{Cron: "0 22 * * 1-5", Duration: policy.Duration(6 * time.Hour), Timezone: "Europe/Berlin"}
	noon := policy.Window{Cron: "0 12 * * *", Duration: policy.Duration(time.Hour)}
	tests := map[string]struct {
		windows []policy.Window
		now     string
		open    bool
		changes string
	}{
		"without windows":            {nil, "2026-03-02T10:00Z", true, ""},
		"before it, in Berlin":       {[]policy.Window{nightly}, "2026-03-02T20:59Z", false, "2026-03-02T21:00Z"},
		"it opens":                   {[]policy.Window{nightly}, "2026-03-02T21:00Z", true, "2026-03-03T03:00Z"},
		"past midnight":              {[]policy.Window{nightly}, "2026-03-03T02:59Z", true, "2026-03-03T03:00Z"},
		"it closes":                  {[]policy.Window{nightly}, "2026-03-03T03:00Z", false, "2026-03-03T21:00Z"},
		"summer time":                {[]policy.Window{nightly}, "2026-07-01T20:00Z", true, "2026-07-02T02:00Z"},
		"over the week-end":          {[]policy.Window{nightly}, "2026-03-07T12:00Z", false, "2026-03-09T21:00Z"},
		"the nearer of two":          {[]policy.Window{nightly, noon}, "2026-03-03T04:00Z", false, "2026-03-03T12:00Z"},
		"one of two, whatever order": {[]policy.Window{noon, nightly}, "2026-03-02T21:30Z", true, "2026-03-03T03:00Z"},
		"longer than its rhythm":     {[]policy.Window{{Cron: "0 * * * *", Duration: policy.Duration(90 * time.Minute)}}, "2026-03-02T10:45Z", true, "2026-03-02T11:30Z"},
	}
	for name, tc := range tests {
		got, err := window.At(tc.windows, at(t, tc.now), time.LoadLocation)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := time.Time{}
		if tc.changes != "" {
			want = at(t, tc.changes)
		}
		if got.Open != tc.open || !got.Changes.Equal(want) {
			t.Errorf("%s: open %v until %s, want %v until %s", name, got.Open, got.Changes, tc.open, want)
		}
	}
	for name, w := range map[string]policy.Window{
		"no duration": {Cron: "* * * * *"}, "no zone": {Cron: "* * * * *", Duration: 1, Timezone: "Mars/Olympus"}, "no cron": {Cron: "x", Duration: 1},
	} {
		if _, err := window.At([]policy.Window{w}, at(t, "2026-03-02T10:00Z"), time.LoadLocation); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

// At the moment that At names, and not before, the answer differs.
func TestAtProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := []policy.Window{{
			Cron:     rapid.SampledFrom([]string{"0 22 * * 1-5", "30 2 * * *", "*/30 1-3 * * sun", "0 0 1 * *"}).Draw(t, "cron"),
			Duration: policy.Duration(time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes")) * time.Minute),
			Timezone: rapid.SampledFrom([]string{"", "Europe/Berlin", "America/New_York", "Asia/Kolkata"}).Draw(t, "zone"),
		}}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(t, "at")) * time.Minute)
		a, err := window.At(w, now, time.LoadLocation)
		if err != nil || !a.Changes.After(now) {
			t.Fatalf("at %s: %+v, %v", now, a, err)
		}
		before, _ := window.At(w, a.Changes.Add(-time.Second), time.LoadLocation)
		if before.Open != a.Open {
			t.Fatalf("at %s: %+v, but just before it changes it is %+v", now, a, before)
		}
		if then, _ := window.At(w, a.Changes, time.LoadLocation); !a.Open && !then.Open {
			t.Fatalf("at %s: %+v, but then it is not open", now, a)
		} else if a.Open && then.Open && !then.Changes.After(a.Changes) {
			t.Fatalf("at %s: %+v, and then %+v", now, a, then)
		}
	})
}

// Last is what Next has come to.
func TestLastIsWhatNextHasComeTo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"}).Draw(t, "zone")
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		c, err := window.Parse(rapid.SampledFrom([]string{"*/15 * * * *", "0 22 * * 1-5", "30 2 * * *", "0,30 0,2,3 * * *", "*/20 1-3 * * sun", "0 0 1 * *", "15 0 * * *"}).Draw(t, "cron"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, loc).Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(t, "at")) * time.Minute)
		if rapid.Bool().Draw(t, "about a change of the clock") {
			day := rapid.SampledFrom([]time.Time{time.Date(2026, 3, 8, 0, 0, 0, 0, loc), time.Date(2026, 3, 29, 0, 0, 0, 0, loc), time.Date(2026, 4, 5, 0, 0, 0, 0, loc),
				time.Date(2026, 9, 6, 0, 0, 0, 0, loc), time.Date(2026, 10, 4, 0, 0, 0, 0, loc), time.Date(2026, 10, 25, 0, 0, 0, 0, loc), time.Date(2026, 11, 1, 0, 0, 0, 0, loc)}).Draw(t, "day")
			now = day.Add(time.Duration(rapid.IntRange(-60, 6*60).Draw(t, "minutes")) * time.Minute)
		}
		since := now.Add(-time.Duration(rapid.IntRange(1, 12*60).Draw(t, "back")) * time.Minute)
		var want time.Time
		for day := since.AddDate(0, 0, -1); day.Before(now.AddDate(0, 0, 1)); day = day.AddDate(0, 0, 1) { // the moments that Next can name, in whatever order
			from := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, loc).Add(-2 * time.Hour)
			for m := c.Next(from); !m.IsZero() && m.Before(from.Add(28*time.Hour)); m = c.Next(m) {
				if m.After(since) && !m.After(now) && m.After(want) {
					want = m
				}
			}
		}
		if got := c.Last(now, since); !got.Equal(want) {
			t.Fatalf("the last in (%s, %s] is %s, want %s", since, now, got, want)
		}
	})
}

// A window that opens each minute for a year is read as fast as any: the scheduler asks for each stack with a rollout, and any generator
// may write one.
func TestALongWindowIsReadAtOnce(t *testing.T) {
	t.Parallel()
	w := []policy.Window{{Cron: "* * * * *", Duration: policy.Duration(366 * 24 * time.Hour), Timezone: "Europe/Berlin"}}
	now := at(t, "2026-07-01T12:00Z")
	began := time.Now()
	for range 500 {
		if o, err := window.At(w, now, time.LoadLocation); err != nil || !o.Open || !o.Changes.Equal(now.Add(366*24*time.Hour)) {
			t.Fatalf("open %v until %s, %v", o.Open, o.Changes, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Fatalf("it took %s", took)
		}
	}
}
