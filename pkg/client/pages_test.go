package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/colliery-io/brokkr/pkg/client"
)

// A list is walked page by page, as far as the caller wants it.
func TestListsAreWalkedAsFarAsIsAsked(t *testing.T) {
	t.Parallel()
	const all = 25
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor")) // none is 0
		limit := 10
		if text := r.URL.Query().Get("limit"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n > 1000 {
				t.Errorf("asked for %s at a time", text)
			}
			limit = min(n, limit)
		}
		to := min(from+limit, all)
		if to < all {
			w.Header().Set("Link", fmt.Sprintf(`</api/v1/work-orders?cursor=%d&limit=%d>; rel="next"`, to, limit))
		}
		w.Header().Set("Content-Type", "application/json")
		for i := from; i < to; i++ {
			_, _ = fmt.Fprintf(w, `%s{"id":"%d"}`, map[bool]string{true: "[", false: ","}[i == from], i)
		}
		_, _ = fmt.Fprint(w, "]")
	}))
	defer server.Close()
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]struct{ items, requests int }{0: {25, 3}, 3: {3, 1}, 12: {12, 2}, 25: {25, 3}, 5000: {25, 3}} {
		asked = nil
		chosen, err := c.WorkOrdersBy(t.Context(), client.Choice{Limit: limit})
		got := chosen.Items
		if err != nil || len(got) != want.items || len(asked) != want.requests || got[len(got)-1].ID != strconv.Itoa(want.items-1) {
			t.Errorf("limit %d: %d items by %v, %v; want %d by %d requests", limit, len(got), asked, err, want.items, want.requests)
		}
	}
}

// A choice is asked for in the list's own words, page by page, and tells how much it left.
func TestAChoiceIsAskedForAndTellsTheRest(t *testing.T) {
	t.Parallel()
	link := map[string]string{"Link": `</api/v1/stacks?cursor=c&limit=3&label=eu&label=prod&sort=-name>; rel="next"`}
	counted := map[string]string{"Link": link["Link"], "X-Total-Count": "7"}
	q := client.Choice{Filters: url.Values{"label": {"eu", "prod"}, "q": {"we b"}}, Sort: "-name", Limit: 3}
	for name, tt := range map[string]struct {
		answers []answer
		limit   int
		items   int
		rest    int
	}{
		"the last page":          {[]answer{{status: 200, body: `[{},{}]`, header: map[string]string{"X-Total-Count": "2"}}}, 3, 2, 0},
		"more, and how many":     {[]answer{{status: 200, body: `[{},{},{}]`, header: counted}}, 3, 3, 4},
		"more, nobody counts":    {[]answer{{status: 200, body: `[{},{},{}]`, header: link}}, 3, 3, -1},
		"exactly all":            {[]answer{{status: 200, body: `[{},{},{}]`, header: map[string]string{"X-Total-Count": "3"}}}, 3, 3, 0},
		"one that knows no page": {[]answer{{status: 200, body: `[{},{},{},{},{}]`}}, 3, 3, 2},
		"two pages":              {[]answer{{status: 200, body: `[{},{}]`, header: counted}, {status: 200, body: `[{},{}]`, header: link}}, 3, 3, 4},
		"all":                    {[]answer{{status: 200, body: `[{},{}]`, header: counted}, {status: 200, body: `[{}]`}}, 0, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := serve(t, tt.answers...)
			q := q
			q.Limit = tt.limit
			got, err := c.StacksBy(t.Context(), q)
			if err != nil || len(got.Items) != tt.items || got.Rest != tt.rest {
				t.Errorf("%d items and a rest of %d, %v; want %d and %d", len(got.Items), got.Rest, err, tt.items, tt.rest)
			}
			want := "GET /api/v1/stacks?label=eu&label=prod&limit=3&q=we+b&sort=-name"
			if tt.limit == 0 {
				want = "GET /api/v1/stacks?label=eu&label=prod&q=we+b&sort=-name"
			}
			if asked := p.seen(); len(asked) != len(tt.answers) || asked[0] != want {
				t.Errorf("asked %v, want %d requests, the first %s", asked, len(tt.answers), want)
			}
			if len(q.Filters) != 2 {
				t.Errorf("the caller's filters are %v now", q.Filters)
			}
		})
	}
}
