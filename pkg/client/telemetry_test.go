package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/colliery-io/brokkr/pkg/client"
)

func TestWatchStackShowsWhatIsSeenAndHowItEnds(t *testing.T) {
	t.Parallel()
	end := websocket.StatusServiceRestart
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/stacks/s1/live" || r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code":"stack_not_found","message":"stack is not there"}`))
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		for _, f := range []string{`{"type":"something_new","body":1}`, `nonsense`, `{"type":"pod_log_line","body":{"agent_id":"a","pod":"p","line":"hello","ts":"2026-03-01T12:00:00Z"}}`,
			`{"type":"k8s_event","body":{"agent_id":"a","reason":"Pulled","source":null,"involved_object":{"kind":"Pod","namespace":null}}}`, `{"type":"log_gap","body":{"dropped_count":3,"reason":"buffer_full"}}`} {
			if err := conn.Write(r.Context(), websocket.MessageText, []byte(f)); err != nil {
				t.Error(err)
			}
		}
		_ = conn.Close(end, "")
	}))
	defer srv.Close()
	c, err := client.New(client.Options{URL: srv.URL, PAK: "key", RequestTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WatchStack(t.Context(), "other"); !client.IsStatus(err, http.StatusNotFound) {
		t.Errorf("another stack: got %v, want the broker's 404", err)
	}
	w, err := c.WatchStack(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if s, err := w.Next(t.Context()); err != nil || s.Line == nil || s.Line.Line != "hello" {
		t.Errorf("first: got %+v, %v, want the line", s, err)
	}
	if s, err := w.Next(t.Context()); err != nil || s.Event == nil || s.Event.Involved.Kind != "Pod" {
		t.Errorf("second: got %+v, %v, want the event", s, err)
	}
	if s, err := w.Next(t.Context()); err != nil || s.Gap == nil || s.Gap.DroppedCount != 3 {
		t.Errorf("third: got %+v, %v, want the gap", s, err)
	}
	if _, err := w.Next(t.Context()); !client.IsLost(err) {
		t.Errorf("a broker that goes down: got %v, want a lost connection", err)
	}
}
