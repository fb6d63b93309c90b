package world

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
)

// Prometheus is a server that scrapes services each second.
type Prometheus struct {
	t   testing.TB
	url string
}

// StartPrometheus starts one with the rules of these files. Without the program the test is skipped, in CI it fails.
func StartPrometheus(t testing.TB, services []*Service, rules ...string) *Prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		Missing(t, "the program prometheus is not installed (tools/install-deps.sh --tests)")
	}
	targets := make([]string, 0, len(services))
	for _, s := range services {
		targets = append(targets, s.Addr)
	}
	config, err := json.Marshal(map[string]any{ // JSON is YAML
		"global": map[string]string{"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": rules,
		"scrape_configs": []any{map[string]any{"job_name": "brokkr", "static_configs": []any{map[string]any{"targets": targets}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.FreePort(t)))
	testenv.Start(t, testenv.ProcSpec{
		Name: "prometheus", Path: program, Dir: dir, ReadyURL: "http://" + addr + "/-/ready", Timeout: Patience,
		Args: []string{"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + addr, "--enable-feature=exemplar-storage"},
	})
	return &Prometheus{t: t, url: "http://" + addr}
}

// Missing skips a test for what says; in CI it fails instead.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "" {
		t.Skip(what)
	}
	t.Fatal(what)
}

// Get asks the API and reads the data of its answer.
func (p *Prometheus) Get(path string, query url.Values, data any) error {
	res, err := (&http.Client{Timeout: 10 * time.Second}).Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// Query returns how many series PromQL has now.
func (p *Prometheus) Query(expr string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := p.Get("/api/v1/query", url.Values{"query": {expr}}, &data)
	return len(data.Result), err
}
