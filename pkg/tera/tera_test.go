package tera_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/tera"
)

func params() map[string]any {
	return map[string]any{
		"name": "web", "n": int64(3), "half": 0.5, "whole": 2.0, "on": true, "off": false, "none": nil, "empty": []any{},
		"list":  []any{"b", "a", "c"},
		"nums":  []any{int64(3), int64(1), int64(2)},
		"ports": []any{map[string]any{"name": "http", "port": int64(80)}, map[string]any{"name": "admin", "port": int64(9000)}, map[string]any{"name": "http", "port": int64(81)}},
		"map":   map[string]any{"z": int64(1), "a": map[string]any{"deep": "er"}, "k.x": "dotted"},
		"text":  "line one\nline two\n\nline four", "markup": `<a href="x">it's & more</a>`, "key": "z", "uni": "größe 東京",
	}
}

func render(t *testing.T, source string) (string, error) {
	t.Helper()
	tpl, err := tera.Parse(source, tera.DefaultLimits())
	if err != nil {
		return "", err
	}
	return tpl.Render(t.Context(), params())
}

func TestRender(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"plain text":                        "plain text",
		"":                                  "",
		"a { b } {c":                        "a { b } {c",
		"{{ name }}":                        "web",
		"{{name}}-{{ n }}":                  "web-3",
		"{{ half }} {{ whole }} {{ 1.50 }}": "0.5 2 1.5",
		"{{ on }} {{ off }} [{{ none }}]":   "true false []",
		"{{ list }} {{ map }}":              "[b, a, c] [object]",
		"{{ map.a.deep }} {{ map['a'].deep }} {{ map[\"k.x\"] }} {{ map[key] }}": "er er dotted 1",
		"{{ list.0 }} {{ list[1] }} {{ ports.1.port }} {{ list[n - 1] }}":        "b a 9000 c",
		// Arithmetic, and what binds how.
		"{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 % 4 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 1 - -2 }}": "7 9 3 3.5 2 3",
		"{{ 1 + 1.6 | round }} {{ list | length + 1 }}":                                      "3 4",
		"{{ 9223372036854775807 }} {{ -n }} {{ n - 5 }}":                                     "9223372036854775807 -3 -2",
		"{{ 'a' ~ n ~ \"b\" }} {{ name ~ '-' ~ n | upper }}":                                 "a3b WEB-3",
		// Conditions.
		"{% if name == 'web' and n > 2 %}y{% else %}n{% endif %}":                                     "y",
		"{% if nothing %}y{% elif not off %}elif{% else %}n{% endif %}":                               "elif",
		"{% if nothing.at.all or empty %}y{% else %}n{% endif %}":                                     "n",
		"{% if 'a' in list and 'x' not in list and 'eb' in name and 'z' in map %}y{% endif %}":        "y",
		"{{ n is odd }} {{ n is not odd }} {{ nothing is defined }} {{ map.a.deep is defined }}":      "true false false true",
		"{{ n is divisibleby(3) }} {{ name is starting_with('w') }} {{ name is matching('^w.b$') }}":  "true true true",
		"{{ list is iterable }} {{ map is object }} {{ name is string }} {{ n is number }}":           "true true true true",
		"{{ list is containing('a') }} {{ name is ending_with('b') }} {{ nothing is undefined }}":     "true true true",
		"{{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ [1, 'x'] == [1, 'x'] }} {{ 2 >= 3 }} {{ map.a != map.z }}": "true true true false true",
		"{{ on and not off }} {{ n or off }}":                                                         "true true",
		// Loops.
		"{% for x in list %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}":                                      "1b,2a,3c",
		"{% for k, v in map %}{{ k }} {% endfor %}":                                                                                     "a k.x z ",
		"{% for x in empty %}x{% else %}nothing{% endfor %}":                                                                            "nothing",
		"{% for x in nums %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index0 == 2 %}{% break %}{% endif %}{% endfor %}": "32",
		"{% for c in 'äb' %}[{{ c }}]{% endfor %}":                                                                                      "[ä][b]",
		"{% for i in range(end=3) %}{{ i }}{% endfor %}{{ range(start=2, end=9, step_by=3) }}":                                          "012[2, 5, 8]",
		"{% for x in list | sort | reverse %}{{ x }}{% endfor %}":                                                                       "cba",
		"{% for a in nums %}{% for b in nums %}{% if loop.first %}{{ a }}{{ b }} {% endif %}{% endfor %}{% endfor %}":                   "33 13 23 ",
		// Variables.
		"{% set a = n + 1 %}{{ a }}": "4",
		"{% set a = 1 %}{% for x in list %}{% set a = 2 %}{% endfor %}{{ a }}":                 "1",
		"{% set a = 1 %}{% for x in list %}{% set_global a = loop.index %}{% endfor %}{{ a }}": "3",
		"{% if on %}{% set a = 'in' %}{% endif %}{{ a }}":                                      "in",
		"{% set name = 'mine' %}{{ name }}":                                                    "mine",
		// White space, comments, raw text.
		"a \n {%- if on -%} \n b \n {%- endif -%} \n c": "abc",
		"a {{- name -}} b {#- gone -#} c":               "awebbc",
		"{# {{ nothing }} #}x":                          "x",
		"{% raw %}{{ name }} {% if %}{% endraw %}!":     "{{ name }} {% if %}!",
		"a {%- raw -%} {{ x }} {%- endraw -%} b":        "a{{ x }}b",
		// Macros, sections, blocks.
		"{% macro hi(who, mark='!') %}hi {{ who }}{{ mark }}{% endmacro hi %}{{ self::hi(who=name) }} {{ self::hi(who='x', mark='?') | upper }}": "hi web! HI X?",
		"{% macro down(i) %}{{ i }}{% if i > 0 %}{{ self::down(i=i - 1) }}{% endif %}{% endmacro %}{{ self::down(i=3) }}":                        "3210",
		"{% macro sees() %}{{ name }}{% endmacro %}{{ self::sees() }}":                                                                           "web",
		"{% filter upper %}a{{ name }}{% endfilter %}":                                                                                           "AWEB",
		"{% block body %}in {{ n }}{% endblock body %}":                                                                                          "in 3",
		// Filters on text.
		"{{ name | capitalize }} {{ 'a bc' | title }} {{ ' x ' | trim }}|{{ ' x ' | trim_end }}|{{ ' x ' | trim_start }}": "Web A Bc x| x|x ",
		"{{ 'xxaxx' | trim_start_matches(pat='x') }} {{ 'xxaxx' | trim_end_matches(pat='x') }}":                           "axx xxa",
		"{{ 'a-b' | replace(from='-', to='+') }} {{ 'a,b' | split(pat=',') }} {{ 'a b  c' | wordcount }}":                 "a+b [a, b] 3",
		"{{ uni | truncate(length=3) }} {{ uni | upper }} {{ uni | reverse }} {{ uni | length }}":                         "grö… GRÖßE 東京 京東 eßörg 8",
		"{{ 'Über Größe! 2' | slugify }} {{ 'a b/ä' | urlencode }} {{ 'a/b' | urlencode_strict }}":                        "ber-gr-e-2 a%20b/%C3%A4 a%2Fb",
		"{{ markup | escape }}":                             "&lt;a href=&quot;x&quot;&gt;it&#x27;s &amp; more&lt;&#x2F;a&gt;",
		"{{ markup | escape_xml }}{{ markup | striptags }}": "&lt;a href=&quot;x&quot;&gt;it&apos;s &amp; more&lt;/a&gt;it's & more",
		"{{ '<p> <b>x</b> </p>' | spaceless }} {{ 'a\nb' | linebreaksbr }} {{ markup | safe | length }}": "<p><b>x</b></p> a<br>b 27",
		"{{ text | indent }}": "line one\n    line two\n\n    line four",
		"{{ 'a\n\nb' | indent(prefix='>', first=true, blank=true) }}": ">a\n>\n>b",
		"{{ n | upper }} {{ 'it\"s' | addslashes }}":                  "3 it\\\"s",
		// Filters on lists and objects.
		"{{ list | first }} {{ list | last }} {{ list | nth(n=1) }} [{{ empty | first }}]":                                                        "b c a []",
		"{{ list | sort | join(sep='-') }} {{ nums | sort | join }} {{ ports | sort(attribute='port') | map(attribute='name') | join(sep=',') }}": "a-b-c 123 http,http,admin",
		"{{ ports | map(attribute='name') | unique }} {{ ['a','A'] | unique }} {{ ['a','A'] | unique(case_sensitive=true) }}":                     "[http, admin] [a] [a, A]",
		"{{ nums | slice(start=1) }} {{ nums | slice(end=-1) }} {{ nums | slice(start=2, end=1) }}":                                               "[1, 2] [3, 1] []",
		"{% for k, v in ports | group_by(attribute='name') %}{{ k }}{{ v | length }} {% endfor %}":                                                "admin1 http2 ",
		"{{ ports | filter(attribute='name', value='http') | length }} {{ ports | filter(attribute='nope') | length }}":                           "2 0",
		"{{ list | concat(with='d') | concat(with=['e']) | join }} {{ map | get(key='z') }} {{ map | get(key='q', default='-') }}":                "bacde 1 -",
		// Filters on numbers, and of any value.
		"{{ -2 | abs }} {{ 2.345 | round(precision=2) }} {{ 2.1 | round(method='ceil') }} {{ 2.9 | round(method='floor') }}": "2 2.35 3 2",
		"{{ '12' | int }} {{ 'x' | int(default=7) }} {{ 'ff' | int(base=16) }} {{ 2.9 | int }} {{ '1.5' | float + 1 }}":      "12 7 255 2 2.5",
		"file{{ 1 | pluralize }} file{{ 2 | pluralize }} cherr{{ 2 | pluralize(singular='y', plural='ies') }}":               "file files cherries",
		"{{ nothing | default(value='d') }} {{ name | default(value='d') }} {{ map.q.r | default(value=n) | upper }}":        "d web 3",
		"{{ map | json_encode }}": `{"a":{"deep":"er"},"k.x":"dotted","z":1}`,
		"{{ ['<\"', 1.0, none, true] | json_encode }} {{ [1] | json_encode(pretty=true) }}": "[\"<\\\"\",1.0,null,true] [\n  1\n]",
		"{{ n | as_str ~ 'x' }} {{ on | as_str }}":                                          "3x true",
	} {
		got, err := render(t, source)
		if err != nil {
			t.Errorf("%s\n%v", source, err)
		} else if got != want {
			t.Errorf("%s\ngot  %q\nwant %q", source, got, want)
		}
	}
}

