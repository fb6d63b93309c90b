// Package rpc bridges typed use cases and go-kit endpoints once, so that a service's transport is a table of
// routes: an endpoint costs one use case, one pair of messages and one row.
package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-kit/kit/endpoint"
	kithttp "github.com/go-kit/kit/transport/http"
	"github.com/gorilla/mux"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Handler is a use case as the transport sees it.
type Handler[Req, Res any] func(ctx context.Context, req Req) (Res, error)

// Decoder makes a request message out of an HTTP request. Its errors are faults.
type Decoder[Req any] func(r *http.Request) (Req, error)

// Info describes a route to middlewares, tests and documentation.
type Info struct {
	Op     string // operation id in the OpenAPI file; names spans and metrics
	Method string
	Path   string // gorilla/mux template
	Status int    // of success
	Access string // who may call, in the service's own words; a route without is denied
	// IfMatch says that the use case honours the condition of its caller (package precondition); others refuse one.
	IfMatch bool
	// Secret says that the answer shows what is shown once, such as a key: nobody keeps a copy of it.
	Secret bool
	List   *ListInfo // nil: the answer is no list
}

// ListInfo describes a list.
type ListInfo struct {
	Params []string // by which it is asked for pages, orders and filters
	Page   int      // items that are answered if no page is asked for; 0: all of them
}

// ShowsSecret marks a route whose answer shows what is shown once.
func (r Route) ShowsSecret() Route {
	r.Secret = true
	return r
}

// Conditional lets a route honour If-Match.
func (r Route) Conditional() Route {
	r.IfMatch = true
	return r
}

// Route is one mounted endpoint.
type Route struct {
	Info
	endpoint endpoint.Endpoint
	decode   kithttp.DecodeRequestFunc
}

// New makes a route of a typed decoder and handler.
func New[Req, Res any](info Info, decode Decoder[Req], handle Handler[Req, Res]) Route {
	return Route{
		Info: info,
		endpoint: func(ctx context.Context, request any) (any, error) {
			req, ok := request.(Req)
			if !ok {
				return nil, fmt.Errorf("%s: request is %T", info.Op, request)
			}
			return handle(ctx, req)
		},
		decode: func(_ context.Context, r *http.Request) (any, error) { return decode(r) },
	}
}

// Middleware wraps the endpoint of a route; it is told which.
type Middleware func(Info) endpoint.Middleware

// Mount adds the routes to m, each behind the chain, outermost first. Errors of decoding and of the use case go
// to onError. Decoding happens inside the chain, so that nobody unauthorized makes the server parse a body.
func Mount(m *mux.Router, routes []Route, onError func(context.Context, http.ResponseWriter, error), chain ...Middleware) {
	for _, route := range routes {
		ep := func(ctx context.Context, request any) (any, error) {
			r, ok := request.(*http.Request)
			if !ok {
				return nil, fmt.Errorf("%s: request is %T", route.Op, request)
			}
			req, err := route.decode(ctx, r.WithContext(ctx))
			if err != nil {
				return nil, err
			}
			return route.endpoint(ctx, req)
		}
		var wrapped endpoint.Endpoint = ep
		for i := len(chain) - 1; i >= 0; i-- {
			wrapped = chain[i](route.Info)(wrapped)
		}
		server := kithttp.NewServer(wrapped,
			func(_ context.Context, r *http.Request) (any, error) { return r, nil },
			encoder(route.Info),
			kithttp.ServerBefore(func(ctx context.Context, r *http.Request) context.Context {
				return context.WithValue(ctx, noneMatch{}, r.Header.Get("If-None-Match"))
			}),
			kithttp.ServerErrorEncoder(func(ctx context.Context, err error, w http.ResponseWriter) { onError(ctx, w, err) }),
		)
		m.Handle(route.Path, server).Methods(route.Method).Name(route.Op)
	}
}

// Responder writes an answer that is not plain JSON with the route's status.
type Responder interface {
	Respond(ctx context.Context, w http.ResponseWriter, status int) error
}

// Empty is the answer of routes that say nothing: the route's status and no body.
type Empty struct{}

