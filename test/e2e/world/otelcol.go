package world

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	logcollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // in which the collector sends
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/internal/testenv"
)

// otelcolEnv names the program of a real OpenTelemetry collector (tools/build.sh otelcol).
const otelcolEnv = "OTELCOL"

// StartOTelCollector starts a real collector with a configuration of deploy/otel that edit has changed, where other ports or folders are needed
// than the file has. The file itself has to be one that the collector takes, word for word. Without the program the test is skipped, in CI
// it fails.
func StartOTelCollector(t testing.TB, file string, edit func(config map[string]any)) *testenv.Proc {
	t.Helper()
	program := os.Getenv(otelcolEnv)
	if program == "" {
		Missing(t, otelcolEnv+" is not set: run the tests by make e2e")
	}
	file, err := filepath.Abs(filepath.Join("..", "..", "deploy", "otel", file))
	if err != nil {
		t.Fatal(err)
	}
	validate(t, program, file)
	text, err := os.ReadFile(file)
	config := map[string]any{}
	if err == nil {
		err = yaml.UnmarshalStrict(text, &config)
	}
	if err != nil {
		t.Fatal(err)
	}
	edit(config)
	service, _ := config["service"].(map[string]any)
	service["telemetry"] = map[string]any{"metrics": map[string]any{"level": "none"}} // it would listen at a port of its own
	if text, err = json.Marshal(config); err == nil {                                 // JSON is YAML
		file = filepath.Join(t.TempDir(), "config.yaml")
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return testenv.Start(t, testenv.ProcSpec{Name: "otelcol", Path: program, Args: []string{"--config=" + file}, ReadyLog: "Everything is ready", Timeout: Patience})
}

func validate(t testing.TB, program, file string) {
	t.Helper()
	p := testenv.Start(t, testenv.ProcSpec{Name: "otelcol validate", Path: program, Args: []string{"validate", "--config=" + file}})
	if code := p.Wait(t, Patience); code != 0 {
		t.Fatalf("the collector does not take %s:\n%s", file, p.Logs())
	}
}

// GRPC has the collector take traces by gRPC too; it returns the address.
func (c *Collector) GRPC(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collector.RegisterTraceServiceServer(s, grpcTraces{c: c})
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) }) // ends by Stop
	t.Cleanup(func() {
		s.Stop()
		served.Wait()
	})
	return l.Addr().String()
}

type grpcTraces struct {
	collector.UnimplementedTraceServiceServer

	c *Collector
}

// Export implements the OTLP trace service.
func (g grpcTraces) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	g.c.keep(nil, req)
	return &collector.ExportTraceServiceResponse{}, nil
}

// LogRecord is one line of a log, as a store of logs gets it.
type LogRecord struct {
	Body, Severity, TraceID, SpanID string
	Time                            uint64 // in nanoseconds since 1970
}

// LogStore takes logs as Loki does (OTLP over HTTP, below /otlp).
type LogStore struct {
	*httptest.Server

	mu      sync.Mutex
	records []LogRecord
}

// NewLogStore listens until the test ends.
func NewLogStore(t testing.TB) *LogStore {
	s := &LogStore{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /otlp/v1/logs", s.take)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *LogStore) take(w http.ResponseWriter, r *http.Request) {
	plain, err := gzip.NewReader(r.Body) // as the collector sends by default
	var body []byte
	if err == nil {
		body, err = io.ReadAll(plain)
	}
	var req logcollector.ExportLogsServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range req.GetResourceLogs() {
		for _, sl := range rl.GetScopeLogs() {
			for _, l := range sl.GetLogRecords() {
				s.records = append(s.records, LogRecord{Body: l.GetBody().GetStringValue(), Severity: strings.ToUpper(l.GetSeverityText()),
					TraceID: hex.EncodeToString(l.GetTraceId()), SpanID: hex.EncodeToString(l.GetSpanId()), Time: l.GetTimeUnixNano()})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Records are all that came.
func (s *LogStore) Records() []LogRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]LogRecord(nil), s.records...)
}
