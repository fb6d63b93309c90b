package page

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colliery-io/brokkr/pkg/domain/id"
)

// Names of the parameters that every list knows.
const (
	ParamLimit      = "limit"
	ParamCursor     = "cursor"
	ParamOffset     = "offset"
	ParamSort       = "sort"
	ParamSearch     = "q"
	ParamLabel      = "label"
	ParamAnnotation = "annotation"
)

// Asked is a query as it was asked over the wire.
type Asked struct {
	Query
	Whole bool // everything: neither a limit nor a cursor was given, and the list is not InPages
	Count int  // from the cursor: how many there were when the first page was given
}

// cursor is what a cursor holds. It is opaque to callers, and may change from one release to the next.
type cursor struct {
	Key   string `json:"k"`
	ID    string `json:"i"`
	Total int    `json:"t"`
	Print string `json:"p"` // of the query that it belongs to
}

const maxCursor = 2048 // bytes

// Read reads a query from the parameters of a request. What the list does not have, a value that is none, or a cursor that
// is garbage or of another query is Invalid, code invalid_query. Parameters with other names are somebody else's.
func (l List[T]) Read(params map[string][]string) (Asked, error) {
	out := Asked{Query: l.All(cmp.Or(l.Default, DefaultLimit))}
	limit, after := one(params[ParamLimit]), one(params[ParamCursor])
	out.Whole = limit == "" && after == "" && !l.InPages
	if limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > MaxLimit {
			return Asked{}, bad(ParamLimit, "%q is not a number from 1 to %d", limit, MaxLimit)
		}
		out.Limit = n
	}
	if l.Chunk > 0 { // the items are large: a page is no way to have many of them at once
		out.Limit = min(out.Limit, l.Chunk)
	}
	if s := one(params[ParamSort]); s != "" {
		if err := l.readSort(s, &out.Query); err != nil {
			return Asked{}, err
		}
	}
	if err := l.readFilters(params, &out.Query); err != nil {
		return Asked{}, err
	}
	if offset := one(params[ParamOffset]); offset != "" && l.Skips {
		n, err := strconv.ParseUint(offset, 10, 31)
		if err != nil {
			return Asked{}, bad(ParamOffset, "%q is not a whole number from 0 on", offset)
		}
		if n > 0 && after != "" {
			return Asked{}, bad(ParamOffset, "a cursor is given too; it says already where the page begins")
		}
		out.Skip = int(n)
	}
	if after != "" {
		if err := l.resume(after, &out); err != nil {
			return Asked{}, err
		}
	}
	out.Total = out.After == nil
	return out, nil
}

// Params returns the names of the parameters that Read looks at, but those that it only refuses.
func (l List[T]) Params() []string {
	out := []string{ParamLimit, ParamCursor, ParamSort}
	for _, f := range l.Filters {
		out = append(out, f.Name)
		if f.Alias != "" {
			out = append(out, f.Alias)
		}
	}
	for name, has := range map[string]bool{ParamOffset: l.Skips, ParamSearch: len(l.Search) > 0, ParamLabel: l.Labels, ParamAnnotation: l.Annotations} {
		if has {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// one returns the first of the values of a parameter; what is given empty is not given.
func one(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (l List[T]) readSort(s string, q *Query) error {
	name, descending := strings.CutPrefix(s, "-")
	if !slices.ContainsFunc(l.Sorts, func(k Sort[T]) bool { return k.Name == name }) {
		names := make([]string, len(l.Sorts))
		for i, k := range l.Sorts {
			names[i] = k.Name
		}
		return bad(ParamSort, "%q is none of %s, with - before it for descending", s, strings.Join(names, ", "))
	}
	q.Sort, q.Descending = name, descending
	return nil
}

func (l List[T]) readFilters(params map[string][]string, q *Query) error {
	for _, f := range l.Filters {
		value := cmp.Or(one(params[f.Name]), one(params[f.Alias]))
		if value == "" {
			continue
		}
		if !isText(value) {
			return bad(f.Name, "it is not text")
		}
		if f.Parse != nil {
			var err error
			if value, err = f.Parse(value); err != nil {
				return err
			}
		}
		if q.Is == nil {
			q.Is = map[string]string{}
		}
		q.Is[f.Name] = value
	}
	for name, has := range map[string]bool{ParamSearch: len(l.Search) > 0, ParamLabel: l.Labels, ParamAnnotation: l.Annotations} {
		if len(params[name]) > 0 && !has {
			return bad(name, "this list has no such filter")
		}
		if len(params[name]) > maxParts {
			return bad(name, "it is given more than %d times", maxParts)
		}
		if !isText(strings.Join(params[name], "")) {
			return bad(name, "it is not text")
		}
	}
	q.Search = strings.Join(params[ParamSearch], " ")
	q.Labels = params[ParamLabel]
	for _, a := range params[ParamAnnotation] {
		k, v, ok := strings.Cut(a, "=")
		if !ok || k == "" {
			return bad(ParamAnnotation, "%q is not key=value", a)
		}
		q.Annotations = append(q.Annotations, Pair{k, v})
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// resume sets where the page begins.
func (l List[T]) resume(text string, a *Asked) error {
	garbage := bad(ParamCursor, "it is not one that this server gave")
	if len(text) > maxCursor {
		return garbage
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return garbage
	}
	var c cursor
	if json.Unmarshal(raw, &c) != nil || !id.Valid(c.ID) || c.Total < 0 || !l.By(a.Sort).Kind.holds(c.Key) {
		return garbage
	}
	if c.Print != a.print() {
		return bad(ParamCursor, "it belongs to a list with another order or other filters")
	}
	a.After, a.Count = &Mark{Key: c.Key, ID: strings.ToLower(c.ID)}, c.Total
	return nil
}

// holds reports whether s can be a key of this kind.
func (k Kind) holds(s string) bool {
	switch k {
	case Moment:
		t, err := time.Parse(momentLayout, s)
		return err == nil && t.Year() >= 1 // there is no year 0 in a database
	case Number:
		n, err := strconv.ParseInt(s, 10, 64)
		return err == nil && n >= 0
	case Text:
		return isText(s)
	default:
		return false
	}
}

// Cursor returns the text by which q goes on behind m. Total is how many there are on all pages.
func (q Query) Cursor(m Mark, total int) string {
	raw, err := json.Marshal(cursor{Key: m.Key, ID: m.ID, Total: total, Print: q.print()})
	if err != nil { // strings and a number
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// print tells queries with another order or other filters apart.
func (q Query) print() string {
	h := fnv.New64a()
	part := func(words ...string) { _, _ = fmt.Fprintf(h, "%q;", words) } // a hash takes everything
	part(q.Sort, strconv.FormatBool(q.Descending), q.Search)
	for _, k := range slices.Sorted(maps.Keys(q.Is)) {
		part(k, q.Is[k])
	}
	part(q.Labels...)
	for _, a := range q.Annotations {
		part(a.Key, a.Value)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}
