// Package page holds how a list is asked for and answered a page at a time: orders that are total, filters by name, and
// cursors that say where a page ended. A page begins behind a key, not at a number, so that what others insert or delete
// meanwhile neither repeats nor hides what stays. (What is renamed between two pages of a list by name may move to the
// other side of the cursor.)
package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
)

// Sizes of pages.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	maxParts     = 10 // labels or annotations of one query
)

// Kind says what the key of an order is.
type Kind uint8

// The kinds of keys.
const (
	Text Kind = iota
	Moment
	Number
)

// Sort is an order of a list. The id breaks ties, so that each order is total.
type Sort[T any] struct {
	Name string
	Kind Kind
	Key  func(T) string // a text whose byte order is the order: see Time and Integer
}

// Filter is an equality by which a list can be narrowed.
type Filter[T any] struct {
	Name  string
	Alias string                       // another name of the parameter
	Parse func(string) (string, error) // checks and spells a value; nil: any text
	Of    func(T) string               // the value of an item; nil: only the store knows it
}

// List says how items of one kind are listed. It is the same for the transport, which reads queries by it, and for every
// store, which keeps them.
type List[T any] struct {
	ID          func(T) string
	Sorts       []Sort[T] // the first is the default
	Descending  bool      // the default order is descending
	Filters     []Filter[T]
	Search      []func(T) string // what q is looked for in; empty: no q
	Labels      bool             // can be filtered by label
	Annotations bool             // can be filtered by annotation
	Chunk       int              // items that are read at a time, by a page or by a whole list; 0: MaxLimit. Small where they are large
	InPages     bool             // answered by Default if no page is asked for; else whole, as published clients expect
	Default     int              // items of a page whose size is not asked for; 0: DefaultLimit
	Skips       bool             // can be entered behind an offset, as published clients do; needs InPages
}

// Pair is a key and its value.
type Pair struct{ Key, Value string }

// Mark is where a page ended: the key of its last item in the order, and its id.
type Mark struct{ Key, ID string }

// Query asks for a page.
type Query struct {
	Limit       int // at least 1
	After       *Mark
	Skip        int // items before the page that are passed over; without After only
	Sort        string
	Descending  bool
	Is          map[string]string // filter -> value
	Labels      []string          // all of them
	Annotations []Pair            // all of them
	Search      string            // in any letter case (ASCII)
	Total       bool              // also count everything that passes the filters
}

// Page is what one query is answered.
type Page[T any] struct {
	Items []T
	Next  *Mark // nil: that was the last page
	Total int   // of all pages, if it was asked for
}

// Time returns a moment as a key.
func Time(t time.Time) string { return t.UTC().Format(momentLayout) }

// Integer returns a number that is not negative as a key.
func Integer(n int64) string { return fmt.Sprintf("%019d", n) }

const momentLayout = "2006-01-02T15:04:05.000000Z"

// All returns the query for everything in the default order, limit items at a time.
func (l List[T]) All(limit int) Query {
	return Query{Limit: limit, Sort: l.Sorts[0].Name, Descending: l.Descending}
}

// Of returns the list of items that each hold one of l's, such as a row, or one with its contents.
func Of[U, T any](l List[T], in func(U) T) List[U] {
	text := func(of func(T) string) func(U) string {
		if of == nil {
			return nil
		}
		return func(v U) string { return of(in(v)) }
	}
	out := List[U]{
		ID: text(l.ID), Descending: l.Descending, Labels: l.Labels, Annotations: l.Annotations,
		Chunk: l.Chunk, InPages: l.InPages, Default: l.Default, Skips: l.Skips,
	}
	for _, s := range l.Sorts {
		out.Sorts = append(out.Sorts, Sort[U]{Name: s.Name, Kind: s.Kind, Key: text(s.Key)})
	}
	for _, f := range l.Filters {
		out.Filters = append(out.Filters, Filter[U]{Name: f.Name, Alias: f.Alias, Parse: f.Parse, Of: text(f.Of)})
	}
	for _, s := range l.Search {
		out.Search = append(out.Search, text(s))
	}
	return out
}

// By returns the order with this name; the default for one that is not known.
func (l List[T]) By(name string) Sort[T] {
	for _, s := range l.Sorts {
		if s.Name == name {
			return s
		}
	}
	return l.Sorts[0]
}

// Mark returns where a page that ends with v ends.
func (l List[T]) Mark(q Query, v T) Mark { return Mark{Key: l.By(q.Sort).Key(v), ID: l.ID(v)} }

// Trim makes a page of items in order of which there is one more than the limit if the list goes on.
func (l List[T]) Trim(q Query, items []T, total int) Page[T] {
	p := Page[T]{Items: items, Total: total}
	if len(items) > q.Limit {
		p.Items = items[:q.Limit:q.Limit]
		m := l.Mark(q, p.Items[q.Limit-1])
		p.Next = &m
	}
	return p
}

// Cut answers q out of all items, which it sorts. Labels, annotations, and filters of which List does not know the value
// of an item are the caller's: it gives those that pass.
func (l List[T]) Cut(all []T, q Query) Page[T] {
	by := l.By(q.Sort)
	order := func(key, id string, m Mark) int {
		c := cmp.Or(cmp.Compare(key, m.Key), cmp.Compare(id, m.ID))
		if q.Descending {
			return -c
		}
		return c
	}
	items := slices.DeleteFunc(slices.Clone(all), func(v T) bool { return !l.passes(v, q) })
	slices.SortFunc(items, func(x, y T) int { return order(by.Key(x), l.ID(x), l.Mark(q, y)) })
	total := len(items)
	if q.After != nil {
		items = items[firstAfter(items, func(v T) bool { return order(by.Key(v), l.ID(v), *q.After) > 0 }):]
	}
	items = items[min(q.Skip, len(items)):]
	return l.Trim(q, items, total)
}

func firstAfter[T any](items []T, after func(T) bool) int {
	if i := slices.IndexFunc(items, after); i >= 0 {
		return i
	}
	return len(items)
}

func (l List[T]) passes(v T, q Query) bool {
	for _, f := range l.Filters {
		if want, asked := q.Is[f.Name]; asked && f.Of != nil && f.Of(v) != want {
			return false
		}
	}
	if q.Search == "" {
		return true
	}
	return slices.ContainsFunc(l.Search, func(of func(T) string) bool { return strings.Contains(lower(of(v)), lower(q.Search)) })
}

// lower is lower case of ASCII letters alone, as a database whose texts are bytes does it.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// ID is the Parse of filters by id.
func ID(name string) func(string) (string, error) {
	return func(s string) (string, error) { return id.Parse[string](name, s) }
}

// OneOf is the Parse of filters by a word of a closed set.
func OneOf[W ~string](name string, words ...W) func(string) (string, error) {
	return func(s string) (string, error) {
		for _, w := range words {
			if strings.EqualFold(s, string(w)) {
				return string(w), nil
			}
		}
		return "", bad(name, "%q is none of %v", s, words)
	}
}

func bad(parameter, format string, args ...any) error {
	return fault.Newf(fault.Invalid, "invalid_query", "query parameter %s: %s", parameter, fmt.Sprintf(format, args...)).With("parameter", parameter)
}