// A template that cannot be one is refused before anybody uses it, with its line.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{ name":                     "line 1: the tag that begins here has no end (}})",
		"a\nb\n{% if x %}\n":          "line 3: {% if %} has no {% endif %}",
		"{% for x in y %}{% endif %}": "line 1: {% endif %} stands inside of {% for %} of line 1",
		"\n{% endfor %}":              "line 2: {% endfor %} closes nothing",
		"{% if %}":                    "line 1: a value is expected, and there is %}",
		"{{ a b }}":                   `line 1: an expression ends with }}, and there is "b"`,
		"{{ 'x }}":                    "line 1: the string that begins here has no end (')",
		"{# x":                        "line 1: the comment that begins here has no end (#})",
		"{% raw %} {{":                "line 1: the raw block that begins here has no {% endraw %}",
		"{{ a & b }}":                 "line 1: '&' means nothing here",
		"{{ a | nope }}":              `line 1: there is no filter "nope"`,
		"{{ a | date(format='x') }}":  `line 1: the filter "date" of Tera is not available`,
		"{{ a | replace(from='x') }}": `line 1: the filter replace wants the argument "to"`,
		"{{ a | replace('x', 'y') }}": "line 1: the filter replace takes its arguments by name: from, to",
		"{{ a | upper(x=1) }}":        `line 1: the filter upper has no argument "x"`,
		"{{ a is nope }}":             `line 1: there is no test "nope"`,
		"{{ a is divisibleby }}":      "line 1: the test divisibleby takes 1 arguments, not 0",
		"{{ a is matching('(') }}":    "line 1: the regular expression is not valid: missing closing )",
		"{{ get_env(name='HOME') }}":  "line 1: get_env is not available: a template sees its parameters alone, no clock, no chance and no environment",
		"{{ now() }}":                 "line 1: now is not available: a template sees its parameters alone, no clock, no chance and no environment",
		"{{ get_random(end=2) }}":     "line 1: get_random is not available: a template sees its parameters alone, no clock, no chance and no environment",
		"{{ nope() }}":                `line 1: there is no function "nope"`,
		"{% include '/etc/passwd' %}": "line 1: {% include %} is not available: a template reads no other files",
		"{% import 'x' as y %}":       "line 1: {% import %} is not available: a template reads no other files",
		"{% extends 'x' %}":           "line 1: {% extends %} is not available: a template reads no other files",
		"{{ other::m() }}":            "line 1: other:: names another template, and a template reads no others; macros of this one are self::",
		"{{ self::m() }}":             `line 1: there is no macro "m" in this template`,
		"{% macro m(a) %}{% endmacro %}{{ self::m(b=1) }}":           `line 1: macro "m" has no parameter "b"`,
		"{% macro m() %}{% endmacro %}{% macro m() %}{% endmacro %}": `line 1: macro "m" exists already, in line 1`,
		"{% if a %}{% macro m() %}{% endmacro %}{% endif %}":         "line 1: a macro stands at the top of a template, not inside of something else",
		"{% break %}":                "line 1: {% break %} stands outside of a loop",
		"{% set loop = 1 %}":         `line 1: "loop" is a word of the language and cannot be a name`,
		"{% wat %}":                  `line 1: there is no tag "wat"`,
		"{{ 99999999999999999999 }}": "line 1: the number 99999999999999999999 is too large",
		"{{ " + strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100) + " }}": "line 1: it is nested deeper than 64 levels",
		strings.Repeat("{% if a %}", 100) + strings.Repeat("{% endif %}", 100):    "line 1: it is nested deeper than 64 levels",
		"{{ 1" + strings.Repeat("+1", 2000) + " }}":                               "line 1: the expression has more than 1000 parts",
		"{{ a" + strings.Repeat(".a", 2000) + " }}":                               "line 1: the expression has more than 1000 parts",
		"{{ a" + strings.Repeat(" | upper", 2000) + " }}":                         "line 1: the expression has more than 1000 parts",
		"{{ " + strings.Repeat("not ", 2000) + "a }}":                             "line 1: it is nested deeper than 64 levels",
		"{{ " + strings.Repeat("-", 2000) + "1 }}":                                "line 1: it is nested deeper than 64 levels",
	} {
		_, err := tera.Parse(source, tera.DefaultLimits())
		var e *tera.Error
		if !errors.As(err, &e) || e.Kind != tera.Syntax {
			t.Errorf("%.60s: got %v, want a syntax error", source, err)
		} else if e.Error() != want {
			t.Errorf("%.60s\ngot  %s\nwant %s", source, e, want)
		}
	}
}