// Respond implements Responder.
func (Empty) Respond(_ context.Context, w http.ResponseWriter, status int) error {
	w.WriteHeader(status)
	return nil
}

// Bytes is an answer of any content type.
type Bytes struct {
	ContentType string
	Header      http.Header
	Content     []byte
}

// Respond implements Responder.
func (b Bytes) Respond(_ context.Context, w http.ResponseWriter, status int) error {
	for k, v := range b.Header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", b.ContentType)
	w.WriteHeader(status)
	_, err := w.Write(b.Content)
	return err
}

// WithStatus is a JSON answer with a status of its own.
type WithStatus struct {
	Status int
	Body   any
}

// Respond implements Responder.
func (a WithStatus) Respond(_ context.Context, w http.ResponseWriter, _ int) error {
	return writeJSON(w, a.Status, a.Body)
}

func encoder(info Info) kithttp.EncodeResponseFunc {
	return func(ctx context.Context, w http.ResponseWriter, response any) error {
		if r, ok := response.(Responder); ok {
			return r.Respond(ctx, w, info.Status)
		}
		if info.Method == http.MethodGet {
			return Tagged{Body: response}.Respond(ctx, w, info.Status)
		}
		return writeJSON(w, info.Status, response)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(body)
}

// JSON decodes the body as JSON. Unknown fields, an empty body, wrong content type, trailing data or wrong types are Invalid
// and say where. A misspelt field would else be taken for one that was left out.
func JSON[T any](r *http.Request) (T, error) { return decodeJSON[T](r, false) }

// LooseJSON is JSON for bodies in which clients send more than is read: whole objects of which a few fields can be changed, and
// what agents of a newer version say. Unknown fields are ignored.
func LooseJSON[T any](r *http.Request) (T, error) { return decodeJSON[T](r, true) }

func decodeJSON[T any](r *http.Request, loose bool) (T, error) {
	var v T
	if err := IsJSON(r); err != nil {
		return v, err
	}
	dec := json.NewDecoder(r.Body)
	if !loose {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(&v); err != nil {
		return v, jsonFault(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return v, fault.New(fault.Invalid, "invalid_json", "the body has data after the JSON value")
	}
	return v, nil
}

// OptionalJSON is JSON, but an empty body gives the zero value.
func OptionalJSON[T any](r *http.Request) (T, error) { return Maybe(JSON[T])(r) }

// Maybe gives the zero value for an empty body, and what decode makes of any other.
func Maybe[T any](decode Decoder[T]) Decoder[T] {
	return func(r *http.Request) (T, error) {
		if r.ContentLength == 0 {
			var zero T
			return zero, nil
		}
		return decode(r)
	}
}

// IsJSON refuses requests whose content type is not JSON.
func IsJSON(r *http.Request) error {
	ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (ct != "application/json" && !strings.HasSuffix(ct, "+json")) {
		return fault.Newf(fault.Invalid, "unsupported_media_type", "content type %q is not accepted here; send application/json", r.Header.Get("Content-Type"))
	}
	return nil
}

const unknownField = "json: unknown field "

func jsonFault(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	if _, classified := fault.As(err); classified { // what the body's reader says, or the message's own check
		return err
	}
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "invalid_json", "the body is empty; JSON is expected")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "invalid_json", "the JSON in the body ends too early")
	case errors.As(err, &syntax):
		return fault.Newf(fault.Invalid, "invalid_json", "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	case errors.As(err, &typ):
		return fault.Newf(fault.Invalid, "invalid_json", "field %q must be %s, not %s", typ.Field, typ.Type, typ.Value).With("field", typ.Field)
	case strings.HasPrefix(err.Error(), unknownField): // encoding/json has no type for it
		name := strings.Trim(strings.TrimPrefix(err.Error(), unknownField), `"`)
		return fault.Newf(fault.Invalid, "unknown_field", "the body has a field %q, which is not known here", name).With("field", name)
	default:
		return fault.New(fault.Invalid, "invalid_json", "the body could not be read").Because(err)
	}
}

// Var returns a path variable of the matched route.
func Var(r *http.Request, name string) string { return mux.Vars(r)[name] }
