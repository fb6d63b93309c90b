package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

// breaks fails the second page of stacks.
type breaks struct{ *memory.Store }

type breakingStacks struct{ ports.Stacks }

func (s breaks) Stacks() ports.Stacks { return breakingStacks{s.Store.Stacks()} }

func (s breakingStacks) Page(ctx context.Context, scope tenancy.Scope, q page.Query) (page.Page[stack.Stack], error) {
	if q.After != nil {
		return page.Page[stack.Stack]{}, fault.New(fault.Unavailable, "unavailable", "the database is away")
	}
	return s.Stacks.Page(ctx, scope, q)
}

func manyStacks(t *testing.T, w *world, n int) {
	t.Helper()
	must(t, w.store.Write(t.Context(), func(ctx context.Context, tx ports.Repositories) error {
		for i := range n {
			at := time.Now()
			s := stack.Stack{ID: stack.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), Name: fmt.Sprintf("s%06d", i), Generator: w.owner.ID, Version: 1, CreatedAt: at, UpdatedAt: at}
			if err := tx.Stacks().Insert(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}))
}

func whole(t *testing.T, w *world) (http.Header, []byte, error) {
	t.Helper()
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/stacks", http.NoBody)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+w.keys[asAdmin])
	resp, err := server.Client().Do(r)
	must(t, err)
	defer resp.Body.Close() //nolint:errcheck // the test's own
	body, err := io.ReadAll(resp.Body)
	return resp.Header, body, err
}

func TestAWholeListIsStreamedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	manyStacks(t, w, 2500)
	header, body, err := whole(t, w)
	must(t, err)
	var all []json.RawMessage
	must(t, json.Unmarshal(body, &all))
	if len(all) != 2503 || header.Get("X-Total-Count") != "2503" || header.Get("Link") != "" || header.Get("Content-Length") != "" {
		t.Errorf("got %d items, headers %v; want 2503, streamed, without a next page", len(all), header)
	}
}

func TestAnErrorInTheMiddleOfAListBreaksTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, loadContract(t), api.Config{}, breaks{memory.New(time.Now)})
	manyStacks(t, w, 1500)
	_, body, err := whole(t, w)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reading the answer ended with %v, want an unexpected end", err)
	}
	if json.Valid(body) {
		t.Error("what arrived is valid JSON: a part was taken for the whole")
	}
}
