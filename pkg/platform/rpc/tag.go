package rpc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-kit/kit/endpoint"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/precondition"
)

// Tagged is a JSON answer about one thing with the tag of its state, which a change may be made conditional on. Its ETag is
// the tag and a digest of the answer, "state.answer": If-None-Match compares both, If-Match the state alone, because an answer
// may also tell what changes all the time and nobody decides on, such as the last heartbeat.
type Tagged struct {
	Tag  string // empty: the state is the answer
	Body any
}

// noneMatch is the context key of the request's If-None-Match.
type noneMatch struct{}

// Respond implements Responder. An answer that the caller has already is a 304 without a body.
func (t Tagged) Respond(ctx context.Context, w http.ResponseWriter, status int) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t.Body); err != nil {
		return err
	}
	etag := `"` + t.Tag + "." + digest(body.Bytes()) + `"`
	w.Header().Set("ETag", etag)
	if have, _ := ctx.Value(noneMatch{}).(string); status == http.StatusOK && known(have, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// known reports whether a list of tags, as If-None-Match has it, holds etag. The comparison is the weak one.
func known(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// IfMatch hands the condition of a caller to the use case, which checks it in its transaction. A route that cannot check one
// refuses it (Invalid, code if_match_not_supported) rather than to act without.
func IfMatch(i Info) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			r, ok := request.(*http.Request)
			if !ok || len(r.Header.Values("If-Match")) == 0 || i.Method == http.MethodGet {
				return next(ctx, request)
			}
			if !i.IfMatch {
				return nil, fault.New(fault.Invalid, "if_match_not_supported", "this operation cannot be made conditional; leave If-Match out")
			}
			return next(precondition.With(ctx, states(strings.Join(r.Header.Values("If-Match"), ","))), request)
		}
	}
}

// states returns the states that a list of tags names; a weak tag names none.
func states(list string) []string {
	out := []string{}
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			out = append(out, precondition.Any)
		}
		if inner, ok := strings.CutPrefix(tag, `"`); ok {
			state, _, _ := strings.Cut(strings.TrimSuffix(inner, `"`), ".")
			out = append(out, state)
		}
	}
	return out
}
