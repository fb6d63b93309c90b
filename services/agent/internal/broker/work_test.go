package broker_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClaimedWorkIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":   `[{"id":"1","yaml_content":"a"},{"id":"2"}]`,
		"2":  `[{"id":"3"}]`,
		"3":  `[{"id":"1"},{"id":"2"}]`, // 3 has ended meanwhile: it begins anew
		"no": `[]`,
	}
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("after")
		asked = append(asked, r.URL.Path+" "+after)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(pages[after]))
	})
	got, err := c.ClaimedWork(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, o := range got {
		ids = append(ids, o.ID)
	}
	path := "/api/v1/agents/a/work-orders/claimed "
	if d := cmp.Diff([]string{"1", "2", "3"}, ids) + cmp.Diff([]string{path, path + "2", path + "3"}, asked); d != "" {
		t.Error(d)
	}
}
