package broker_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
)

const (
	key     = "brokkr_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	agentID = "0d9c4b9e-2a9b-4a62-8d6e-3b1f5f1c9a77"
	boot    = "6f1f3c1e-7a43-4f6f-9a2e-0d7f4c1b2a30"
)

func serve(t *testing.T, h http.HandlerFunc) *broker.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return client(t, s.URL)
}

func client(t *testing.T, base string) *broker.Client {
	t.Helper()
	u, err := broker.ParseURL(base)
	if err != nil {
		t.Fatal(err)
	}
	return broker.New(u, key, "1.2.3", nil)
}

func sumOf(content []byte) string {
	h := sha256.Sum256(content)
	return hex.EncodeToString(h[:])
}

// wantFault looks at kind and code of err, and at what its message says; it must never have the key.
func wantFault(t *testing.T, err error, kind fault.Kind, code string, says ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		t.Fatalf("got %v (%s, %s), want %s, %s", err, fault.KindOf(err), fault.CodeOf(err), kind, code)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("got %q, want it to say %q", err, s)
		}
	}
	if strings.Contains(err.Error(), key) {
		t.Errorf("the error repeats the key: %v", err)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"http://b", "https://b.example:8443", "https://b.example/brokkr/", "http://[::1]:3000"} {
		if _, err := broker.ParseURL(good); err != nil {
			t.Errorf("%s: got %v", good, err)
		}
	}
	for _, bad := range []string{"", "b:3000", "ftp://b", "http://", "http://u:p@b", "http://b?x=y", "http://b#x", "http://b:%zz"} {
		if _, err := broker.ParseURL(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		_, _ = io.WriteString(w, `{"admin":false,"agent":"`+agentID+`","generator":null,"readonly":false}`)
	})
	got, err := c.WhoAmI(t.Context())
	if err != nil || string(got) != agentID {
		t.Fatalf("got %q, %v", got, err)
	}
	if seen.Method != http.MethodPost || seen.URL.Path != "/api/v1/auth/pak" || seen.Header.Get("Authorization") != "Bearer "+key || seen.UserAgent() != "brokkr-agent/1.2.3" {
		t.Errorf("got %s %s, %v", seen.Method, seen.URL, seen.Header)
	}
}

func TestWhoAmIRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status  int
		header  http.Header
		body    string
		kind    fault.Kind
		code    string
		says    string
		retryIn time.Duration
	}{
		"WrongKey":      {status: 401, kind: fault.Unauthenticated, code: "unauthorized", says: "does not accept the PAK"},
		"AdminsKey":     {body: `{"admin":true,"agent":null,"generator":null,"readonly":false}`, kind: fault.Forbidden, code: "agent_pak_required", says: "belongs to no agent"},
		"Code":          {status: 403, body: `{"code":"agent_inactive","message":"it is inactive"}`, header: http.Header{"Retry-After": {"5"}}, kind: fault.Forbidden, code: "agent_inactive", says: "it is inactive", retryIn: 5 * time.Second},
		"Limited":       {status: 429, body: `{"code":"rate_limited","message":"slow down"}`, header: http.Header{"Retry-After": {"86400"}}, kind: fault.Limited, code: "rate_limited", says: "slow down", retryIn: 5 * time.Minute},
		"Balancer":      {status: 503, body: "<html>no backend</html>", kind: fault.Unavailable, code: "broker_unavailable", says: "503 Service Unavailable"},
		"Broken":        {status: 500, body: "oops", kind: fault.Internal, code: "broker_unavailable", says: "500"},
		"Elsewhere":     {status: 404, body: "404 page not found", kind: fault.Unavailable, code: "not_a_broker", says: "404 Not Found"},
		"Firewall":      {status: 403, body: "<html>blocked</html>", kind: fault.Unavailable, code: "not_a_broker", says: "403 Forbidden"},
		"Redirect":      {status: 302, header: http.Header{"Location": {"https://login.example/"}}, kind: fault.Unavailable, code: "not_a_broker", says: "https://login.example/"},
		"LoginPage":     {body: "<html>log in</html>", kind: fault.Unavailable, code: "not_a_broker", says: "is something else listening"},
		"OtherJSON":     {body: `{"ok":true}`, kind: fault.Unavailable, code: "not_a_broker"},
		"OtherShape":    {body: `[1]`, kind: fault.Unavailable, code: "not_a_broker"},
		"OtherIdentity": {body: `{"admin":false,"agent":"root"}`, kind: fault.Unavailable, code: "not_a_broker"},
		"Endless":       {body: `{"admin":false,"x":"` + strings.Repeat("x", 70<<10) + `"}`, kind: fault.Unavailable, code: "bad_answer", says: "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header()[k] = v
				}
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := c.WhoAmI(t.Context())
			wantFault(t, err, tt.kind, tt.code, tt.says)
			if f, _ := fault.As(err); f.RetryAfter != tt.retryIn {
				t.Errorf("retry after %s, want %s", f.RetryAfter, tt.retryIn)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.WhoAmI(t.Context())
	wantFault(t, err, fault.Unavailable, "not_a_broker", other.URL)
	if asked.Load() != 0 {
		t.Error("the key was carried to another server")
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	addr := l.Addr().String()
	go func() { // takes connections and ends them without a word
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	_, err = client(t, "http://"+addr).WhoAmI(t.Context())
	wantFault(t, err, fault.Unavailable, "broker_unreachable", addr)
	const nobody = "127.0.0.1:1" // which no test is given, at any moment
	_, err = client(t, "http://"+nobody).WhoAmI(t.Context())
	wantFault(t, err, fault.Unavailable, "broker_unreachable", nobody, "refused")
}

func TestWhatIsNoAnswerAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"nothing": `{}`, "something": `{"ok":true}`, "half": `{"revision":7}`, "null": `null`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
			_, err := c.Sync(t.Context(), agentID, wire.SyncRequest{BootID: boot, Seq: 2, Revision: 7})
			wantFault(t, err, fault.Unavailable, "not_a_broker", c.URL())
		})
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	stacks := []wire.Stack{{StackID: agentID, Checksum: "x", Size: 3}}
	want := wire.SyncResponse{Revision: 8, Stacks: &stacks, Removed: []wire.Removed{{StackID: boot, Revision: 7}}, Next: wire.Next{WaitSeconds: 55}}
	req := wire.SyncRequest{BootID: boot, Seq: 2, Revision: 7, WaitSeconds: 1, Removed: []wire.Removed{{StackID: boot, Revision: 6}}}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var got wire.SyncRequest
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("request: %v, %v", err, r.Header)
		}
		if diff := cmp.Diff(req, got); diff != "" || r.URL.Path != "/under/api/v1/agents/"+agentID+"/sync" {
			t.Errorf("%s: (-want +got)\n%s", r.URL.Path, diff)
		}
		if err := json.NewEncoder(w).Encode(want); err != nil {
			t.Error(err)
		}
	})
	got, err := client(t, c.URL()+"/under/").Sync(t.Context(), agentID, req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestAParkedSyncCanBeGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
		close(gone)
	})
	if _, err := c.Sync(ctx, agentID, wire.SyncRequest{BootID: boot, Seq: 1, WaitSeconds: 55}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	<-gone
}

