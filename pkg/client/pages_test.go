package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
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
		got, err := c.WorkOrders(t.Context(), client.WorkOrderQuery{Limit: limit})
		if err != nil || len(got) != want.items || len(asked) != want.requests || got[len(got)-1].ID != strconv.Itoa(want.items-1) {
			t.Errorf("limit %d: %d items by %v, %v; want %d by %d requests", limit, len(got), asked, err, want.items, want.requests)
		}
	}
}
