package http

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

func who(ctx context.Context) tenancy.Principal { return identity.Of(ctx) }

// of is a request about the thing that the path names, with a body.
type of[ID ~string, Body any] struct {
	id   ID
	body Body
}

// part is a request about a part of the thing that the path names.
type part[ID ~string, Key ~string] struct {
	id  ID
	key Key
}

// segment returns a path variable as it was meant: the router matches escaped paths, so that it may contain slashes.
func segment(r *http.Request, name string) (string, error) {
	s, err := url.PathUnescape(rpc.Var(r, name))
	if err != nil {
		return "", fault.Newf(fault.Invalid, "invalid_path", "the path's %s is not well escaped", name)
	}
	return s, nil
}

func pathID[ID ~string](r *http.Request, name string) (ID, error) {
	s, err := segment(r, name)
	if err != nil {
		return "", err
	}
	return id.Parse[ID](name, s)
}

func none(*http.Request) (struct{}, error) { return struct{}{}, nil }

// justID reads {id}.
func justID[ID ~string](r *http.Request) (ID, error) { return pathID[ID](r, "id") }

// idAnd reads {id} and a JSON body.
func idAnd[ID ~string, Body any](r *http.Request) (of[ID, Body], error) {
	return idWith[ID](r, rpc.JSON[Body])
}

// idAndWhole reads {id} and the JSON of a whole object, of which the use case takes what may be changed.
func idAndWhole[ID ~string, Body any](r *http.Request) (of[ID, Body], error) {
	return idWith[ID](r, rpc.LooseJSON[Body])
}

// idAndMaybe reads {id} and a JSON body that may be missing.
func idAndMaybe[ID ~string, Body any](r *http.Request) (of[ID, Body], error) {
	return idWith[ID](r, rpc.OptionalJSON[Body])
}

func idWith[ID ~string, Body any](r *http.Request, body rpc.Decoder[Body]) (of[ID, Body], error) {
	v, err := pathID[ID](r, "id")
	if err != nil {
		return of[ID, Body]{}, err
	}
	b, err := body(r)
	return of[ID, Body]{id: v, body: b}, err
}

// idAndText reads {id} and another path variable that is free text.
func idAndText[ID ~string](name string) rpc.Decoder[part[ID, string]] {
	return func(r *http.Request) (part[ID, string], error) {
		v, err := pathID[ID](r, "id")
		if err != nil {
			return part[ID, string]{}, err
		}
		key, err := segment(r, name)
		return part[ID, string]{id: v, key: key}, err
	}
}

// idAndID reads {id} and another path variable that is an id.
func idAndID[ID, Key ~string](name string) rpc.Decoder[part[ID, Key]] {
	return func(r *http.Request) (part[ID, Key], error) {
		v, err := pathID[ID](r, "id")
		if err != nil {
			return part[ID, Key]{}, err
		}
		key, err := pathID[Key](r, name)
		return part[ID, Key]{id: v, key: key}, err
	}
}

// patch is a JSON field that tells absent from null.
type patch[T any] app.Patch[T]

// UnmarshalJSON notes that the field is there.
func (p *patch[T]) UnmarshalJSON(b []byte) error {
	p.Set = true
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	return json.Unmarshal(b, &p.Value)
}

// each converts a list; the result is never null.
func each[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
