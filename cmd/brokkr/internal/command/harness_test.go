package command_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/command"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	adminPAK = "brokkr_BRadmin1_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	madePAK  = "brokkr_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
)

// answer is one recorded answer of the API.
type answer struct {
	status int
	body   string
	header map[string]string
}

func ok(body string) answer      { return answer{status: 200, body: body} }
func created(body string) answer { return answer{status: 201, body: body} }
func refused(status int, code, message string) answer {
	return answer{status: status, body: fmt.Sprintf(`{"code":%q,"message":%q}`, code, message), header: map[string]string{"X-Request-Id": "req-1"}}
}

// routes maps "METHOD /path" below /api/v1 to its answers in turn; the last one stays.
type routes map[string][]answer

// run is one run of the command line against a broker that plays recorded answers.
type run struct {
	routes routes
	args   []string
	stdin  string
	tty    bool
	env    map[string]string // besides the URL and an admin's key
	tick   time.Duration     // how far the clock goes on with each look at a status
	loose  bool              // the environment names neither URL nor key
	ctx    context.Context   // of the command; nil means the test's
	after  func(requests int)
}

// result is what a run left behind.
type result struct {
	exit     int
	out, err string
	requests []string
	dir      string // configuration folder
}

func (r run) do(t *testing.T) result {
	t.Helper()
	var mu sync.Mutex
	now := time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC)
	res := result{dir: t.TempDir()}
	played := map[string]int{}
	// A port is given again to others: what somebody sends to the one who had it before is none of this run's requests.
	mine := "/" + rand.Text()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		uri, ok := strings.CutPrefix(req.RequestURI, mine)
		if !ok {
			http.NotFound(w, req)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		route := req.Method + " " + strings.TrimPrefix(uri, "/api/v1")
		res.requests = append(res.requests, strings.TrimSpace(route+" "+string(body)))
		if len(body) > 0 && (req.Header.Get("Content-Type") != "application/json" || !json.Valid(body)) {
			t.Errorf("%s: the body is not JSON: %s", route, body)
		}
		if strings.HasSuffix(route, "/status") || strings.HasSuffix(route, "/cluster") {
			now = now.Add(r.tick)
		}
		api := strings.HasPrefix(uri, "/api/v1")
		if !api && req.Header.Get("Authorization") != "" {
			t.Errorf("%s: a process endpoint is sent the key", route)
		}
		if want := r.env["BROKKR_PAK"]; api && !r.loose && req.Header.Get("Authorization") != "Bearer "+orElse(want, adminPAK) {
			t.Errorf("%s: Authorization = %q", route, req.Header.Get("Authorization"))
		}
		answers := r.routes[route]
		if len(answers) == 0 {
			t.Errorf("unexpected request %s %s", route, body)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		a := answers[min(played[route], len(answers)-1)]
		played[route]++
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		if a.body != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
		if r.after != nil {
			r.after(len(res.requests))
		}
	}))
	defer srv.Close()
	broker := srv.URL + mine
	env := map[string]string{"XDG_CONFIG_HOME": res.dir, "BROKKR_URL": broker, "BROKKR_PAK": adminPAK}
	if r.loose {
		env = map[string]string{"XDG_CONFIG_HOME": res.dir}
	}
	for k, v := range r.env {
		env[k] = strings.ReplaceAll(v, "http://broker", broker)
	}
	args := make([]string, len(r.args))
	for i, a := range r.args {
		args[i] = strings.ReplaceAll(a, "http://broker", broker)
	}
	var out, errs bytes.Buffer
	ctx := r.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	res.exit = command.Run(ctx, command.Env{
		In: strings.NewReader(r.stdin), Out: &out, Err: &errs,
		Getenv:   func(k string) string { return env[k] },
		Now:      func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
		Terminal: command.Terminal{In: r.tty, Out: r.tty, Err: r.tty, ReadSecret: func() (string, error) { return adminPAK, nil }},
		Build:    command.Build{Version: "v1.2.3", Commit: "abc", Go: "go1.26"},
		Poll:     time.Millisecond,
		Sleep:    func(context.Context, time.Duration) error { return nil },
	}, args)
	srv.Close() // no handler writes any more
	clean := strings.NewReplacer(broker, "http://broker", strings.TrimPrefix(broker, "http://"), "broker", strings.TrimPrefix(srv.URL, "http://"), "broker", res.dir, "$CONFIG")
	res.out, res.err = clean.Replace(out.String()), clean.Replace(errs.String())
	if s := strings.ReplaceAll(res.out+res.err, madePAK, ""); strings.Contains(s, "GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8") {
		t.Errorf("the key in use was printed:\n%s", s)
	}
	return res
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// golden compares everything that a run left behind with testdata/NAME.golden.
func (r result) golden(t *testing.T, name string) {
	t.Helper()
	got := fmt.Sprintf("exit %d\n-- stdout --\n%s-- stderr --\n%s-- requests --\n%s\n", r.exit, r.out, r.err, strings.Join(r.requests, "\n"))
	path := filepath.Join("testdata", strings.ReplaceAll(name, "/", "-")+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