// What fails with these parameters says where and why, and shows no value.
func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"\n{{ nope }}":                                  "line 2: nope is not there: no parameter and no variable has this name",
		"{{ map.a.nope }}":                              "line 1: map.a.nope is not there: no parameter and no variable has this name",
		"{{ name + 1 }}":                                "line 1: a string + a number: only numbers are calculated with (strings are joined by ~)",
		"{{ 1 / 0 }}":                                   "line 1: a division by zero",
		"{{ 9223372036854775807 + 1 }}":                 "line 1: the result is larger than a number can be",
		"{{ 9223372036854775807 * 2 }}":                 "line 1: the result is larger than a number can be",
		"{{ list | upper }}":                            "line 1: the filter upper wants a string, not a list",
		"{{ name | sort }}":                             "line 1: the filter sort wants a list, not a string",
		"{{ [1, 'a'] | sort }}":                         "line 1: a string and a number have no order",
		"{% for k, v in list %}{% endfor %}":            "line 1: a list has elements alone, and the loop wants keys and values",
		"{% for k in map %}{% endfor %}":                "line 1: an object has keys and values: {% for key, value in ... %}",
		"{% for k in n %}{% endfor %}":                  "line 1: a loop goes over a list, an object or a string, not over a number",
		"{{ throw(message='set ' ~ name) }}":            "line 1: set web",
		"{% macro m(a) %}{% endmacro %}{{ self::m() }}": "line 1: macro m wants its parameter a",
		"{{ loop.index }}":                              "line 1: loop.index is not there: no parameter and no variable has this name",
		"{{ nope is odd }}":                             "line 1: nope is not there, and its test is odd",
		"{{ map | get(key='q') }}":                      "line 1: the filter get finds no such key, and there is no default",
		"{{ range(end=-1) }}":                           "line 1: range begins after its end",
		"{% for x in list %}{{ loop }}{% endfor %}":     "line 1: loop is used with one of its fields: loop.index, loop.index0, loop.first, loop.last",
	} {
		_, err := render(t, source)
		var e *tera.Error
		if !errors.As(err, &e) || e.Kind != tera.Failed {
			t.Errorf("%s: got %v, want a failure", source, err)
		} else if got := e.Error(); got != want && !(strings.Contains(source, "sort }}") && strings.HasSuffix(got, "have no order")) {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}

// The same parameters give the same text, whatever the order of a map in memory.
func TestRenderIsDeterministic(t *testing.T) {
	t.Parallel()
	tpl, err := tera.Parse("{% for k, v in m %}{{ k }}={{ v }};{% endfor %}{{ m | json_encode }}", tera.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	for _, k := range strings.Split("the quick brown fox jumps over a lazy dog", " ") {
		m[k] = k
	}
	first := ""
	for range 50 {
		got, err := tpl.Render(context.Background(), map[string]any{"m": m})
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = got
		}
		if got != first {
			t.Fatalf("got %s, before %s", got, first)
		}
	}
}

// What json_encode makes is JSON of the same value.
func TestJSONEncode(t *testing.T) {
	t.Parallel()
	want := map[string]any{"s": "a\"\\\n\t\u2028<&>", "l": []any{true, nil, "x"}, "m": map[string]any{}, "e": []any{}}
	for _, pretty := range []string{"", "(pretty=true)"} {
		tpl, err := tera.Parse("{{ v | json_encode"+pretty+" }}", tera.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		text, err := tpl.Render(t.Context(), map[string]any{"v": want})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, _ := json.Marshal(got)
		before, _ := json.Marshal(want)
		if string(again) != string(before) {
			t.Errorf("got %s, want %s", again, before)
		}
	}
}
