package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/guides"
	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// buildTools is a folder with helm and kubectl, as the repository pins them.
func buildTools(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"helm", "kubectl"} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "tools", "build.sh"), tool)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("build %s: %v", tool, err)
		}
		if err := os.Symlink(strings.TrimSpace(string(out)), filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell is where the commands of a guide are run: a home, a namespace and ports of its own.
type shell struct {
	t         *testing.T
	dir       string // to work in
	home      string
	broker    string // host:port
	namespace string
	env       map[string]string
}

func newShell(t *testing.T, root, kubeconfig, tools string, inRoot bool) *shell {
	t.Helper()
	home := t.TempDir()
	free := func() string { return net.JoinHostPort("127.0.0.1", itoa(testenv.FreePort(t))) }
	s := &shell{t: t, dir: root, home: home, broker: free(), namespace: "guides-" + strings.ToLower(rand.Text()[:8])}
	if !inRoot {
		s.dir = filepath.Join(home, "checkout")
		mirror(t, root, s.dir)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	s.env = map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "config"), "BROKKR__BROKER__STATE_DIR": filepath.Join(home, "state"), "LASTING": filepath.Join(home, "lasting"),
		"PATH": filepath.Dir(programs.CLI) + ":" + tools + ":" + os.Getenv("PATH"), "KUBECONFIG": filepath.Join(home, "kubeconfig"),
		"NAMESPACE": s.namespace, "BROKER": s.broker, "RECEIVER": receiver.URL, "BROKKR__BROKER__ADDR": s.broker, "BROKKR__ADMIN__ADDR": "off", "LOG_LEVEL": "warn",
		"BROKKR__AGENT__ADDR": free(), "BROKKR__AGENT__NAMESPACE": s.namespace, "BROKKR__AGENT__NAMESPACED": "true",
	}
	for _, name := range []string{"GOFLAGS", "GOMAXPROCS", "GOPROXY", "GOCACHE", "GOMODCACHE", "GOPATH", "GOTOOLCHAIN", "BROKKR_CACHE"} { // what compiles, compiles as everywhere
		if v, ok := os.LookupEnv(name); ok {
			s.env[name] = v
		}
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		if out, err := exec.CommandContext(t.Context(), "go", "env", name).Output(); err == nil {
			s.env[name] = strings.TrimSpace(string(out))
		}
	}
	for _, dir := range []string{filepath.Dir(home), home} {
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the private PostgreSQL may have a user of its own
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.env["LASTING"], 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.env["KUBECONFIG"], text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.bash(context.Background(), `for ns in $(kubectl get namespace -o name | sed -n "s,^namespace/,,p" | grep "^$NAMESPACE"); do
  helm list -n $ns -q | xargs -r -n1 helm uninstall -n $ns; kubectl delete namespace $ns --wait=false; done`)
	})
	s.bash(t.Context(), `kubectl create namespace $NAMESPACE && kubectl config set-context --current --namespace=$NAMESPACE`)
	return s
}

