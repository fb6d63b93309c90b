package healthrule_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/colliery-io/brokkr/pkg/adapters/cel/healthrule"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

func database(status map[string]any) map[string]any {
	return map[string]any{"apiVersion": "example.com/v1", "kind": "Database", "spec": map[string]any{"replicas": int64(3)}, "status": status}
}

func TestWhatRulesSay(t *testing.T) {
	t.Parallel()
	conditions := func(status, message string) map[string]any {
		return map[string]any{"conditions": []any{
			map[string]any{"type": "Backup", "status": "True"},
			map[string]any{"type": "Ready", "status": status, "message": message},
		}}
	}
	const ready = `object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True') ? 'healthy' :
		'failing: ' + object.status.conditions.filter(c, c.type == 'Ready')[0].message`
	const phase = "object.?status.?phase.orValue('') == 'Ready' ? 'healthy' : 'progressing'"
	for name, tc := range map[string]struct {
		rule   string
		object map[string]any
		health delivery.Health
		why    string
		fails  string
	}{
		"ready":                         {rule: ready, object: database(conditions("True", "")), health: delivery.HealthHealthy},
		"not ready, and why":            {rule: ready, object: database(conditions("False", "no: disk")), health: delivery.HealthFailing, why: "no: disk"},
		"no conditions yet":             {rule: ready, object: database(nil), health: delivery.HealthUnknown, fails: "no such key: conditions"},
		"a phase":                       {rule: phase, object: database(map[string]any{"phase": "Ready"}), health: delivery.HealthHealthy},
		"another phase":                 {rule: phase, object: database(map[string]any{"phase": "Starting"}), health: delivery.HealthProgressing},
		"no phase, which is foreseen":   {rule: phase, object: map[string]any{}, health: delivery.HealthProgressing},
		"numbers are compared":          {rule: "object.status.ready < object.spec.replicas ? 'degraded:few' : 'healthy'", object: database(map[string]any{"ready": int64(2)}), health: delivery.HealthDegraded, why: "few"},
		"of another type":               {rule: "object.status.ready < object.spec.replicas ? 'degraded' : 'healthy'", object: database(map[string]any{"ready": "two"}), health: delivery.HealthUnknown, fails: "no such overload"},
		"no text":                       {rule: "object.status", object: database(map[string]any{"a": "b"}), health: delivery.HealthUnknown, fails: "not a text"},
		"the object's own word":         {rule: "object.status.phase", object: database(map[string]any{"phase": "Ready"}), health: delivery.HealthUnknown, fails: `"Ready", which does not begin with healthy`},
		"put together":                  {rule: "object.status.ready == object.spec.replicas ? 'healthy' : 'degraded: %d of %d: %s'.format([object.status.ready, object.spec.replicas, ['a', 'b'].join(', ')]).replace('b', 'x')", object: database(map[string]any{"ready": int64(2)}), health: delivery.HealthDegraded, why: "2 of 3: a, x"},
		"looked for":                    {rule: "'b' in ['a', object.status.of] && 'status' in object && object.status != null && object.status.of in ['b', 'c'] && [object.spec] == [{'replicas': 3}] ? 'healthy' : 'failing'", object: database(map[string]any{"of": "b"}), health: delivery.HealthHealthy},
		"looked for in vain":            {rule: "object.status.of in ['b', 'c'] || 'b' in object.status || object.spec == object.status ? 'healthy' : 'failing: no'", object: database(map[string]any{"of": "d"}), health: delivery.HealthFailing, why: "no"},
		"the object's word is a health": {rule: "object.status.phase", object: database(map[string]any{"phase": "unknown: lost"}), health: delivery.HealthUnknown, why: "lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := healthrule.New().Compile(tc.rule)
			if err != nil {
				t.Fatal(err)
			}
			h, why, err := r.Health(tc.object)
			if h != tc.health || why != tc.why || (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("got %s %q %v, want %s %q %q", h, why, err, tc.health, tc.why, tc.fails)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	c := healthrule.New()
	for expression, want := range map[string]string{
		"object.status.":                         "1:15: Syntax error",
		"'healthy'\n+ statsu":                    "2:3: undeclared reference to 'statsu'",
		"object.status.ready == 3":               "of type bool, not a text",
		"'fine'":                                 `1:1: it gives "fine"`,
		"object.a == 1 ? 'healthy' : 'fails: x'": `1:29: it gives "fails: x"`,
		"object.a == 1 ? 'healthy' : object.b == 2 ? 'progressing' : 'Failing'":                           `it gives "Failing"`,
		"object.a.all(x, object.b.all(y, object.c.all(z, x + y != z))) ? 'healthy' : 'failing'":           "may cost",
		"object.a.map(x, object.b.map(y, object.a.map(z, x + y + z))).size() > 3 ? 'healthy' : 'failing'": "may cost",
	} {
		if err := c.Check(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", expression, err, want)
		}
	}
}

// The estimate rests on sizes that an object may exceed; then the rule is stopped, and the object's health is unknown.
func TestARuleThatRunsTooLongIsStopped(t *testing.T) {
	t.Parallel()
	r, err := healthrule.New().Compile("object.spec.all(x, x != 'a') ? 'healthy' : 'failing'")
	if err != nil {
		t.Fatal(err)
	}
	big := make([]any, 200_000)
	for i := range big {
		big[i] = "b"
	}
	h, _, err := r.Health(map[string]any{"spec": big})
	if h != delivery.HealthUnknown || err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("got %s, %v", h, err)
	}
}

// What one call makes of a few large texts or of lists that have each other in them may be without end: it is weighed before it is made.
func TestARuleMakesNothingLarge(t *testing.T) {
	t.Parallel()
	again := func(start, step, end string) string {
		return "[" + start + "]" + strings.Repeat(".map(x, "+step+")", 40) + end + " ? 'healthy' : 'failing'"
	}
	const text, list = "object.spec.text", "object.spec.list"
	object := map[string]any{"spec": map[string]any{"text": strings.Repeat("a", 1_000_000), "list": make([]any, 5000), "none": nil}}
	for name, expression := range map[string]string{
		"every letter replaced by all":  text + ".replace('a', " + text + ")",
		"between all letters":           text + ".replace('', " + text + ", 500000)",
		"a little larger at each step":  "'healthyaaa'" + strings.Repeat(".replace('a', 'aaaaaaaaaa')", 12),
		"joined with large texts":       list + ".map(x, 'a').join(" + text + ")",
		"formatted":                     "'%s%s%s%s'.format([" + text + ", " + text + ", " + text + ", " + text + "])",
		"quoted":                        list + ".map(x, strings.quote(" + text + "))[0]",
		"texts doubled":                 again(text, "x + x", ".exists(x, x == '')"),
		"lists doubled, and looked in":  again(list, "x + x", ".exists(x, 2 in x)"),
		"lists in lists, and compared":  again("object", "[x, x]", ".exists(x, x == x)"),
		"maps in maps, and compared":    again("object", "{'a': x, 'b': x}", ".exists(x, x != x)"),
		"lists in lists, and looked in": again("object", "[x, x]", ".exists(x, x in [x])"),
		"lists in lists, as a text":     strings.TrimSuffix(again("object", "[x, x]", ""), " ? 'healthy' : 'failing'") + "[0]",
		"all of it as text":             "'%s'.format(" + strings.TrimSuffix(again("object", "[x, x]", ""), " ? 'healthy' : 'failing'") + ")",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := healthrule.New().Compile(expression)
			if err != nil {
				t.Logf("refused at once: %v", err)
				return
			}
			h, why, err := r.Health(object)
			if h != delivery.HealthUnknown || err == nil || len(err.Error()) > 500 {
				t.Errorf("got %s, %.100s, %.200v; want it stopped", h, why, err)
			}
		})
	}
}

func TestWhatIsSaidIsShort(t *testing.T) {
	t.Parallel()
	r, err := healthrule.New().Compile("object.status.phase")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", 40_000)
	if h, why, err := r.Health(database(map[string]any{"phase": "failing: " + long})); h != delivery.HealthFailing || err != nil || len(why) > 1000 || !strings.HasPrefix(why, "üüü") || !utf8.ValidString(why) {
		t.Errorf("a long reason: %s, %d bytes, %v", h, len(why), err)
	}
	if h, _, err := r.Health(database(map[string]any{"phase": long})); h != delivery.HealthUnknown || err == nil || len(err.Error()) > 1000 {
		t.Errorf("a long text that is no health: %s, %.200v", h, err)
	}
}

func TestRulesAreCompiledOnce(t *testing.T) {
	t.Parallel()
	c := healthrule.New()
	a, err := c.Compile("object.status.phase")
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Compile("object.status.phase")
	if err != nil || a != b {
		t.Errorf("the same expression is another rule: %p, %p, %v", a, b, err)
	}
}
