package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
)

func TestGrid(t *testing.T) {
	t.Parallel()
	g := render.Grid{Columns: render.Columns("NAME", "STATE", "+ID")}
	g.Add(render.Text("a"), render.Cell{Text: "good", Tone: render.Good}, render.Text("1"))
	g.Add(render.Text("löng-näme"), render.Text("two\nlines\x1b[31m"), render.Text("2"))
	for name, tt := range map[string]struct {
		wide, colour, bare bool
		want               string
	}{
		"Narrow": {false, false, false, "NAME        STATE\na           good\nlöng-näme   two lines[31m\n"},
		"Wide":   {true, false, false, "NAME        STATE           ID\na           good            1\nlöng-näme   two lines[31m   2\n"},
		"Colour": {false, true, true, "a           \x1b[32mgood\x1b[0m\nlöng-näme   two lines[31m\n"},
	} {
		var b strings.Builder
		if err := g.Write(&b, tt.wide, tt.colour, tt.bare); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want {
			t.Errorf("%s:\n%q, want\n%q", name, b.String(), tt.want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m0s", 9*time.Minute + 5*time.Second: "9m5s",
		10 * time.Minute: "10m", 119 * time.Minute: "119m", 2 * time.Hour: "2h", 47 * time.Hour: "47h", 72 * time.Hour: "3d",
	} {
		if got := render.Duration(d); got != want {
			t.Errorf("Duration(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, f := range append(render.Formats(), render.Table) {
		if got, err := render.Parse(string(f)); err != nil || got != f {
			t.Errorf("Parse(%q) = %q, %v", f, got, err)
		}
	}
	if _, err := render.Parse("xml"); err == nil || !strings.Contains(err.Error(), "json, yaml, name or wide") {
		t.Errorf("Parse(xml) = %v; want the known ones named", err)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	v := map[string]any{"b": "<x>", "a": []int{1}}
	for f, want := range map[render.Format]string{render.JSON: "{\n  \"a\": [\n    1\n  ],\n  \"b\": \"<x>\"\n}\n", render.YAML: "a:\n- 1\nb: <x>\n"} {
		var b strings.Builder
		if err := render.Encode(&b, f, v); err != nil || b.String() != want {
			t.Errorf("%s: %q, %v; want %q", f, b.String(), err, want)
		}
	}
}
