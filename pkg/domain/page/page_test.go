package page_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

type thing struct {
	id, name string
	at       time.Time
	size     int64
}

func things() page.List[thing] {
	return page.List[thing]{
		ID: func(v thing) string { return v.id },
		Sorts: []page.Sort[thing]{
			{Name: "name", Key: func(v thing) string { return v.name }},
			{Name: "at", Kind: page.Moment, Key: func(v thing) string { return page.Time(v.at) }},
			{Name: "size", Kind: page.Number, Key: func(v thing) string { return page.Integer(v.size) }},
		},
		Filters: []page.Filter[thing]{
			{Name: "name", Of: func(v thing) string { return v.name }},
			{Name: "owner", Alias: "of", Parse: page.ID("owner")},
			{Name: "state", Parse: page.OneOf("state", "ON", "OFF")},
		},
		Search: []func(thing) string{func(v thing) string { return v.name }},
		Labels: true, Annotations: true,
	}
}

func uuid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// Following the cursors visits each thing once, in order, whatever the sizes of pages and however keys repeat.
func TestCursorsVisitEverythingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := things()
		all := make([]thing, rapid.IntRange(0, 30).Draw(t, "things"))
		for i := range all {
			all[i] = thing{
				id: uuid(rapid.IntRange(0, 9).Draw(t, "high")*1000 + i), name: rapid.StringMatching(`[aAbä]{0,2}`).Draw(t, "name"),
				at: time.Unix(rapid.Int64Range(0, 3).Draw(t, "second"), 0), size: rapid.Int64Range(0, 12).Draw(t, "size"),
			}
		}
		params := url.Values{
			"limit": {fmt.Sprint(rapid.IntRange(1, 7).Draw(t, "limit"))},
			"sort":  {rapid.SampledFrom([]string{"name", "-name", "at", "-at", "size", "-size"}).Draw(t, "sort")},
		}
		var seen []thing
		for {
			asked, err := l.Read(params)
			if err != nil {
				t.Fatalf("read %v: %v", params, err)
			}
			p := l.Cut(all, asked.Query)
			total := p.Total
			if !asked.Total {
				total = asked.Count
			}
			if total != len(all) {
				t.Fatalf("total: got %d, want %d", total, len(all))
			}
			seen = append(seen, p.Items...)
			if p.Next == nil {
				break
			}
			params.Set("cursor", asked.Cursor(*p.Next, total))
		}
		want := l.Cut(all, page.Query{Limit: len(all) + 1, Sort: strings.TrimPrefix(params.Get("sort"), "-"), Descending: strings.HasPrefix(params.Get("sort"), "-")}).Items
		if diff := cmp.Diff(want, seen, cmp.AllowUnexported(thing{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seen (-want +got):\n%s", diff)
		}
		if len(slices.Compact(idsOf(seen))) != len(all) {
			t.Fatalf("seen %d of %d", len(seen), len(all))
		}
	})
}

func idsOf(all []thing) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = v.id
	}
	slices.Sort(out)
	return out
}

