package kube_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// follow follows a log that the test serves, as API server and kubelet.
func follow(t *testing.T, ctx context.Context, o kube.Options, since time.Time, serve http.HandlerFunc, fn func(time.Time, string)) error {
	t.Helper()
	srv := httptest.NewServer(serve)
	t.Cleanup(srv.Close)
	o.Log = slog.New(slog.DiscardHandler)
	c, err := kube.New(&rest.Config{Host: srv.URL, QPS: -1}, o)
	if err != nil {
		t.Fatal(err)
	}
	return c.PodLogs().Follow(ctx, "ns", "p", "main", since, fn)
}

func TestALogIsReadLineByLine(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 5, 1, 14, 0, 0, 999, time.FixedZone("", 7200))
	long := strings.Repeat("x", 40_000)
	var asked string
	var got []string
	err := follow(t, t.Context(), kube.Options{}, since, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + "?" + r.URL.Query().Encode()
		for _, part := range []string{"2026-05-01T12:00:01.000000002Z he", "llo  world\r\n2026-05-01T12:00:01Z \n2026-05-01T14:00:02+02:00 " + long + "\n",
			"2026-05-01T12:00:03Z after\n2026-05-01T12:00:04Z unfinished"} {
			fmt.Fprint(w, part)
			w.(http.Flusher).Flush()
		}
	}, func(at time.Time, line string) { got = append(got, at.UTC().Format(time.RFC3339Nano)+"|"+line) })
	if err != nil {
		t.Fatal(err)
	}
	if want := "/api/v1/namespaces/ns/pods/p/log?container=main&follow=true&sinceTime=2026-05-01T12%3A00%3A00Z&timestamps=true"; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	want := []string{"2026-05-01T12:00:01.000000002Z|hello  world", "2026-05-01T12:00:01Z|", "2026-05-01T12:00:02Z|" + long[:16<<10],
		"2026-05-01T12:00:03Z|after", "2026-05-01T12:00:04Z|unfinished"}
	if len(got) != len(want) {
		t.Fatalf("got %d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: got %.100q (%d bytes), want %.100q (%d bytes)", i, got[i], len(got[i]), want[i], len(want[i]))
		}
	}
}

// A line is told as soon as it is written, and the context ends a log that goes on.
func TestALogIsFollowed(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	lines := 0
	err := follow(t, ctx, kube.Options{}, time.Now(), func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "2026-05-01T12:00:01Z first")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(time.Time, string) {
		lines++
		stop()
	})
	if !errors.Is(err, context.Canceled) || lines != 1 {
		t.Errorf("got %v after %d lines, want the context's end after one", err, lines)
	}
}

func TestALogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	status := func(code int, reason string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"because","reason":%q,"code":%d}`, reason, code)
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		o     kube.Options
		want  fault.Kind
		text  string
	}{
		"no right":   {status(403, "Forbidden"), kube.Options{}, fault.Forbidden, "because"},
		"no pod":     {status(404, "NotFound"), kube.Options{}, fault.NotFound, "because"},
		"not begun":  {status(400, "BadRequest"), kube.Options{}, fault.Invalid, "because"},
		"no disk":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "failed to open log file") }, kube.Options{}, fault.Unavailable, "failed to open log file"},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, kube.Options{}, fault.Unavailable, "cannot be reached"},
		"out of reach": {func(http.ResponseWriter, *http.Request) { t.Error("asked for a pod outside of the namespace") },
			kube.Options{Only: true, Namespace: "own"}, fault.Forbidden, "confined to namespace own"},
	} {
		err := follow(t, t.Context(), c.o, time.Now(), c.serve, func(_ time.Time, line string) { t.Errorf("%s: got the line %q", name, line) })
		if !fault.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", name, err, c.want, c.text)
		}
	}
}
