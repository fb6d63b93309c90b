package webhook_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/event"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

func at() time.Time { return time.Date(2026, 8, 2, 18, 36, 49, 123456000, time.UTC) }

func subscription(change func(*webhook.Subscription)) webhook.Subscription {
	s := webhook.Subscription{Name: "s", EventTypes: []string{"*"}, Enabled: true, MaxRetries: 5, Timeout: 30 * time.Second, CreatedAt: at()}
	if change != nil {
		change(&s)
	}
	return s
}

func TestCheckSubscription(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*webhook.Subscription)
		kind   fault.Kind
		says   string
	}{
		"Good":             {nil, 0, ""},
		"Family":           {func(s *webhook.Subscription) { s.EventTypes = []string{"deployment.*", "agent.registered"} }, 0, ""},
		"NoName":           {func(s *webhook.Subscription) { s.Name = " " }, fault.Invalid, "name"},
		"NoTypes":          {func(s *webhook.Subscription) { s.EventTypes = nil }, fault.Invalid, "event_types is empty"},
		"UnknownType":      {func(s *webhook.Subscription) { s.EventTypes = []string{"stack.created", "stack.create"} }, fault.Invalid, `"stack.create"`},
		"UnknownFamily":    {func(s *webhook.Subscription) { s.EventTypes = []string{"pod.*"} }, fault.Invalid, `"pod.*"`},
		"HalfAFamily":      {func(s *webhook.Subscription) { s.EventTypes = []string{"sta*"} }, fault.Invalid, `"sta*"`},
		"InsideType":       {func(s *webhook.Subscription) { s.EventTypes = []string{"agent.changed"} }, fault.Invalid, "agent.changed"},
		"TestType":         {func(s *webhook.Subscription) { s.EventTypes = []string{"webhook.test"} }, fault.Invalid, "webhook.test"},
		"BadLabel":         {func(s *webhook.Subscription) { s.TargetLabels = []string{"a b"} }, fault.Invalid, `"a b"`},
		"NegativeRetries":  {func(s *webhook.Subscription) { s.MaxRetries = -1 }, fault.Refused, "max_retries is -1"},
		"TooManyRetries":   {func(s *webhook.Subscription) { s.MaxRetries = 101 }, fault.Refused, "max_retries is 101"},
		"NoTimeout":        {func(s *webhook.Subscription) { s.Timeout = 0 }, fault.Refused, "timeout_seconds is 0"},
		"TooLongATimeout":  {func(s *webhook.Subscription) { s.Timeout = 301 * time.Second }, fault.Refused, "timeout_seconds is 301"},
		"TooManyTypes":     {func(s *webhook.Subscription) { s.EventTypes = make([]string, 65) }, fault.Invalid, "more than 64"},
		"TooManyLabels":    {func(s *webhook.Subscription) { s.TargetLabels = make([]string, 65) }, fault.Invalid, "more than 64"},
		"LongestAndNoMore": {func(s *webhook.Subscription) { s.MaxRetries, s.Timeout = 0, 300*time.Second }, 0, ""},
	} {
		err := subscription(tt.change).Check()
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !fault.Is(err, tt.kind) || fault.CodeOf(err) != "invalid_webhook" || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v (%s), want %s that says %q", name, err, fault.KindOf(err), tt.kind, tt.says)
		}
	}
}