func TestRead(t *testing.T) {
	t.Parallel()
	asked, err := things().Read(url.Values{
		"sort": {"-at"}, "limit": {"7"}, "name": {"n"}, "of": {uuid(1)}, "state": {"off"}, "q": {"Word"},
		"label": {"a", "b"}, "annotation": {"k=v=w", "e="}, "unknown": {"is somebody else's"},
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	want := page.Asked{Query: page.Query{
		Limit: 7, Sort: "at", Descending: true, Is: map[string]string{"name": "n", "owner": uuid(1), "state": "OFF"}, Search: "Word",
		Labels: []string{"a", "b"}, Annotations: []page.Pair{{Key: "k", Value: "v=w"}, {Key: "e"}}, Total: true,
	}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if asked, err = things().Read(nil); err != nil || !asked.Whole || asked.Limit != page.DefaultLimit || asked.Sort != "name" {
		t.Errorf("read nothing: got %+v, %v; want the whole by the default order", asked, err)
	}
}

// A list that can be entered at an offset goes on from there by cursors.
func TestOffset(t *testing.T) {
	t.Parallel()
	l := page.List[thing]{ID: things().ID, Sorts: things().Sorts, InPages: true, Default: 2, Skips: true}
	var all []thing
	for i := range 7 {
		all = append(all, thing{id: uuid(i), name: fmt.Sprint(i)})
	}
	asked, err := l.Read(url.Values{"offset": {"3"}})
	if err != nil || asked.Whole || asked.Limit != 2 || asked.Skip != 3 {
		t.Fatalf("read: got %+v, %v; want a page of 2 behind 3", asked, err)
	}
	p := l.Cut(all, asked.Query)
	if len(p.Items) != 2 || p.Items[0].name != "3" || p.Total != 7 {
		t.Errorf("page: got %+v, want 3 and 4 of 7", p)
	}
	next, err := l.Read(url.Values{"cursor": {asked.Cursor(*p.Next, p.Total)}})
	if err != nil || next.Skip != 0 || l.Cut(all, next.Query).Items[0].name != "5" {
		t.Errorf("next page: got %+v, %v; want it to begin with 5", next, err)
	}
	asked.Skip = 99
	if p := l.Cut(all, asked.Query); len(p.Items) != 0 || p.Next != nil || p.Total != 7 {
		t.Errorf("behind the end: got %+v, want nothing of 7", p)
	}
	if asked, err = things().Read(url.Values{"offset": {"3"}}); err != nil || asked.Skip != 0 {
		t.Errorf("a list without offsets: got %+v, %v; want it somebody else's parameter", asked, err)
	}
	for name, params := range map[string]url.Values{
		"negative": {"offset": {"-1"}}, "no number": {"offset": {"x"}}, "too large": {"offset": {"4294967296"}},
		"with a cursor": {"offset": {"1"}, "cursor": {asked.Cursor(page.Mark{Key: "0", ID: uuid(0)}, 7)}},
	} {
		if _, err := l.Read(params); fault.CodeOf(err) != "invalid_query" {
			t.Errorf("%s: got %v, want invalid_query", name, err)
		}
	}
}

// A list of what holds things is as that of the things.
func TestOf(t *testing.T) {
	t.Parallel()
	type box struct{ in thing }
	l := page.Of(things(), func(b box) thing { return b.in })
	if diff := cmp.Diff(things().Params(), l.Params()); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	q, err := l.Read(url.Values{"sort": {"-size"}, "q": {"B"}, "name": {"b"}})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	p := l.Cut([]box{{thing{id: uuid(1), name: "b", size: 1}}, {thing{id: uuid(2), name: "b", size: 2}}, {thing{id: uuid(3), name: "c"}}}, q.Query)
	if len(p.Items) != 2 || p.Items[0].in.size != 2 {
		t.Errorf("got %+v, want both named b, the larger first", p.Items)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	plain := page.List[thing]{ID: things().ID, Sorts: things().Sorts}
	q, err := things().Read(url.Values{"sort": {"size"}})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	text := q.Cursor(page.Mark{Key: "no number", ID: uuid(1)}, 1)
	q.Sort = "at"
	yearless := q.Cursor(page.Mark{Key: "0000-01-01T00:00:00.000000Z", ID: uuid(1)}, 1)
	cases := map[string]struct {
		l      page.List[thing]
		params url.Values
		code   string
	}{
		"limit 0":               {plain, url.Values{"limit": {"0"}}, "invalid_query"},
		"limit too large":       {plain, url.Values{"limit": {"1001"}}, "invalid_query"},
		"limit no number":       {plain, url.Values{"limit": {"1e2"}}, "invalid_query"},
		"sort":                  {plain, url.Values{"sort": {"color"}}, "invalid_query"},
		"a cursor of nothing":   {plain, url.Values{"cursor": {"garbage!"}}, "invalid_query"},
		"an empty object":       {plain, url.Values{"cursor": {"e30"}}, "invalid_query"},
		"a long one":            {plain, url.Values{"cursor": {strings.Repeat("A", 3000)}}, "invalid_query"},
		"a key of another kind": {things(), url.Values{"cursor": {text}, "sort": {"size"}}, "invalid_query"},
		"a year that none has":  {things(), url.Values{"cursor": {yearless}, "sort": {"at"}}, "invalid_query"},
		"no such filter":        {plain, url.Values{"q": {"x"}}, "invalid_query"},
		"no such labels":        {plain, url.Values{"label": {"x"}}, "invalid_query"},
		"too many labels":       {things(), url.Values{"label": make([]string, 11)}, "invalid_query"},
		"half an annotation":    {things(), url.Values{"annotation": {"k"}}, "invalid_query"},
		"no text":               {things(), url.Values{"q": {"\xff"}}, "invalid_query"},
		"nor this":              {things(), url.Values{"name": {"a\x00"}}, "invalid_query"},
		"no id":                 {things(), url.Values{"owner": {"x"}}, "invalid_id"},
		"no state":              {things(), url.Values{"state": {"x"}}, "invalid_query"},
	}
	for name, c := range cases {
		if _, err := c.l.Read(c.params); !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

// Whatever comes as a query, Read gives a query that can be kept or a refusal.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"limit=1&sort=-at", "cursor=e30", "q=%ff&label=a&label=b", "annotation=k=v&owner=" + uuid(1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		params, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := things().Read(params)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: got %v, want Invalid", raw, err)
			}
			return
		}
		if q.Limit < 1 || q.Limit > page.MaxLimit || q.Sort == "" {
			t.Fatalf("%q: got %+v", raw, q)
		}
		again, err := things().Read(url.Values{"cursor": {q.Cursor(page.Mark{Key: "", ID: "x"}, 0)}})
		if err == nil {
			t.Fatalf("a cursor without an id was taken: %+v", again)
		}
	})
}
