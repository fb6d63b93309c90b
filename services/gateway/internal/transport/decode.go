package transport

import (
	"net/http"

	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
)

// with is a body together with the agent's id of the path.
type with[T any] struct {
	id   string
	body T
}

func nothing(*http.Request) (struct{}, error) { return struct{}{}, nil }

func path(r *http.Request) (string, error) { return rpc.Var(r, "id"), nil }

func mode(r *http.Request) (with[string], error) {
	return with[string]{id: rpc.Var(r, "id"), body: r.URL.Query().Get("mode")}, nil
}

func body[T any](decode func(*http.Request) (T, error)) rpc.Decoder[with[T]] {
	return func(r *http.Request) (with[T], error) {
		b, err := decode(r)
		return with[T]{id: rpc.Var(r, "id"), body: b}, err
	}
}

// each never returns nil: an empty list is [] on the wire.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

func healthOf(h objectHealth) app.HealthUpdate {
	return app.HealthUpdate{Object: h.ID, Status: h.Status, Message: h.Summary.text(), Summary: h.Summary.json(), CheckedAt: h.CheckedAt}
}