func TestCheckTarget(t *testing.T) {
	t.Parallel()
	good := webhook.Target{URL: "https://hooks.example.com/x", AuthHeader: "Bearer y", Secret: "0123456789abcdef"}
	for name, tt := range map[string]struct {
		change func(*webhook.Target)
		code   string
	}{
		"Good":          {func(*webhook.Target) {}, ""},
		"UpperCase":     {func(t *webhook.Target) { t.URL = "HTTP://x" }, ""},
		"NoURL":         {func(t *webhook.Target) { t.URL = " " }, "url_required"},
		"FTP":           {func(t *webhook.Target) { t.URL = "ftp://x" }, "invalid_url_scheme"},
		"NoScheme":      {func(t *webhook.Target) { t.URL = "example.com/x" }, "invalid_url_scheme"},
		"LongURL":       {func(t *webhook.Target) { t.URL = "http://" + strings.Repeat("x", 4096) }, "invalid_webhook"},
		"HeaderInject":  {func(t *webhook.Target) { t.AuthHeader = "a\r\nX-Evil: 1" }, "invalid_webhook"},
		"LongHeader":    {func(t *webhook.Target) { t.AuthHeader = strings.Repeat("x", 8193) }, "invalid_webhook"},
		"ShortSecret":   {func(t *webhook.Target) { t.Secret = "short" }, "invalid_webhook"},
		"LongSecret":    {func(t *webhook.Target) { t.Secret = strings.Repeat("x", 257) }, "invalid_webhook"},
		"SecretControl": {func(t *webhook.Target) { t.Secret = "0123456789abcdef\n" }, "invalid_webhook"},
	} {
		target := good
		tt.change(&target)
		err := target.Check()
		if (err == nil) != (tt.code == "") || (err != nil && fault.CodeOf(err) != tt.code) {
			t.Errorf("%s: got %v, want code %q", name, err, tt.code)
		}
		if err != nil && (strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), target.Secret)) {
			t.Errorf("%s: the message shows the secret: %v", name, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", good, good, good, good); strings.Contains(s, "example") || strings.Contains(s, "0123") {
		t.Errorf("a target prints as %s", s)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	happened := event.Event{ID: "e", Type: "deployment.applied", At: at().Add(time.Second), Data: map[string]any{"agent_id": "a", "stack_id": "s", "message": nil}}
	for name, tt := range map[string]struct {
		change func(*webhook.Subscription)
		event  func(*event.Event)
		want   bool
	}{
		"All":              {nil, nil, true},
		"Exact":            {func(s *webhook.Subscription) { s.EventTypes = []string{"stack.created", "deployment.applied"} }, nil, true},
		"Family":           {func(s *webhook.Subscription) { s.EventTypes = []string{"deployment.*"} }, nil, true},
		"AnotherFamily":    {func(s *webhook.Subscription) { s.EventTypes = []string{"agent.*", "stack.*"} }, nil, false},
		"Prefix":           {func(s *webhook.Subscription) { s.EventTypes = []string{"deployment.app"} }, nil, false},
		"Disabled":         {func(s *webhook.Subscription) { s.Enabled = false }, nil, false},
		"Before":           {nil, func(e *event.Event) { e.At = at().Add(-time.Microsecond) }, false},
		"AtTheSameMoment":  {nil, func(e *event.Event) { e.At = at() }, true},
		"Inside":           {nil, func(e *event.Event) { e.Type = event.PlacementDecided }, false},
		"Agent":            {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{Agent: "a"} }, nil, true},
		"AnotherAgent":     {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{Agent: "b"} }, nil, false},
		"Both":             {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{Agent: "a", Stack: "s"} }, nil, true},
		"OneOfBoth":        {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{Agent: "a", Stack: "t"} }, nil, false},
		"WithoutTheField":  {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{Stack: "s"} }, func(e *event.Event) { e.Data = map[string]any{} }, false},
		"NullIsNoValue":    {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{Stack: "s"} }, func(e *event.Event) { e.Data = map[string]any{"stack_id": nil} }, false},
		"FiltersOfNothing": {func(s *webhook.Subscription) { s.Filters = &webhook.Filters{} }, nil, true},
	} {
		e := happened
		if tt.event != nil {
			tt.event(&e)
		}
		if got := subscription(tt.change).Matches(e); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestEveryEventTypeCanBeSubscribedTo(t *testing.T) {
	t.Parallel()
	seen := map[event.Type]bool{}
	for _, typ := range webhook.EventTypes() {
		s := subscription(func(s *webhook.Subscription) { s.EventTypes = []string{string(typ)} })
		if err := s.Check(); err != nil || seen[typ] || !s.Matches(event.Event{Type: typ, At: at()}) {
			t.Errorf("%s: %v, twice %v, or not matched", typ, err, seen[typ])
		}
		seen[typ] = true
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	final := map[webhook.Status]bool{webhook.Success: true, webhook.Dead: true}
	for _, s := range webhook.Statuses() {
		if got, err := webhook.ParseStatus(string(s)); err != nil || got != s || s.Final() != final[s] {
			t.Errorf("%s: got %s, %v, final %v", s, got, err, s.Final())
		}
	}
	if _, err := webhook.ParseStatus("gone"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown status: %v, want Invalid", err)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	got, err := webhook.Body(event.Event{ID: "e1", Type: "stack.deleted", At: at(), Seq: 7, Traceparent: "x", Data: map[string]any{"stack_id": "s", "deleted_at": at()}})
	want := `{"id":"e1","event_type":"stack.deleted","timestamp":"2026-08-02T18:36:49.123456Z","data":{"deleted_at":"2026-08-02T18:36:49.123456Z","stack_id":"s"}}`
	if err != nil || got != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	empty, err := webhook.Body(event.Event{ID: "e2", Type: "stack.deleted", At: at()})
	var back map[string]any
	if err != nil || json.Unmarshal([]byte(empty), &back) != nil || back["data"] == nil {
		t.Errorf("got %s, %v, want data that are not null", empty, err)
	}
}

// The value was computed by another implementation: printf '%s' '1754159809.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
func TestSign(t *testing.T) {
	t.Parallel()
	when := time.Unix(1754159809, 999)
	const want = "t=1754159809,v1=30ceefe89d2ad5ae37f57df01d3bb32477e79fa8716d0294ba8f229cef6a1084"
	if got := webhook.Sign("0123456789abcdef", when, `{"a":1}`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		attempts int
		outcome  webhook.Outcome
		status   webhook.Status
		text     string
	}{
		"Success":        {1, webhook.Outcome{Success: true, StatusCode: 204}, webhook.Success, ""},
		"LateSuccess":    {9, webhook.Outcome{Success: true}, webhook.Success, ""},
		"First":          {1, webhook.Outcome{StatusCode: 503}, webhook.Failed, "the receiver answered 503"},
		"LastButOne":     {2, webhook.Outcome{Error: "refused"}, webhook.Failed, "refused"},
		"Last":           {3, webhook.Outcome{}, webhook.Dead, "the attempt failed"},
		"AfterTheLast":   {4, webhook.Outcome{Error: "x"}, webhook.Dead, "x"},
		"LongIsShort":    {3, webhook.Outcome{Error: strings.Repeat("é", 1000)}, webhook.Dead, strings.Repeat("é", 512)},
		"CutInTheMiddle": {3, webhook.Outcome{Error: "x" + strings.Repeat("é", 1000)}, webhook.Dead, "x" + strings.Repeat("é", 511)},
	} {
		got := webhook.Settle("d", tt.attempts, 2, tt.outcome, at(), 0.5)
		text := ""
		if got.Error != nil {
			text = *got.Error
		}
		if got.ID != "d" || got.Attempt != tt.attempts || got.Status != tt.status || text != tt.text || (got.RetryAt != nil) != (tt.status == webhook.Failed) {
			t.Errorf("%s: got %+v (%s)", name, got, text)
		}
		if got.RetryAt != nil && !got.RetryAt.Equal(at().Add(webhook.Backoff(tt.attempts, 0.5))) {
			t.Errorf("%s: retry at %s", name, got.RetryAt)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{1: 2 * time.Second, 2: 8 * time.Second, 3: 32 * time.Second, 4: 128 * time.Second, 5: 512 * time.Second, 6: 2048 * time.Second, 7: time.Hour, 100: time.Hour} {
		if got := webhook.Backoff(attempts, 0.5); got != want {
			t.Errorf("after %d: %s, want %s", attempts, got, want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		n, jitter := rapid.IntRange(1, 200).Draw(rt, "attempts"), rapid.Float64Range(0, 0.999).Draw(rt, "jitter")
		got, middle := webhook.Backoff(n, jitter), webhook.Backoff(n, 0.5)
		if got < middle*3/4 || got > middle*5/4 {
			rt.Fatalf("%s is farther than a quarter from %s", got, middle)
		}
		if webhook.Backoff(n+1, 0.5) < middle {
			rt.Fatal("a later retry waits less")
		}
	})
}

func TestRequestOfACall(t *testing.T) {
	t.Parallel()
	c := webhook.Call{Delivery: webhook.Delivery{ID: "d", EventType: "stack.created", Payload: "{}"}, Target: webhook.Target{URL: "http://x", AuthHeader: "a", Secret: "s"}, Timeout: time.Second}
	want := webhook.Request{URL: "http://x", AuthHeader: "a", EventType: "stack.created", DeliveryID: "d", Signature: webhook.Sign("s", at(), "{}"), Body: "{}", Timeout: time.Second}
	if got := c.Request(at()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
