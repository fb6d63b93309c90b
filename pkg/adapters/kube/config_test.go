package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
)

const someKubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}, {name: lost, context: {cluster: absent, user: u}}]
clusters: [{name: c, cluster: {server: "https://one.example:6443"}}]
users: [{name: u, user: {token: t}}]
`

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nowhere takes all the usual places of a kubeconfig away.
func nowhere(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_PORT", "")
}

func TestConfigIsFound(t *testing.T) {
	nowhere(t)
	path := writeFile(t, someKubeconfig)
	check := func(a kube.Access) {
		t.Helper()
		cfg, err := kube.Config(a)
		if err != nil {
			t.Fatalf("config: %v", err)
		}
		if cfg.Host != "https://one.example:6443" || cfg.BearerToken != "t" || cfg.UserAgent != a.UserAgent {
			t.Fatalf("config: got %s, token %q, agent %q", cfg.Host, cfg.BearerToken, cfg.UserAgent)
		}
		if cfg.QPS >= 0 {
			t.Errorf("config: got a limit of %v requests a second, want none", cfg.QPS)
		}
	}
	check(kube.Access{Kubeconfig: path, UserAgent: "brokkr-agent/1"})
	t.Setenv("KUBECONFIG", path)
	check(kube.Access{})
}

func TestConfigIsNotFound(t *testing.T) {
	nowhere(t)
	for name, c := range map[string]struct {
		path func(t *testing.T) string
		says []string
	}{
		"nowhere":     {func(*testing.T) string { return "" }, []string{"no Kubernetes cluster", "--kubeconfig", "KUBECONFIG", "in a pod"}},
		"empty":       {func(t *testing.T) string { return writeFile(t, "") }, []string{"leads to no cluster", "current-context"}},
		"absent file": {func(*testing.T) string { return "/absent/kubeconfig" }, []string{"read the kubeconfig", "/absent/kubeconfig"}},
		"not YAML":    {func(t *testing.T) string { return writeFile(t, "a: [") }, []string{"read the kubeconfig"}},
		"no such cluster": {func(t *testing.T) string {
			return writeFile(t, strings.Replace(someKubeconfig, "current-context: here", "current-context: lost", 1))
		},
			[]string{"leads to no cluster", "current-context"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kube.Config(kube.Access{Kubeconfig: c.path(t)})
			if err == nil {
				t.Fatal("config: got no error")
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("config: got %q, want that it says %q", err, part)
				}
			}
		})
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	cfg := &rest.Config{Host: "https://one.example", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("no certificate")}}
	if _, err := kube.New(cfg, kube.Options{}); err == nil || !strings.Contains(err.Error(), "connection to Kubernetes") {
		t.Fatalf("new: got %v, want that the connection cannot be set up", err)
	}
	c, err := kube.New(&rest.Config{Host: "https://one.example"}, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Host() != "https://one.example" {
		t.Errorf("host: got %s", c.Host())
	}
}
