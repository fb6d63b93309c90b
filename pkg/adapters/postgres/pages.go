package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// listing is how the pages of a list are read: constant parts of one statement, in which each ? is an argument. What a
// query may combine is bounded by its page.List, and a connection keeps a bounded number of the statements (conn.go).
type listing[R, T any] struct {
	list       page.List[T]
	act        string            // for errors
	rows       string            // SELECT ... WHERE: what is listed at all
	count      string            // SELECT count(*) ... WHERE: the same
	id         string            // column
	sorts      map[string]string // order -> column, which has an index with the id behind it
	filters    map[string]string // filter -> condition on its value
	alone      bool              // no two have the same key: the id need not break ties
	search     string            // condition on what is looked for
	label      string            // condition on a label
	annotation string            // condition on a key and a value
	to         func(R) T
}

// part is a piece of a statement with the arguments of its question marks.
type part struct {
	text string
	args []any
}

// Parts of every statement of pages.
const (
	ascending, descending = ` ASC`, ` DESC`
	atMost                = ` LIMIT ?`
	behind                = ` OFFSET ?`
	nobody                = ` AND false`
)

// only returns the part that narrows a list to what scope sees; all but the condition of everything take an id.
func (v views) only(s tenancy.Scope) part {
	text, args, ok := v.of(s)
	if !ok {
		return part{text: nobody}
	}
	return part{text, args}
}

// page answers q about what passes the condition, which is empty or begins with AND.
func (l listing[R, T]) page(ctx context.Context, s session, only part, q page.Query) (page.Page[T], error) {
	narrowed := append([]part{only}, l.narrow(q)...)
	query, args := compose(append(append([]part{{text: l.rows}}, narrowed...), l.window(q)...))
	rows, err := many[R](ctx, s, l.act, query, args...)
	items, err := convert(rows, err, l.to)
	if err != nil {
		return page.Page[T]{}, err
	}
	total := len(items)
	if q.Total && (q.After != nil || q.Skip > 0 || len(items) > q.Limit) {
		query, args := compose(append([]part{{text: l.count}}, narrowed...))
		if total, err = one[int](ctx, s, l.act, nil, query, args...); err != nil {
			return page.Page[T]{}, err
		}
	}
	if !q.Total {
		total = 0
	}
	return l.list.Trim(q, items, total), nil
}

// read is a page of rows as what they hold.
func read[R, T any](rows page.Page[R], err error, to func(R) (T, error)) (page.Page[T], error) {
	if err != nil {
		return page.Page[T]{}, err
	}
	out := page.Page[T]{Items: make([]T, len(rows.Items)), Next: rows.Next, Total: rows.Total}
	for i, row := range rows.Items {
		if out.Items[i], err = to(row); err != nil {
			return page.Page[T]{}, err
		}
	}
	return out, nil
}

func same[R any](r R) R { return r }

func (l listing[R, T]) narrow(q page.Query) []part {
	var out []part
	for _, f := range l.list.Filters {
		if v, asked := q.Is[f.Name]; asked {
			out = append(out, part{l.filters[f.Name], []any{v}})
		}
	}
	if q.Search != "" {
		found := part{text: l.search}
		for range strings.Count(l.search, "?") {
			found.args = append(found.args, q.Search)
		}
		out = append(out, found)
	}
	for _, v := range q.Labels {
		out = append(out, part{l.label, []any{v}})
	}
	for _, a := range q.Annotations {
		out = append(out, part{l.annotation, []any{a.Key, a.Value}})
	}
	return out
}

// window is where the page begins and how far it goes: one row further, which tells whether there is a next page.
func (l listing[R, T]) window(q page.Query) []part {
	column := l.sorts[l.list.By(q.Sort).Name]
	compared, direction := " > ", ascending
	if q.Descending {
		compared, direction = " < ", descending
	}
	var out []part
	order := " ORDER BY " + column + direction
	switch {
	case l.alone && q.After != nil:
		out = append(out, part{" AND " + column + compared + "?", []any{q.After.Key}})
	case q.After != nil:
		out = append(out, part{" AND (" + column + ", " + l.id + ")" + compared + "(?, ?)", []any{q.After.Key, uid(q.After.ID)}})
	}
	if !l.alone {
		order += ", " + l.id + direction
	}
	out = append(out, part{text: order}, part{atMost, []any{q.Limit + 1}})
	if q.Skip > 0 {
		out = append(out, part{behind, []any{q.Skip}})
	}
	return out
}

// compose joins the parts and numbers their arguments.
func compose(parts []part) (string, []any) {
	var text strings.Builder
	var args []any
	for _, p := range parts {
		n := len(args)
		for _, c := range p.text {
			if c != '?' {
				text.WriteRune(c)
				continue
			}
			n++
			text.WriteString("$" + strconv.Itoa(n))
		}
		args = append(args, p.args...)
	}
	return text.String(), args
}
