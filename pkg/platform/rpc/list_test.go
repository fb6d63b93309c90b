package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

func numbers(inPages bool) page.List[int] {
	return page.List[int]{
		ID:      func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) },
		Sorts:   []page.Sort[int]{{Name: "n", Kind: page.Number, Key: func(n int) string { return page.Integer(int64(n)) }}},
		InPages: inPages,
	}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func ask(t *testing.T, path string, l page.List[int], use rpc.Lister[struct{}, int]) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := rpc.ListOf(rpc.Info{Op: "list", Method: http.MethodGet, Path: "/n", Status: http.StatusOK}, l,
		func(*http.Request) (struct{}, error) { return struct{}{}, nil }, use, func(n int) string { return fmt.Sprintf("<%d>", n) })
	return serve(t, r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
}

func TestListOf(t *testing.T) {
	t.Parallel()
	short := func(n int) rpc.Lister[struct{}, int] {
		return rpc.Short(numbers(false), func(context.Context, struct{}) ([]int, error) { return upTo(n), nil })
	}
	cases := map[string]struct {
		path  string
		list  page.List[int]
		n     int
		body  string // begins with
		items int
		next  bool
	}{
		"nothing": {"/n", numbers(false), 0, "[]\n", 0, false},
		"whole":   {"/n", numbers(false), 3, `["<0>","<1>","<2>"]` + "\n", 3, false},
		"whole, more than the store gives at once": {"/n", numbers(false), 2345, `["<0>"`, 2345, false},
		"a page":        {"/n?limit=2", numbers(false), 3, `["<0>","<1>"]` + "\n", 2, true},
		"in pages":      {"/n?sort=-n", numbers(true), 345, `["<344>"`, page.DefaultLimit, true},
		"the last page": {"/n?limit=3", numbers(true), 3, `["<0>"`, 3, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec, err := ask(t, c.path, c.list, short(c.n))
			if err != nil || rec.Code != http.StatusOK || !strings.HasPrefix(rec.Body.String(), c.body) || strings.Count(rec.Body.String(), "<") != c.items {
				t.Fatalf("got %d with %d items, %v: %.60s", rec.Code, strings.Count(rec.Body.String(), "<"), err, rec.Body)
			}
			if got := rec.Header().Get(rpc.TotalCount); got != fmt.Sprint(c.n) {
				t.Errorf("total: got %s, want %d", got, c.n)
			}
			if link := rec.Header().Get("Link"); (link != "") != c.next || (c.next && (!strings.HasPrefix(link, "</n?") || !strings.HasSuffix(link, `>; rel="next"`))) {
				t.Errorf("Link: got %q, want one: %t", link, c.next)
			}
		})
	}
}

// What belongs to the items is got a batch at a time, on a page as in a whole list.
func TestFilledListFillsInBatches(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for path, want := range map[string]int{"/n": 2345, "/n?limit=7": 7, "/n?limit=1&sort=-n": 1} {
		var batches []int
		r := rpc.FilledList(rpc.Info{Op: "list", Method: http.MethodGet, Path: "/n", Status: http.StatusOK}, numbers(false),
			func(*http.Request) (struct{}, error) { return struct{}{}, nil },
			rpc.Short(numbers(false), func(context.Context, struct{}) ([]int, error) { return upTo(2345), nil }), 3,
			func(_ context.Context, items []int) ([]string, error) {
				batches = append(batches, len(items))
				out := make([]string, len(items))
				for i, n := range items {
					out[i] = fmt.Sprintf("<%d>", n)
				}
				return out, nil
			})
		rec, err := serve(t, r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if err != nil || strings.Count(rec.Body.String(), "<") != want || len(batches) < want/3 {
			t.Errorf("%s: got %d items in batches %v, %v; want %d", path, strings.Count(rec.Body.String(), "<"), batches, err, want)
		}
		for _, n := range batches {
			if n > 3 {
				t.Errorf("%s: a batch of %d, want 3 at most", path, n)
			}
		}
	}
	r := rpc.FilledList(rpc.Info{Op: "list", Method: http.MethodGet, Path: "/n", Status: http.StatusOK}, numbers(false),
		func(*http.Request) (struct{}, error) { return struct{}{}, nil },
		rpc.Short(numbers(false), func(context.Context, struct{}) ([]int, error) { return upTo(5), nil }), 3,
		func(context.Context, []int) ([]string, error) { return nil, broken })
	if _, err := serve(t, r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/n", http.NoBody)); !errors.Is(err, broken) {
		t.Errorf("an error of the first batch: got %v, want it answered", err)
	}
}

func TestListOfReportsWhatItCannot(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	if _, err := ask(t, "/n?limit=x", numbers(false), nil); err == nil {
		t.Error("a bad limit was taken")
	}
	if _, err := ask(t, "/n", numbers(false), func(context.Context, struct{}, page.Query) (page.Page[int], error) {
		return page.Page[int]{}, broken
	}); !errors.Is(err, broken) {
		t.Errorf("an error on the first page: got %v", err)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) || !errors.Is(err, broken) {
			t.Errorf("an error on the second page: got %v, want the connection aborted because of it", err)
		}
	}()
	_, _ = ask(t, "/n", numbers(false), func(_ context.Context, _ struct{}, q page.Query) (page.Page[int], error) {
		if q.After != nil {
			return page.Page[int]{}, broken
		}
		return numbers(false).Cut(upTo(2000), q), nil
	})
	t.Error("it went on after an error in the middle")
}
