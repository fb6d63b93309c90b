package tera_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/tera"
)

// hostile are templates that want everything. Each ends by itself at a limit, soon, and takes little.
func hostile() map[string]string {
	double := strings.Repeat("{% set a = a ~ a %}", 200)
	return map[string]string{
		"a range of a billion":             "{% for i in range(end=1000000000) %}x{% endfor %}",
		"the longest range":                "{% for i in range(start=-9223372036854775807, end=9223372036854775807) %}x{% endfor %}",
		"nested loops":                     strings.Repeat("{% for i in range(end=1000) %}", 6) + "x" + strings.Repeat("{% endfor %}", 6),
		"nested loops that write nothing":  strings.Repeat("{% for i in range(end=1000) %}", 6) + strings.Repeat("{% endfor %}", 6),
		"a string that doubles":            "{% set a = 'xxxxxxxxxxxxxxxx' %}" + double + "{{ a }}",
		"a string that grows in a loop":    "{% set a = 'x' %}{% for i in range(end=100000) %}{% set_global a = a ~ a %}{% endfor %}",
		"a string that grows slowly":       "{% set a = 'x' %}{% for i in range(end=1000000) %}{% set_global a = a ~ 'xxxxxxxx' %}{% endfor %}",
		"a list that doubles":              "{% set a = [1] %}" + strings.ReplaceAll(double, "a ~ a", "a | concat(with=a)"),
		"a list of itself, printed":        "{% set a = ['x'] %}" + strings.ReplaceAll(double[:19*40], "a ~ a", "[a, a]") + "{{ a }}",
		"a list of itself, compared":       "{% set a = ['x'] %}{% set b = ['x'] %}" + strings.Repeat("{% set a = [a, a] %}{% set b = [b, b] %}", 40) + "{{ a == b }}",
		"a list of itself, as JSON":        "{% set a = ['x'] %}" + strings.ReplaceAll(double[:19*40], "a ~ a", "[a, a]") + "{{ a | json_encode }}",
		"a list of itself, as pretty JSON": "{% set a = ['x'] %}" + strings.ReplaceAll(double[:19*40], "a ~ a", "[a, a]") + "{{ a | json_encode(pretty=true) }}",
		"a list that is very deep":         "{% set a = [] %}{% for i in range(end=100000) %}{% set_global a = [a] %}{% endfor %}{{ a }}",
		"replace that multiplies":          "{% set a = 'xxxxxxxxxx' %}" + strings.Repeat("{% set a = a | replace(from='x', to='xxxxxxxxxx') %}", 20),
		"replace of nothing":               "{% set a = 'xxxxxxxxxx' %}" + strings.Repeat("{% set a = a | replace(from='', to=a) %}", 20),
		"indent that multiplies":           "{% set p = 'x' %}" + strings.ReplaceAll(double[:19*20], "a", "p") + "{% set a = 'a\nb\nc\nd' | indent(prefix=p) | indent(prefix=p) %}" + strings.Repeat("{% set a = a | replace(from='x', to='\n') | indent(prefix=p) %}", 4),
		"escape that multiplies":           "{% set a = '&' %}" + double[:19*20] + strings.Repeat("{% set a = a | escape %}", 20),
		"split into millions":              "{% set a = 'x' %}" + double[:19*24] + "{{ a | split(pat='') | length }}",
		"join of long separators":          "{% set a = 'x' %}" + double[:19*20] + "{{ range(end=1000) | join(sep=a) }}",
		"a macro that never ends":          "{% macro m() %}{{ self::m() }}{% endmacro %}{{ self::m() }}",
		"two macros that never end":        "{% macro a() %}{{ self::b() }}{% endmacro %}{% macro b() %}{{ self::a() }}{% endmacro %}{{ self::a() }}",
		"a macro that doubles":             "{% macro m(i) %}{% if i > 0 %}{{ self::m(i=i-1) }}{{ self::m(i=i-1) }}{% endif %}{% endmacro %}{{ self::m(i=31) }}",
		"a macro that doubles its text":    "{% macro m(i) %}{% if i > 0 %}{% set t = self::m(i=i-1) %}{{ t }}{{ t }}{% else %}xxxxxxxxxxxxxxxx{% endif %}{% endmacro %}{{ self::m(i=31) }}",
		"sections that capture each other": strings.Repeat("{% filter upper %}", 60) + "{% for i in range(end=100000) %}xxxxxxxxxxxxxxxx{% endfor %}" + strings.Repeat("{% endfilter %}", 60),
		"sort of the same again and again": "{% for i in range(end=100000) %}{% set a = range(end=1000) | reverse | sort %}{% endfor %}",
		"long strings compared":            "{% set a = 'x' %}{% set b = 'x' %}" + strings.Repeat("{% set a = a ~ a %}{% set b = b ~ b %}", 20) + "{% for i in range(end=1000000) %}{% if a == b or a < b %}x{% endif %}{% endfor %}",
		"a long string searched":           "{% set a = 'x' %}" + double[:19*22] + "{% for i in range(end=1000000) %}{% if 'xxxxxxxxy' in a %}x{% endif %}{% endfor %}",
		"a regular expression that swells": "{{ name is matching('((((a{100}){100}){100}){100})') }}",
		"a regular expression on much":     "{% set a = 'x' %}" + double[:19*22] + "{% for i in range(end=1000) %}{% if a is matching('(x+x+)+y') %}x{% endif %}{% endfor %}",
		"regular expressions compiled":     "{% for i in range(end=1000000) %}{% set p = 'x' ~ i ~ '{900}' %}{% if name is matching(p) %}x{% endif %}{% endfor %}",
		"output without end":               "{% for i in range(end=60000) %}{% for j in range(end=30) %}" + strings.Repeat("x", 4096) + "{% endfor %}{% endfor %}",
		"unique of long strings":           "{% set a = 'x' %}" + double[:19*20] + "{% for i in range(end=10000) %}{% set b = [a, a, a] | unique %}{% endfor %}",
		"a path into a path":               "{% for i in range(end=100000) %}{% set b = [1,2,3] | map(attribute='" + strings.Repeat("a.", 1000) + "') %}{% endfor %}",
		"many variables":                   "{% for i in range(end=500000) %}{% set_global a = range(end=1000) %}{% endfor %}",
	}
}

