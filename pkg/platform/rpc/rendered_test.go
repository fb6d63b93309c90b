package rpc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

// What is rendered and sent is what would have been sent.
func TestRender(t *testing.T) {
	t.Parallel()
	info := rpc.Info{Op: "make", Method: http.MethodPost, Status: http.StatusCreated}
	for name, answer := range map[string]any{
		"JSON":     map[string]string{"a": "<b>"},
		"nothing":  rpc.Empty{},
		"bytes":    rpc.Bytes{ContentType: "application/yaml", Header: http.Header{"Location": {"/x"}}, Content: []byte("a: 1\n")},
		"a status": rpc.WithStatus{Status: http.StatusAccepted, Body: []int{1}},
		"tagged":   rpc.Tagged{Tag: "s", Body: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := httptest.NewRecorder()
			route := rpc.New(info, func(*http.Request) (struct{}, error) { return struct{}{}, nil },
				func(context.Context, struct{}) (any, error) { return answer, nil })
			route.Path = "/x"
			plain, err := serve(t, route, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x", http.NoBody))
			if err != nil {
				t.Fatal(err)
			}
			r, err := rpc.Render(t.Context(), info, answer)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Respond(t.Context(), again, http.StatusTeapot); err != nil {
				t.Fatal(err)
			}
			if again.Code != plain.Code || again.Body.String() != plain.Body.String() {
				t.Errorf("got %d %q, want %d %q", again.Code, again.Body, plain.Code, plain.Body)
			}
			if diff := cmp.Diff(plain.Header(), again.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := rpc.Render(t.Context(), info, make(chan int)); err == nil {
		t.Error("what cannot be encoded was rendered")
	}
}