// mirror makes a folder with links to all that is in the checkout, but what is built.
func mirror(t *testing.T, root, dir string) {
	t.Helper()
	all, err := os.ReadDir(root)
	if err == nil {
		err = os.Mkdir(dir, 0o755) //nolint:gosec // as a checkout is
	}
	for _, e := range all {
		if name := e.Name(); err == nil && !strings.HasPrefix(name, ".") && name != "bin" && name != "dist" {
			err = os.Symlink(filepath.Join(root, name), filepath.Join(dir, name))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startBroker starts a broker with an agent that has whatever label a guide asks for, and logs the admin in.
func (s *shell) startBroker(p world.Programs, g guide) {
	s.t.Helper()
	key, err := pak.Generate(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	testenv.Start(s.t, testenv.ProcSpec{Path: p.Broker, Args: []string{"serve"}, ReadyURL: "http://" + s.broker + "/readyz", Timeout: world.Patience, Env: []string{
		"DATABASE_URL=" + testenv.Postgres(s.t), "BROKKR__SECRETS__KEYS=" + seal.Generate("k1"), "BROKKR__BROKER__PAK_HASH=" + key.Hash(),
		"BROKKR__BROKER__ADDR=" + s.broker, "BROKKR__ADMIN__ADDR=off", "BROKKR__WEBHOOKS__ALLOW_NETWORKS=127.0.0.1/32", "LOG_LEVEL=warn"}})
	out := s.bash(s.t.Context(), "brokkr login --url http://$BROKER --pak "+key.Reveal()+" >&2\n"+
		"brokkr agent create --name first --cluster-name production --label prod --label default --label demo --label env:prod --annotation region=eu -o json")
	var made struct {
		PAK string `json:"pak"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		s.t.Fatalf("agent create: %v\n%s", err, out)
	}
	addr := net.JoinHostPort("127.0.0.1", itoa(testenv.FreePort(s.t)))
	testenv.Start(s.t, testenv.ProcSpec{Path: p.Agent, Args: []string{"start"}, ReadyURL: "http://" + addr + "/readyz", Timeout: world.Patience, Env: []string{
		"BROKKR__AGENT__PAK=" + made.PAK, "BROKKR__AGENT__BROKER_URL=http://" + s.broker, "BROKKR__AGENT__ADDR=" + addr,
		"BROKKR__AGENT__NAMESPACE=" + s.namespace, fmt.Sprintf("BROKKR__AGENT__NAMESPACED=%t", !g.clusterWide), "KUBECONFIG=" + s.env["KUBECONFIG"], "LOG_LEVEL=warn"}})
}

// bash runs a script and returns what it printed to standard output; it fails the test if the script fails.
func (s *shell) bash(ctx context.Context, script string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = s.dir
	for k, v := range s.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v\n%s%s", err, &errs, &out)
	}
	s.t.Logf("%s%s", &errs, &out)
	return out.String()
}

// untilAtWork is a command that succeeds once the given one, which does not end, is at work; empty for one that ends.
func untilAtWork(command string) string {
	for pattern, until := range map[string]string{
		`brokkr-broker serve`:          `curl -fsS http://$BROKER/readyz`,
		`brokkr-agent start`:           `curl -fsS http://$BROKKR__AGENT__ADDR/health | grep -q '"name":"broker","status":"ok"'`,
		`^brokkr (events|logs) .*-f\b`: `sleep 1`,
		`^go run .*/watch`:             `brokkr status hello`,
	} {
		if regexp.MustCompile(pattern).MatchString(command) {
			return until
		}
	}
	return ""
}

// run runs the blocks of a guide, one command after the other in one shell. A command that goes on is left in the background.
func (s *shell) run(g guide, blocks []guides.Block) {
	s.t.Helper()
	var script strings.Builder
	// At the end all of the process group is told to end, and waited for: shells in the background, which stay until what they run has
	// ended, and what that has started itself.
	script.WriteString(`trap 'trap : TERM; kill 0; wait' EXIT
at_work() { # PID LOG COMMAND...: waits until a command in the background is at work
  local pid=$1 log=$2 n; shift 2
  for n in $(seq 600); do
    kill -0 $pid 2>/dev/null || { cat "$log" >&2; echo "it has ended" >&2; return 1; }
    ! eval "$@" >/dev/null 2>&1 || return 0
    sleep 0.1
  done
  cat "$log" >&2; return 1
}
` + g.before + "\n")
	used := make([]bool, len(g.meant))
	n := 0
	for _, b := range blocks {
		commands, err := guides.Statements(b.Text)
		if err != nil {
			s.t.Fatalf("%s: %v", b.Where(), err)
		}
		for _, c := range commands {
			fmt.Fprintf(&script, "echo %s >&2\n", quoted("$ "+c+"   # "+b.Where()))
			for i, m := range g.meant {
				r := regexp.MustCompile(m[0])
				used[i] = used[i] || r.MatchString(c)
				c = r.ReplaceAllString(c, m[1])
			}
			c = strings.ReplaceAll(c, "localhost:3000", s.broker)
			if regexp.MustCompile(`^\S*brokkr (webhook )?delete `).MatchString(c) {
				c += " --yes" // there is no terminal to ask on
			}
			if strings.HasPrefix(c, "brokkr diff ") && !strings.Contains(c, "||") {
				c += " || [ $? -eq 1 ]" // there are differences, which is an answer
			}
			if until := untilAtWork(c); until != "" {
				n++
				fmt.Fprintf(&script, "{ trap : TERM; %s\n} > $LASTING/%d 2>&1 &\nat_work $! $LASTING/%d %s\n", c, n, n, quoted(until))
				continue
			}
			script.WriteString(c + "\n")
		}
	}
	for i, u := range used {
		if !u {
			s.t.Errorf("the guide does not say %s any more", g.meant[i][0])
		}
	}
	s.bash(s.t.Context(), script.String())
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// What a guide starts and leaves running ends with it.
func TestShellLeavesNoProcess(t *testing.T) {
	dir := t.TempDir()
	program := "#!/bin/sh\necho $$ > \"$LASTING/pid\"\nsleep 300\n"
	if err := os.WriteFile(filepath.Join(dir, "brokkr"), []byte(program), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	s := &shell{t: t, dir: dir, env: map[string]string{"PATH": dir + ":" + os.Getenv("PATH"), "LASTING": dir}}
	s.run(guide{}, []guides.Block{{File: "guide.md", Text: "brokkr logs hello -f\n"}})
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "kill", "-0", strings.TrimSpace(string(pid))).CombinedOutput(); err == nil {
		t.Errorf("process %s still runs %s", strings.TrimSpace(string(pid)), out)
	}
}