func TestHostileTemplatesEnd(t *testing.T) {
	t.Parallel()
	for reason, source := range hostile() {
		t.Run(reason, func(t *testing.T) {
			start := time.Now()
			tpl, err := tera.Parse(source, tera.DefaultLimits())
			if err == nil {
				_, err = tpl.Render(t.Context(), params())
			}
			var e *tera.Error
			if !errors.As(err, &e) || e.Kind == tera.Failed {
				t.Errorf("got %v, want an end at a limit", err)
			}
			if took := time.Since(start); took > 20*time.Second { // a machine that does ten other things
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Limits bound what stays in memory: the worst of the templates above may keep no more than they are allowed to make.
func TestHostileTemplatesStaySmall(t *testing.T) {
	var before, after runtime.MemStats
	for reason, source := range hostile() {
		tpl, err := tera.Parse(source, tera.DefaultLimits())
		if err != nil {
			continue
		}
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err = tpl.Render(t.Context(), params())
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: it ended well", reason)
		}
		// Steps make small things too (frames of loops, boxed numbers); what lives at once is far below all that was made.
		if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 2048 {
			t.Errorf("%s: %d MiB were made", reason, made)
		}
		if grown := int64(after.Sys-before.Sys) >> 20; grown > 512 {
			t.Errorf("%s: the process grew by %d MiB", reason, grown)
		}
	}
}

// A render whose context ends stops where it is, on its caller's goroutine: nothing is left behind.
func TestRenderStops(t *testing.T) {
	t.Parallel()
	l := tera.DefaultLimits()
	l.Steps, l.Memory = 1<<60, 1<<60
	for reason, source := range map[string]string{
		"a loop":         "{% for i in range(end=100000) %}{% for j in range(end=100000) %}{% endfor %}{% endfor %}",
		"a macro":        "{% macro m(i) %}{% if i > 0 %}{{ self::m(i=i-1) }}{{ self::m(i=i-1) }}{% endif %}{% endmacro %}{{ self::m(i=31) }}",
		"a sort":         "{% for i in range(end=100000) %}{% set a = range(end=1000) | reverse | sort %}{% endfor %}",
		"a big value":    "{% set a = ['x'] %}" + strings.Repeat("{% set a = [a, a] %}", 40) + "{% set b = a | json_encode | length %}",
		"an equal value": "{% set a = ['x'] %}{% set b = ['x'] %}" + strings.Repeat("{% set a = [a, a] %}{% set b = [b, b] %}", 40) + "{{ a == b }}",
	} {
		tpl, err := tera.Parse(source, l)
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err = tpl.Render(ctx, params())
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want the deadline", reason, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tpl, err := tera.Parse("x", l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpl.Render(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestTemplateOfManyBytes(t *testing.T) {
	t.Parallel()
	_, err := tera.Parse(strings.Repeat("x", 256<<10+1), tera.DefaultLimits())
	var e *tera.Error
	if !errors.As(err, &e) || e.Kind != tera.TooMuch {
		t.Errorf("got %v, want too much", err)
	}
	// The largest that is allowed is read quickly, whatever is in it.
	for _, part := range []string{"{{a}}", "{%if a%}{%endif%}", "{#", "{%raw%}", "{%raw%}{%endraw%}", "{{", "{% for", "(", "'", "{{1+1}}", "{%set a=1%}"} {
		_, err := tera.Parse(strings.Repeat(part, 256<<10/len(part)), tera.DefaultLimits())
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, source := range hostile() {
		f.Add(source)
	}
	for i, source := range []string{
		"{% for k, v in map %}{{ k }}: {{ v | json_encode(pretty=true) }}{% else %}-{% endfor %}", "{{- a.b[c]['d'].0 | default(value=[1,2.5,'x']) -}}",
		"{% if a and not b or c in [1] %}{% elif x is not defined %}{% else %}{% endif %}", "{% raw %}{{ {% endraw %}{# c #}",
		"{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro m %}{{ self::m(a=1) | upper | truncate(length=1) }}",
		"{% filter indent(prefix='- ') %}a\nb{% endfilter %}{% set x = 1 + 2 * -3 / 4 % 5 %}{{ x }}",
	} {
		f.Add(fmt.Sprintf("%d%s", i, source))
	}
	l := tera.DefaultLimits()
	l.Steps, l.Memory, l.Output = 20_000, 1<<20, 1<<20 // so that many are tried in a second
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := tera.Parse(source, l)
		var e *tera.Error
		if err != nil {
			if !errors.As(err, &e) || e.Kind == tera.Failed || e.Message == "" {
				t.Fatalf("parsing failed with %v", err)
			}
			return
		}
		text, err := tpl.Render(t.Context(), params())
		if err != nil {
			if !errors.As(err, &e) || e.Kind == tera.Syntax || e.Message == "" {
				t.Fatalf("rendering failed with %v", err)
			}
			return
		}
		if len(text) > l.Output {
			t.Fatalf("%d bytes were written", len(text))
		}
		if again, err := tpl.Render(t.Context(), params()); err != nil || again != text {
			t.Fatalf("it was %q, and then %q, %v", text, again, err)
		}
	})
}
