package client_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/client"
)

// A publication that the broker says was done already is looked at, not sent for ever, and told as what it came to.
func TestPublishThatWasDoneAlready(t *testing.T) {
	t.Parallel()
	b, err := client.NewBundle("test", client.Part{Name: "a.yaml", Text: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"})
	if err != nil {
		t.Fatal(err)
	}
	const nothing, id = `[]`, "6f1f64a2-7b36-4c3e-9a38-0e3c1f5f6a01"
	c, p := serve(t,
		answer{status: 200, body: nothing}, answer{status: 503, body: `{"code":"commit_unknown","message":"m"}`},
		answer{status: 200, body: nothing}, answer{status: 409, header: map[string]string{"Retry-After": "3"}, body: `{"code":"idempotency_in_progress","message":"m"}`},
		answer{status: 200, body: nothing}, answer{status: 409, body: `{"code":"idempotency_done","message":"m"}`},
		answer{status: 200, body: fmt.Sprintf(`[{"id":%q,"yaml_checksum":%q}]`, id, b.Checksum())})
	done, err := c.PublishBundle(t.Context(), client.Stack{ID: "s", Name: "web"}, b)
	if err != nil || done.Outcome != client.Created || done.Object.ID != id {
		t.Errorf("got %+v, %v; want it created", done, err)
	}
	posts := 0
	for _, r := range p.seen() {
		if strings.HasPrefix(r, "POST ") {
			posts++
		}
	}
	if posts != 3 || len(p.waits) != 3 || p.waits[1] < 3*time.Second {
		t.Errorf("%d publications, waits %v; want three, and the wait that the broker asked for", posts, p.waits)
	}
}
