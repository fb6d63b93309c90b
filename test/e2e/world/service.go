package world

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Service is one program that may be ended and started again at the same address.
type Service struct {
	Name string
	Addr string // host:port of its listener

	t     testing.TB
	spec  testenv.ProcSpec
	mu    sync.Mutex
	procs []*testenv.Proc // the last one is the one that runs, or ran
}

func newService(t testing.TB, name, addr string, spec testenv.ProcSpec) *Service {
	spec.Name = name
	return &Service{Name: name, Addr: addr, t: t, spec: spec}
}

// URL is its base URL.
func (s *Service) URL() string { return "http://" + s.Addr }

// Start starts the program and waits until it is ready.
func (s *Service) Start() { s.start(s.spec) }

// StartUnready starts the program and does not wait for it.
func (s *Service) StartUnready() {
	spec := s.spec
	spec.ReadyURL, spec.ReadyLog, spec.ReadyTCP = "", "", ""
	s.start(spec)
}

func (s *Service) start(spec testenv.ProcSpec) {
	s.t.Helper()
	p := testenv.Start(s.t, spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.procs = append(s.procs, p)
}

// Ready waits until the program says that it is ready.
func (s *Service) Ready() {
	s.t.Helper()
	Eventually(s.t, Patience, s.Name+" ready", func() error {
		res, err := (&http.Client{Timeout: 2 * time.Second}).Get(s.spec.ReadyURL)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return want("status", res.StatusCode, http.StatusOK)
	})
}

// Proc is the current process.
func (s *Service) Proc() *testenv.Proc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.procs[len(s.procs)-1]
}

// Kill is kill -9; the process is gone when it returns.
func (s *Service) Kill() { s.Proc().Kill() }

// Stop ends the process by SIGTERM and fails the test if it does not end well.
func (s *Service) Stop() {
	s.t.Helper()
	if code := s.Proc().Terminate(s.t, 30*time.Second); code != 0 {
		s.t.Errorf("%s ended with status %d after SIGTERM, want 0", s.Name, code)
	}
}

// Logs is all that any of its processes has written.
func (s *Service) Logs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, p := range s.procs {
		b.WriteString(p.Logs())
	}
	return b.String()
}

// Metric returns the sum over the series of the metric (counters and gauges) that have all these labels.
func (s *Service) Metric(name string, labels map[string]string) (float64, error) {
	return scrape(http.DefaultClient, s.URL()+"/metrics", name, labels)
}

// Exposition is everything that the process tells Prometheus, as text.
func (s *Service) Exposition() (string, error) {
	res, err := http.Get(s.URL() + "/metrics")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func scrape(c *http.Client, url, name string, labels map[string]string) (float64, error) {
	res, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, res.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return 0, fmt.Errorf("read metrics of %s: %w", url, err)
	}
	family, ok := families[name]
	if !ok {
		return 0, nil
	}
	sum := 0.0
	for _, m := range family.GetMetric() {
		if has(m.GetLabel(), labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum, nil
}

func has(pairs []*dto.LabelPair, labels map[string]string) bool {
	found := 0
	for _, p := range pairs {
		if v, ok := labels[p.GetName()]; ok {
			if v != p.GetValue() {
				return false
			}
			found++
		}
	}
	return found == len(labels)
}
