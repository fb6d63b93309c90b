package client_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/colliery-io/brokkr/pkg/client"
)

// A treatment is changed from the state that was read; if somebody else was faster, from theirs.
func TestTreatKeepsWhatOthersChange(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	version, drift, puts := 1, "correct", []string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tag := fmt.Sprintf(`"v%d"`, version)
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			puts = append(puts, r.Header.Get("If-Match")+" "+string(body))
			if len(puts) == 1 { // somebody else was faster
				version, drift = 2, "report"
				w.WriteHeader(http.StatusPreconditionFailed)
				_, _ = io.WriteString(w, `{"code":"precondition_failed","message":"it has changed"}`)
				return
			}
		}
		w.Header().Set("ETag", tag)
		_, _ = fmt.Fprintf(w, `{"id":"s","name":"web","treatment":{"prune":"delete","adopt":"always","drift":%q,"ignore_paths":[]}}`, drift)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, changed, err := c.Treat(t.Context(), "s", func(x client.Treatment) client.Treatment {
		x.Prune = "orphan"
		return x
	})
	if err != nil || !changed || len(puts) != 2 || !strings.HasPrefix(puts[0], `"v1" `) || !strings.HasPrefix(puts[1], `"v2" `) {
		t.Fatalf("changed %v, %v; PUTs %q, want one on each state", changed, err, puts)
	}
	if !strings.Contains(puts[1], `"drift":"report"`) || !strings.Contains(puts[1], `"prune":"orphan"`) {
		t.Errorf("what the other has changed is lost: %s", puts[1])
	}
	if _, changed, err := c.Treat(t.Context(), "s", func(x client.Treatment) client.Treatment { return x }); err != nil || changed || len(puts) != 2 {
		t.Errorf("the same again: changed %v, %v, %d PUTs", changed, err, len(puts))
	}
}
