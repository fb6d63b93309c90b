// Package render writes what commands found: tables for people, JSON, YAML and names for scripts.
package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// Format is how data is written.
type Format string

// The formats. Table is the default.
const (
	Table Format = ""
	Wide  Format = "wide"
	JSON  Format = "json"
	YAML  Format = "yaml"
	Name  Format = "name"
)

// Formats returns every format that can be asked for.
func Formats() []Format { return []Format{JSON, YAML, Name, Wide} }

// Parse reads the value of --output.
func Parse(s string) (Format, error) {
	f := Format(s)
	if f == Table || slices.Contains(Formats(), f) {
		return f, nil
	}
	if s == "table" {
		return Table, nil
	}
	return Table, fmt.Errorf("output format %q is not known; use json, yaml, name or wide", s)
}

// Tone is what a text says about its subject; on a terminal it is a colour.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Good
	Busy
	Bad
	Faint
)

// Cell is one field of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Text returns a plain cell.
func Text(s string) Cell { return Cell{Text: s} }

// Texts returns plain cells.
func Texts(s ...string) []Cell {
	cells := make([]Cell, len(s))
	for i := range s {
		cells[i].Text = s[i]
	}
	return cells
}

// Column is one column of a table. A wide one is shown with the format wide only.
type Column struct {
	Title string
	Wide  bool
}

// Columns makes columns from titles; those that begin with '+' are wide.
func Columns(titles ...string) []Column {
	columns := make([]Column, len(titles))
	for i, t := range titles {
		columns[i].Title, columns[i].Wide = strings.CutPrefix(t, "+")
	}
	return columns
}

// Grid is a table: one cell a column in each row. Columns never become narrower from one Write to the next, so that
// rows that follow later stay below their header.
type Grid struct {
	Columns []Column
	Rows    [][]Cell
	width   []int
}

// Add appends a row.
func (g *Grid) Add(cells ...Cell) { g.Rows = append(g.Rows, cells) }

const gap = 3

// Write writes the table, aligned, with its header unless bare.
func (g *Grid) Write(w io.Writer, wide, colour, bare bool) error {
	var show []int
	for i, c := range g.Columns {
		if !c.Wide || wide {
			show = append(show, i)
		}
	}
	header := make([]Cell, len(g.Columns))
	for i, c := range g.Columns {
		header[i] = Text(c.Title)
	}
	rows := g.Rows
	if !bare {
		rows = append([][]Cell{header}, rows...)
	}
	if g.width == nil {
		g.width = make([]int, len(g.Columns))
	}
	for _, r := range rows {
		for _, i := range show {
			g.width[i] = max(g.width[i], utf8.RuneCountInString(oneLine(r[i].Text)))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		for n, i := range show {
			text := oneLine(r[i].Text)
			b.WriteString(Paint(text, r[i].Tone, colour))
			if n < len(show)-1 {
				b.WriteString(strings.Repeat(" ", g.width[i]-utf8.RuneCountInString(text)+gap))
			}
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine makes text fit for a row, and takes out control characters that could steer a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0):
			return -1
		default:
			return r
		}
	}, strings.TrimSpace(s))
}

// Clean is oneLine for texts outside of tables.
func Clean(s string) string { return oneLine(s) }

// Paint colours s if colour is wanted.
func Paint(s string, t Tone, colour bool) string {
	if !colour || s == "" {
		return s
	}
	switch t {
	case Good:
		return "\x1b[32m" + s + "\x1b[0m"
	case Busy:
		return "\x1b[33m" + s + "\x1b[0m"
	case Bad:
		return "\x1b[31m" + s + "\x1b[0m"
	case Faint:
		return "\x1b[2m" + s + "\x1b[0m"
	case Plain:
		return s
	default:
		return s
	}
}

// Encode writes v as JSON or YAML.
func Encode(w io.Writer, f Format, v any) error {
	if f == YAML {
		text, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode as YAML: %w", err)
		}
		_, err = w.Write(text)
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode as JSON: %w", err)
	}
	return nil
}
