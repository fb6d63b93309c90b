package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// What agents do besides stacks: they do work orders, deliver webhooks inside their clusters, and join by themselves.
func TestAgentsBesidesStacks(t *testing.T) {
	w := world.New(t, programs, world.Options{AgentEnv: []string{"BROKKR__AGENT__WEBHOOK_NETWORKS=127.0.0.0/8"}})
	dir := t.TempDir()
	cli := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), programs.CLI, args...)
		cmd.Env = []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, ".config"), "BROKKR_URL=" + w.API.URL(), "BROKKR_PAK=" + w.Admin.PAK}
		cmd.Stdin = strings.NewReader(in)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("brokkr %s: %v\n%s", strings.Join(args, " "), err, &out)
		}
		return out.String()
	}
	t.Run("a work order with a Job", func(t *testing.T) {
		job := fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: %[1]s}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {kubecluster/phase: succeed}}
    spec: {restartPolicy: Never, containers: [{name: main, image: example.invalid/none}]}
---
%[2]s`, w.Clusters[0].Namespace, world.ConfigMap(w.Clusters[0].Namespace, "migrated", "yes"))
		if out := cli(job, "workorder", "create", "-f", "-", "--agent", w.Agents[0].Name, "--wait", "--timeout", "2m"); !strings.Contains(out, "succeeded") || !strings.Contains(out, w.Agents[0].Name) {
			t.Errorf("got %s", out)
		}
		w.Clusters[0].WaitData("migrated", "text", "yes")
		if out := cli("", "workorder", "log", "--succeeded"); !strings.Contains(out, w.Agents[0].Name) {
			t.Errorf("the log: %s", out)
		}
	})
	t.Run("a webhook inside the cluster", func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		receiver := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && r.Header.Get("X-Brokkr-Signature") != "" {
				got = append(got, string(b))
			}
			if len(got) == 1 {
				out.WriteHeader(http.StatusServiceUnavailable) // the first time
			}
		}))
		defer receiver.Close()
		s := w.Tenant.NewStack(t, w.Unique("hooked"))
		w.Admin.Must(t, http.MethodPost, "/webhooks", map[string]any{"name": "inside", "url": receiver.URL, "event_types": []string{"deployment.created"},
			"filters": map[string]any{"stack_id": s.ID}, "target_labels": []string{world.All}}, http.StatusCreated, nil)
		w.Tenant.Publish(t, s.ID, world.ConfigMap("default", "x", "one"))
		world.Eventually(t, world.Patience, "it is sent, and sent again after a failure", func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(got) != 2 || got[0] != got[1] || !strings.Contains(got[0], s.ID) {
				return fmt.Errorf("got %q", got)
			}
			return nil
		})
		world.Eventually(t, world.Patience, "it is known to have arrived", func() error {
			if out := cli("", "webhook", "deliveries", "inside"); !strings.Contains(out, "success") {
				return fmt.Errorf("deliveries: %s", out)
			}
			return nil
		})
	})
	t.Run("an agent joins", func(t *testing.T) {
		gate := w.Server("gateway-3", programs.Gateway, "BROKKR__GATEWAY__ADDR", "BROKKR__GATEWAY__PROXY_ADMIN=true", "BROKKR__GATEWAY__API_URL="+w.API.URL())
		gate.Start()
		label := w.Unique("joined")
		token := regexp.MustCompile(`brokkrjoin_\w+`).FindString(cli("", "join-token", "create", "edge", "--label", label, "--generator", w.Tenant.ID))
		if token == "" {
			t.Fatal("no token is shown")
		}
		name := w.Unique("edge")
		env := []string{"BROKKR__AGENT__PAK=", "BROKKR__AGENT__BROKER_URL=" + gate.URL(), "BROKKR__AGENT__NAME=" + name, "BROKKR__AGENT__CLUSTER_NAME=" + name,
			"BROKKR__AGENT__JOIN_TOKEN=" + token}
		p := w.AgentProcess(w.Agents[0], env...)
		p.Start()
		s := w.Tenant.NewStack(t, w.Unique("for-joined"), label)
		w.Tenant.Publish(t, s.ID, world.ConfigMap(w.Clusters[0].Namespace, "joined", "one"))
		w.Clusters[0].WaitData("joined", "text", "one")
		p.Stop()
		// The token is used up; the key in the Secret is enough.
		p = w.AgentProcess(w.Agents[0], append(env, "BROKKR__AGENT__JOIN_TOKEN=")...)
		p.Start()
		w.Tenant.Publish(t, s.ID, world.ConfigMap(w.Clusters[0].Namespace, "joined", "two"))
		w.Clusters[0].WaitData("joined", "text", "two")
		p.Stop()
		if out := cli("", "join-token", "list", "--all"); !strings.Contains(out, "used_up") {
			t.Errorf("tokens: %s", out)
		}
	})
}
