package observation_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
)

const (
	me    = "11111111-1111-4111-8111-111111111111"
	other = "22222222-2222-4222-8222-222222222222"
	web   = "33333333-3333-4333-8333-333333333333"
)

func TestCheckMakesEverythingTheAgentsOwn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := observation.Parcel{
		Agent:  me,
		Events: []observation.Event{{Agent: other, Stack: web, ObservedAt: now.Add(time.Hour), Message: strings.Repeat("x", observation.MaxMessage+1)}},
		Lines:  []observation.Line{{Agent: other, Stack: web, Text: strings.Repeat("é", observation.MaxLine)}},
		Gaps:   []observation.Gap{{Agent: other, Stack: web, Since: now.Add(-time.Minute), Dropped: 3, Reason: observation.GapRateLimit}},
	}
	if err := p.Check(now); err != nil {
		t.Fatal(err)
	}
	want := observation.Parcel{
		Agent:  me,
		Events: []observation.Event{{Agent: me, Stack: web, ObservedAt: now, Message: strings.Repeat("x", observation.MaxMessage)}},
		Lines:  []observation.Line{{Agent: me, Stack: web, At: now, Text: strings.Repeat("é", observation.MaxLine/2)}},
		Gaps:   []observation.Gap{{Agent: me, Stack: web, Since: now.Add(-time.Minute), Dropped: 3, Reason: observation.GapRateLimit}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("want (-) got (+):\n%s", diff)
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]observation.Parcel{
		"a number without a process": {Seq: 1},
		"a process without a number": {Boot: me},
		"a process that is no UUID":  {Boot: "x", Seq: 1},
		"an event of no stack":       {Events: []observation.Event{{}}},
		"a line of no stack":         {Lines: []observation.Line{{Stack: "web"}}},
		"a gap of no stack":          {Gaps: []observation.Gap{{Reason: observation.GapRateLimit}}},
		"a gap without a reason":     {Gaps: []observation.Gap{{Stack: web, Reason: "bored"}}},
		"a gap of less than nothing": {Gaps: []observation.Gap{{Stack: web, Reason: observation.GapRateLimit, Dropped: -1}}},
		"too much":                   {Lines: make([]observation.Line, observation.MaxItems+1)},
	} {
		if err := p.Check(time.Now()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func TestCutTextsStayText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 2*observation.MaxMessage, 3*observation.MaxMessage).Draw(t, "text")
		p := observation.Parcel{Agent: me, Events: []observation.Event{{Stack: web, Message: text}}}
		if err := p.Check(time.Now()); err != nil {
			t.Fatal(err)
		}
		got := p.Events[0].Message
		if len(got) > observation.MaxMessage || !strings.HasPrefix(text, got) || !utf8.ValidString(got) {
			t.Fatalf("%d bytes became %d bytes that are no beginning of it in whole characters", len(text), len(got))
		}
	})
}

func TestGapReasons(t *testing.T) {
	t.Parallel()
	for _, r := range observation.GapReasons() {
		if !r.Valid() {
			t.Errorf("%s is not valid", r)
		}
	}
	if observation.GapReason("").Valid() {
		t.Error("no reason is valid")
	}
}