func TestManifest(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("kind: ConfigMap\n"), 5000)
	for name, handler := range map[string]http.HandlerFunc{
		"Plain": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) },
		"Gzip": func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("gzip is not asked for")
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed(t, content))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v1/manifests/"+sumOf(content) {
					t.Errorf("asked for %s", r.URL.Path)
				}
				handler(w, r)
			})
			got, err := c.Manifest(t.Context(), sumOf(content), int64(len(content)))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
}

func packed(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestADamagedManifestIsFetchedAgainPastCaches(t *testing.T) {
	t.Parallel()
	content := []byte("kind: ConfigMap\n")
	for name, damage := range map[string]http.HandlerFunc{
		"Changed": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("kind: Confidant\n")) },
		"Short":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content[:5]) },
		"CutOff": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "16")
			_, _ = w.Write(content[:5])
		},
		"Long": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(append(content, 'x')) },
		"Bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed(t, make([]byte, 1<<20)))
		},
	} {
		for times, want := range map[int32]string{1: string(content), 2: ""} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var asked atomic.Int32
				c := serve(t, func(w http.ResponseWriter, r *http.Request) {
					n := asked.Add(1)
					if fresh := r.Header.Get("Cache-Control") == "no-cache"; fresh != (n == 2) {
						t.Errorf("request %d: Cache-Control %q", n, r.Header.Get("Cache-Control"))
					}
					if n <= times {
						damage(w, r)
						return
					}
					_, _ = w.Write(content)
				})
				got, err := c.Manifest(t.Context(), sumOf(content), int64(len(content)))
				if string(got) != want || asked.Load() != 2 {
					t.Errorf("got %q after %d requests, want %q after 2", got, asked.Load(), want)
				}
				if want == "" {
					wantFault(t, err, fault.Unavailable, "manifest_damaged", sumOf(content))
				} else if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestManifestRefused(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"not_found","message":"there is no such manifest"}`)
	})
	_, err := c.Manifest(t.Context(), sumOf(nil), 1)
	wantFault(t, err, fault.NotFound, "not_found", "there is no such manifest")
	for _, size := range []int64{-1, 33 << 20} {
		_, err = c.Manifest(t.Context(), sumOf(nil), size)
		wantFault(t, err, fault.Invalid, "manifest_too_large")
	}
}

// It sets the process's tracing, as telemetry does, and so runs alone.
func TestAFetchGoesOnWithTheTraceOfItsChange(t *testing.T) { //nolint:paralleltest // see above
	spans := tracetest.NewInMemoryExporter()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	otel.SetTracerProvider(traces)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	var parents []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		parents = append(parents, r.Header.Get("Traceparent"))
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"revision":1,"pending":{},"next":{}}`)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := c.Sync(t.Context(), agentID, wire.SyncRequest{}); err != nil {
		t.Fatal(err)
	}
	ctx, pass := traces.Tracer("").Start(telemetry.Remote(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "pass")
	defer pass.End()
	if _, err := c.Manifest(ctx, sumOf([]byte("{}")), 2); err != nil {
		t.Fatal(err)
	}
	if parents[0] != "" || !strings.HasPrefix(parents[1], "00-4bf92f3577b34da6a3ce929d0e0e4736-") {
		t.Errorf("got traceparents %q, want none for the sync and the change's for the fetch", parents)
	}
	if got := spans.GetSpans(); len(got) != 1 {
		t.Errorf("got %d spans, want one", len(got))
	}
}
