package world

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one span as it was exported.
type Span struct {
	Service, Name, TraceID string
	Attributes             map[string]string // those that are texts
}

// Collector takes the traces that the processes export (OTLP over HTTP).
type Collector struct {
	server *httptest.Server
	mu     sync.Mutex
	spans  []Span
	raw    strings.Builder
}

// NewCollector listens until the test ends.
func NewCollector(t testing.TB) *Collector {
	c := &Collector{}
	c.server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.server.Close)
	return c
}

// URL is the endpoint to export to.
func (c *Collector) URL() string { return c.server.URL }

// Raw is all that came, as it came; attributes are readable in it.
func (c *Collector) Raw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.keep(body, &req)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *Collector) keep(raw []byte, req *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(raw)
	for _, rs := range req.GetResourceSpans() {
		service := texts(rs.GetResource().GetAttributes())["service.name"]
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				c.spans = append(c.spans, Span{Service: service, Name: s.GetName(), TraceID: hex.EncodeToString(s.GetTraceId()), Attributes: texts(s.GetAttributes())})
			}
		}
	}
}

func texts(attributes []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range attributes {
		if v, ok := kv.GetValue().GetValue().(*common.AnyValue_StringValue); ok {
			out[kv.GetKey()] = v.StringValue
		}
	}
	return out
}

// Ends returns nil if the trace has, for each of these agents, the span by which one says that the stack is healthy.
func (c *Collector) Ends(id string, agents ...*Agent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range agents {
		if !slices.ContainsFunc(c.spans, func(s Span) bool {
			return s.TraceID == id && s.Service == "brokkr-agent" && s.Name == "agent.healthy" && s.Attributes["brokkr.agent"] == a.ID
		}) {
			return fmt.Errorf("trace %s does not end at agent %s (%s)", id, a.Name, a.ID)
		}
	}
	return nil
}

// Trace returns the services and the spans (service/name) that belong to a trace.
func (c *Collector) Trace(id string) (services, spans []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.TraceID != id {
			continue
		}
		if !slices.Contains(services, s.Service) {
			services = append(services, s.Service)
		}
		spans = append(spans, s.Service+"/"+s.Name)
	}
	return services, spans
}

// Has returns nil if the trace has spans of all these services.
func (c *Collector) Has(id string, services ...string) error {
	got, spans := c.Trace(id)
	for _, s := range services {
		if !slices.Contains(got, s) {
			return fmt.Errorf("trace %s has nothing of %s; it has %v", id, s, spans)
		}
	}
	return nil
}
