// Package generators_test runs the example generators against the api, on a real listener.
package generators_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/adapters/memory"
	"github.com/colliery-io/brokkr/pkg/adapters/outbound"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/services/api"
)

// broker is an api with one generator. Trouble, if set, may answer instead of it.
type broker struct {
	*httptest.Server
	store   *memory.Store
	owner   tenancy.Generator
	pak     string
	trouble atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler) bool]
}

func start(t *testing.T) *broker {
	t.Helper()
	store := memory.New(time.Now)
	if _, err := api.EnsureAdmin(t.Context(), store, time.Now, rand.Reader, ""); err != nil {
		t.Fatal(err)
	}
	owner, key, err := api.CreateGenerator(t.Context(), store, time.Now, rand.Reader, api.NewGenerator{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "api-test", Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	svc, err := api.New(t.Context(), api.Config{}, api.Deps{
		Store: store, Wakeups: store, Sender: outbound.ToTheWorld(nil), Telemetry: tel, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{store: store, owner: owner, pak: key.Reveal()}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := b.trouble.Load(); f != nil && (*f)(w, r, svc.Handler()) {
			return
		}
		svc.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *broker) env() []string {
	return append(os.Environ(), "BROKKR_URL="+b.URL, "BROKKR_PAK="+b.pak)
}

// objects returns the revisions of a stack, newest first; none if there is no stack.
func (b *broker) objects(t *testing.T, name string) []stack.Object {
	t.Helper()
	s, err := b.store.Stacks().ByName(context.Background(), b.owner.ID, name)
	if err != nil {
		return nil
	}
	out, err := b.store.Objects().OfStack(context.Background(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *broker) labels(t *testing.T, name string) string {
	t.Helper()
	s, err := b.store.Stacks().ByName(t.Context(), b.owner.ID, name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := b.store.Stacks().Labels(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, l := range all {
		out += l.Label + " "
	}
	return out
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  \"yaml_checksum\": '{\"is_deletion_marker\":true,\"id\":\"x\"} " + value + "'\n"
}

// shell runs the script and returns what it printed.
func (b *broker) shell(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	script, err := filepath.Abs("shell/publish.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{script}, args...)...)
	cmd.Env = b.env()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if strings.Contains(errs.String(), b.pak) {
		t.Errorf("the key is shown: %s", errs.String())
	}
	return strings.TrimSpace(out.String()), errs.String(), err
}

func (b *broker) shellSays(t *testing.T, want string, args ...string) {
	t.Helper()
	if out, errs, err := b.shell(t, args...); err != nil || out != want {
		t.Fatalf("got %q, %v, want %q\n%s", out, err, want, errs)
	}
}

func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"/bin/sh", "curl", "sha256sum", "awk"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed, and CI is set", tool)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
}

func TestShell(t *testing.T) {
	t.Parallel()
	needTools(t)
	b := start(t)
	dir := folder(t, map[string]string{"b.yaml": configMap("b", "1") + " \t\n\n", "a.yml": configMap("a", "1"), "A.yaml": configMap("upper", "1"), "notes.txt": "no"})
	b.shellSays(t, "created", "web", dir, "prod", "tier:web")
	b.shellSays(t, "unchanged", "web", dir, "prod")
	// It makes the very bytes that package client makes.
	bundle, err := client.ReadBundle(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.objects(t, "web"); len(got) != 1 || string(got[0].Checksum) != bundle.Checksum() {
		t.Errorf("objects: got %+v, want one with checksum %s", got, bundle.Checksum())
	}
	if got := b.labels(t, "web"); got != "prod tier:web " {
		t.Errorf("labels: got %q", got)
	}
	write(t, dir, map[string]string{"a.yml": configMap("a", "2")})
	b.shellSays(t, "updated", "web", dir, "prod")
	b.shellSays(t, "created", "other", dir)
	if got := b.objects(t, "web"); len(got) != 2 {
		t.Errorf("%d objects, want 2", len(got))
	}
}

// An answer that is lost does not publish twice, and a broker that is busy is waited for.
func TestShellThroughTrouble(t *testing.T) {
	t.Parallel()
	needTools(t)
	b := start(t)
	dir := folder(t, map[string]string{"a.yaml": configMap("a", "1")})
	var published, busy atomic.Int32
	trouble := func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/deployment-objects") && published.Add(1) == 1:
			next.ServeHTTP(httptest.NewRecorder(), r) // stored, and the answer is lost
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/api/v1/auth/pak" && busy.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	b.trouble.Store(&trouble)
	b.shellSays(t, "created", "web", dir)
	if got := b.objects(t, "web"); len(got) != 1 {
		t.Errorf("%d objects, want 1", len(got))
	}
}

func TestShellSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	needTools(t)
	b := start(t)
	good := folder(t, map[string]string{"a.yaml": configMap("a", "1")})
	for want, args := range map[string][]string{
		"usage: publish.sh":                         {"web"},
		"holds no *.yaml":                           {"web", t.TempDir()},
		"400 invalid_deployment_object: document 1": {"web", folder(t, map[string]string{"a.yaml": "a: b"})},
		"the name of the stack":                     {"we b", good},
		"label \"a b\"":                             {"web", good, "a b"},
	} {
		if out, errs, err := b.shell(t, args...); err == nil || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%v: got %q, %v\n%s\nwant a failure with %q", args, out, err, errs, want)
		}
	}
	b.pak = "brokkr_BRwrong11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	if _, errs, err := b.shell(t, "web", good); err == nil || !strings.Contains(errs, "401") {
		t.Errorf("a wrong key: got %v\n%s", err, errs)
	}
}

// logged collects what a program says.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func eventually(t *testing.T, what string, log *logged, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30s: %s\n%s", what, log)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	b := start(t)
	program := filepath.Join(t.TempDir(), "watch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./watch").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dir := folder(t, map[string]string{"a.yaml": configMap("a", "1")})
	var away atomic.Bool
	trouble := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return away.Load()
	}
	b.trouble.Store(&trouble)
	log := &logged{}
	cmd := exec.CommandContext(t.Context(), program, "-dir", dir, "-stack", "web", "-label", "prod", "-every", "50ms", "-resync", "300ms")
	cmd.Env, cmd.Stderr = b.env(), log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	count := func() int { return len(b.objects(t, "web")) }
	eventually(t, "the first publication", log, func() bool { return count() == 1 })
	eventually(t, "a resync that finds it unchanged", log, func() bool { return strings.Contains(log.String(), "msg=unchanged") })
	if count() != 1 {
		t.Errorf("%d objects after a resync, want 1", count())
	}
	write(t, dir, map[string]string{"b.yaml": configMap("b", "1")})
	eventually(t, "the second publication", log, func() bool { return count() == 2 })
	write(t, dir, map[string]string{"b.yaml": "not: a manifest"})
	eventually(t, "a folder that is wrong is told of", log, func() bool { return strings.Contains(log.String(), "waiting for a change") })
	away.Store(true)
	write(t, dir, map[string]string{"b.yaml": configMap("b", "2")})
	eventually(t, "the broker is missed", log, func() bool { return strings.Contains(log.String(), "the broker is away") })
	if count() != 2 {
		t.Errorf("%d objects while the broker is away, want 2", count())
	}
	away.Store(false)
	eventually(t, "the third publication", log, func() bool { return count() == 3 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "msg=stopped") {
		t.Errorf("the end: %v\n%s", err, log)
	}
	if strings.Contains(log.String(), b.pak) {
		t.Error("the key is in the log")
	}
}
