package kube_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/adapters/kube"
)

// wantLease has a lease be taken, and given back.
func (w *world) wantLease(c *kube.Cluster) {
	w.Helper()
	ctx, stop := context.WithCancel(w.Context())
	held := make(chan bool, 10)
	l := c.Lease(uuid.NewString(), func(s kube.LeaseState, _ string) { held <- s == kube.LeaseHeld })
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	select {
	case ok := <-held:
		if !ok {
			w.Error("lease: another holds it")
		}
	case err := <-ended:
		ended <- err
	case <-time.After(patience):
		w.Error("lease: nothing was told")
	}
	stop()
	if err := <-ended; err != nil {
		w.Errorf("lease: %v", err)
	}
}

// Environment of a process that holds a lease until it is killed: this test program, started again.
const envHolder, envHolderAgent, envHolderNamespace = "KUBE_TEST_HOLDER", "KUBE_TEST_HOLDER_AGENT", "KUBE_TEST_HOLDER_NAMESPACE"

// TestMain also has connections be looked after more often than client-go does by itself, so that tests see it happen.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP2_READ_IDLE_TIMEOUT_SECONDS", "HTTP2_PING_TIMEOUT_SECONDS"} {
		if err := os.Setenv(name, "5"); err != nil {
			panic(err)
		}
	}
	if path := os.Getenv(envHolder); path != "" {
		os.Exit(hold(path))
	}
	os.Exit(m.Run())
}

func hold(kubeconfig string) int {
	cfg, err := kube.Config(kube.Access{Kubeconfig: kubeconfig})
	if err != nil {
		return 1
	}
	c, err := kube.New(cfg, kube.Options{Agent: os.Getenv(envHolderAgent), Namespace: os.Getenv(envHolderNamespace)})
	if err != nil {
		return 1
	}
	l := c.Lease("killed", func(s kube.LeaseState, _ string) {
		if s == kube.LeaseHeld {
			_, _ = os.Stdout.WriteString("held")
		}
	})
	if err := l.Run(context.Background()); err != nil {
		return 1
	}
	return 0
}

// TestHolderIsKilled takes a lease over at once from a process of this machine that was killed: it need not expire.
func TestHolderIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envHolder+"="+testenv.Kubeconfigs(t, 1)[0], envHolderAgent+"="+w.agent, envHolderNamespace+"="+w.namespace)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatalf("the holder did not tell that it holds the lease: %v", err)
	}
	states := make(chan kube.LeaseState, 10)
	ctx, stop := context.WithCancel(t.Context())
	l := w.c.Lease("next", func(s kube.LeaseState, _ string) { states <- s })
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	if got := <-states; got != kube.LeaseOther {
		t.Fatalf("state while the other lives: got %d, want %d", got, kube.LeaseOther)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	killed := time.Now()
	if got := <-states; got != kube.LeaseHeld {
		t.Fatalf("state after the other was killed: got %d, want %d", got, kube.LeaseHeld)
	}
	if took := time.Since(killed); took > 10*time.Second {
		t.Errorf("the lease was taken over after %v, want before it expires", took)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
