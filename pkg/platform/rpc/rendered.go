package rpc

import (
	"bytes"
	"context"
	"net/http"
)

// Rendered is an answer as it goes over the wire.
type Rendered struct {
	Status int
	Header http.Header
	Body   []byte
}

// Respond implements Responder.
func (a Rendered) Respond(_ context.Context, w http.ResponseWriter, _ int) error {
	for k, v := range a.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.Status)
	_, err := w.Write(a.Body)
	return err
}

// Render makes of what a route's use case returned what would be sent, so that it can be kept and sent again. Answers that are
// streamed are not for it: they would have to lie in memory whole.
func Render(ctx context.Context, i Info, response any) (Rendered, error) {
	s := &sheet{header: http.Header{}, status: http.StatusOK}
	if err := encoder(i)(ctx, s, response); err != nil {
		return Rendered{}, err
	}
	return Rendered{Status: s.status, Header: s.header, Body: s.body.Bytes()}, nil
}

// sheet is what an answer is rendered on.
type sheet struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (s *sheet) Header() http.Header { return s.header }

func (s *sheet) WriteHeader(status int) { s.status = status }

func (s *sheet) Write(b []byte) (int, error) { return s.body.Write(b) }
