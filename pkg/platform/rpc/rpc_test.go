package rpc_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-kit/kit/endpoint"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

type greeting struct {
	Name string `json:"name"`
}

func serve(t *testing.T, route rpc.Route, r *http.Request, chain ...rpc.Middleware) (*httptest.ResponseRecorder, error) {
	t.Helper()
	var seen error
	m := mux.NewRouter()
	rpc.Mount(m, []rpc.Route{route}, func(_ context.Context, w http.ResponseWriter, err error) {
		seen = err
		w.WriteHeader(http.StatusTeapot)
	}, chain...)
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, r)
	return rec, seen
}

func route(status int, h rpc.Handler[greeting, any]) rpc.Route {
	return rpc.New(rpc.Info{Op: "greet", Method: http.MethodPost, Path: "/greet", Status: status}, rpc.JSON[greeting], h)
}

func post(t *testing.T, contentType, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/greet", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		answer      any
		status      int
		contentType string
		body        string
	}{
		"json":        {greeting{Name: "<b>"}, 201, "application/json", `{"name":"<b>"}` + "\n"},
		"empty":       {rpc.Empty{}, 201, "", ""},
		"bytes":       {rpc.Bytes{ContentType: "application/yaml", Content: []byte("a: 1")}, 201, "application/yaml", "a: 1"},
		"with status": {rpc.WithStatus{Status: 202, Body: greeting{Name: "x"}}, 202, "application/json", `{"name":"x"}` + "\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec, err := serve(t, route(201, func(context.Context, greeting) (any, error) { return tc.answer, nil }), post(t, "application/json", `{}`))
			if err != nil || rec.Code != tc.status || rec.Header().Get("Content-Type") != tc.contentType || rec.Body.String() != tc.body {
				t.Errorf("got %d %s %q, error %v; want %d %s %q", rec.Code, rec.Header().Get("Content-Type"), rec.Body, err, tc.status, tc.contentType, tc.body)
			}
		})
	}
}

func TestJSONRefusesWhatIsNot(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ contentType, body, code, says string }{
		"no content type": {"", `{}`, "unsupported_media_type", "application/json"},
		"a form":          {"application/x-www-form-urlencoded", `a=b`, "unsupported_media_type", "form"},
		"nothing":         {"application/json", ``, "invalid_json", "empty"},
		"half":            {"application/json", `{"name":`, "invalid_json", "too early"},
		"syntax":          {"application/json", `{name}`, "invalid_json", "byte 2"},
		"type":            {"application/json; charset=utf-8", `{"name":[]}`, "invalid_json", `"name"`},
		"more than one":   {"application/json", `{} {}`, "invalid_json", "after"},
		"unknown field":   {"application/json", `{"name":"x","nam":"y"}`, "unknown_field", `"nam"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, route(200, func(context.Context, greeting) (any, error) {
				t.Error("the use case was called")
				return nil, nil
			}), post(t, tc.contentType, tc.body))
			if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (%s), want %s saying %q", err, fault.CodeOf(err), tc.code, tc.says)
			}
		})
	}
}

func TestJSONTooLargeStaysTooLarge(t *testing.T) {
	t.Parallel()
	r := post(t, "application/json", `{"name":"`+strings.Repeat("x", 100)+`"}`)
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 10)
	_, err := rpc.JSON[greeting](r)
	var tooLarge *http.MaxBytesError
	if !errors.As(err, &tooLarge) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

func TestOptionalJSON(t *testing.T) {
	t.Parallel()
	if v, err := rpc.OptionalJSON[greeting](post(t, "", "")); err != nil || v.Name != "" {
		t.Errorf("no body: %+v, %v; want the zero value", v, err)
	}
	if v, err := rpc.OptionalJSON[greeting](post(t, "application/json", `{"name":"x"}`)); err != nil || v.Name != "x" {
		t.Errorf("a body: %+v, %v; want it decoded", v, err)
	}
	if _, err := rpc.OptionalJSON[greeting](post(t, "application/json", `{"more":1}`)); fault.CodeOf(err) != "unknown_field" {
		t.Errorf("an unknown field: %v; want unknown_field", err)
	}
}

func TestLooseJSONIgnoresWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, decode := range map[string]rpc.Decoder[greeting]{"loose": rpc.LooseJSON[greeting], "maybe": rpc.Maybe(rpc.LooseJSON[greeting])} {
		if v, err := decode(post(t, "application/json", `{"name":"x","more":1}`)); err != nil || v.Name != "x" {
			t.Errorf("%s: %+v, %v; want it decoded, unknown fields ignored", name, v, err)
		}
	}
}

func TestChainIsOutermostFirstAndBeforeDecoding(t *testing.T) {
	t.Parallel()
	var order []string
	note := func(name string, err error) rpc.Middleware {
		return func(i rpc.Info) endpoint.Middleware {
			return func(next endpoint.Endpoint) endpoint.Endpoint {
				return func(ctx context.Context, req any) (any, error) {
					order = append(order, name+" "+i.Op)
					if err != nil {
						return nil, err
					}
					return next(ctx, req)
				}
			}
		}
	}
	denied := errors.New("denied")
	_, err := serve(t, route(200, func(context.Context, greeting) (any, error) { return nil, nil }), post(t, "application/json", `not json`),
		note("first", nil), note("second", denied))
	if want := []string{"first greet", "second greet"}; !slices.Equal(order, want) || !errors.Is(err, denied) {
		t.Errorf("order %v, error %v; want %v and the denial, not a complaint about the body", order, err, want)
	}
}

func TestTraceAndMeasure(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	reg := prometheus.NewRegistry()
	rec, err := serve(t, route(200, func(context.Context, greeting) (any, error) {
		return nil, fault.New(fault.Unavailable, "away", "away")
	}), post(t, "application/json", `{}`), rpc.Trace(traces.Tracer("t")), rpc.Measure(reg, "s"))
	if rec.Code != http.StatusTeapot || !fault.Is(err, fault.Unavailable) {
		t.Fatalf("status %d, error %v; want the fault to reach the error writer", rec.Code, err)
	}
	got := spans.GetSpans()
	if len(got) != 1 || got[0].Name != "greet" || got[0].Status.Description != "away" {
		t.Errorf("spans %+v, want one named greet that failed with the code", got)
	}
	families, gatherErr := reg.Gather()
	if gatherErr != nil || len(families) != 1 {
		t.Fatalf("metrics %v, %v; want one family", families, gatherErr)
	}
	labels := map[string]string{}
	for _, l := range families[0].GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if labels["operation"] != "greet" || labels["outcome"] != "unavailable" || labels["service"] != "s" {
		t.Errorf("labels %v, want operation greet, outcome unavailable, service s", labels)
	}
}
