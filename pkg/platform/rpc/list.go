package rpc

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// TotalCount is the header that says how many items a list has on all its pages.
const TotalCount = "X-Total-Count"

// patience bounds how long a page of an answer that is streamed may take to be read from the store.
const patience = 30 * time.Second

// Lister is a use case that answers a list a page at a time.
type Lister[Req, T any] func(ctx context.Context, req Req, q page.Query) (page.Page[T], error)

// asked is a request for a list, with the URL that it came by.
type asked[Req any] struct {
	req   Req
	query page.Asked
	url   *url.URL
}

// ListOf makes a route that answers a list. A whole one is streamed: a page of the store at a time. How long a client may take
// to read is the server's affair. An error after the first of them aborts the connection, so that nobody takes a part for the whole.
func ListOf[Req, T, J any](info Info, l page.List[T], d Decoder[Req], use Lister[Req, T], to func(T) J) Route {
	return FilledList(info, l, d, use, page.MaxLimit, func(_ context.Context, items []T) ([]J, error) {
		out := make([]J, len(items))
		for i, v := range items {
			out[i] = to(v)
		}
		return out, nil
	})
}

// FilledList is ListOf for items that are large by what belongs to them: fill gets that for a batch of them at a time, as they are
// written, so that never more than a batch is in memory, however long the page or the list is.
func FilledList[Req, T, J any](info Info, l page.List[T], d Decoder[Req], use Lister[Req, T], batch int, fill func(ctx context.Context, items []T) ([]J, error)) Route {
	decode := func(r *http.Request) (asked[Req], error) {
		req, err := d(r)
		if err != nil {
			return asked[Req]{}, err
		}
		q, err := l.Read(r.URL.Query())
		if q.Whole {
			q.Limit = cmp.Or(l.Chunk, page.MaxLimit)
		}
		return asked[Req]{req: req, query: q, url: r.URL}, err
	}
	info.List = &ListInfo{Params: l.Params()}
	if l.InPages {
		info.List.Page = cmp.Or(l.Default, page.DefaultLimit)
	}
	return New(info, decode, func(ctx context.Context, a asked[Req]) (Responder, error) {
		p, err := use(ctx, a.req, a.query.Query)
		if err != nil {
			return nil, err
		}
		s := &stream[T, J]{page: p, query: a.query, url: a.url, batch: batch}
		if s.query.Total {
			s.query.Count = p.Total
		}
		if s.ready, err = fill(ctx, p.Items[:min(batch, len(p.Items))]); err != nil {
			return nil, err
		}
		// The operation's own context, with its deadline, has ended when the answer is written.
		values := context.WithoutCancel(ctx)
		within := func(ctx context.Context) (context.Context, func()) {
			both, cancel := context.WithTimeout(values, patience)
			stop := context.AfterFunc(ctx, cancel)
			return both, func() { stop(); cancel() }
		}
		s.fill = func(ctx context.Context, items []T) ([]J, error) {
			both, done := within(ctx)
			defer done()
			return fill(both, items)
		}
		if a.query.Whole {
			s.more = func(ctx context.Context, q page.Query) (page.Page[T], error) {
				both, done := within(ctx)
				defer done()
				return use(both, a.req, q)
			}
		}
		return s, nil
	})
}

// Short makes a Lister out of a use case that returns the whole of a list that is never long.
func Short[Req, T any](l page.List[T], all func(ctx context.Context, req Req) ([]T, error)) Lister[Req, T] {
	return func(ctx context.Context, req Req, q page.Query) (page.Page[T], error) {
		items, err := all(ctx, req)
		if err != nil {
			return page.Page[T]{}, err
		}
		return l.Cut(items, q), nil
	}
}

// stream answers a list: a page, or this and all further ones if more is set.
type stream[T, J any] struct {
	page  page.Page[T]
	query page.Asked
	url   *url.URL
	batch int
	ready []J // the first batch
	fill  func(ctx context.Context, items []T) ([]J, error)
	more  func(ctx context.Context, q page.Query) (page.Page[T], error)
}

// Respond implements Responder.
func (s *stream[T, J]) Respond(ctx context.Context, w http.ResponseWriter, status int) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(TotalCount, strconv.Itoa(s.query.Count))
	if s.page.Next != nil && s.more == nil {
		h.Add("Link", s.next())
	}
	w.WriteHeader(status)
	out := bufio.NewWriterSize(w, 32<<10)
	if err := s.write(ctx, out); err != nil {
		if ctx.Err() == nil {
			panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, err)) // the status is sent: only a broken connection can tell
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (s *stream[T, J]) next() string {
	q := s.url.Query()
	q.Del(page.ParamOffset)
	q.Set(page.ParamCursor, s.query.Cursor(*s.page.Next, s.query.Count))
	q.Set(page.ParamLimit, strconv.Itoa(s.query.Limit))
	u := url.URL{Path: s.url.Path, RawPath: s.url.RawPath, RawQuery: q.Encode()}
	return "<" + u.String() + `>; rel="next"`
}

// filled returns the next batch of what is to be written.
func (s *stream[T, J]) filled(ctx context.Context, rest []T) ([]J, error) {
	if first := s.ready; first != nil {
		s.ready = nil
		return first, nil
	}
	return s.fill(ctx, rest[:min(s.batch, len(rest))])
}

func (s *stream[T, J]) write(ctx context.Context, out *bufio.Writer) error {
	open := byte('[')
	for q := s.query.Query; ; {
		for rest := s.page.Items; len(rest) > 0; {
			batch, err := s.filled(ctx, rest)
			if err != nil {
				return err
			}
			for _, v := range batch {
				if err := out.WriteByte(open); err != nil {
					return err
				}
				open = ','
				if err := writeItem(out, v); err != nil {
					return err
				}
			}
			rest = rest[min(s.batch, len(rest)):]
		}
		if s.more == nil || s.page.Next == nil {
			break
		}
		q.After, q.Total = s.page.Next, false
		var err error
		if s.page, err = s.more(ctx, q); err != nil {
			return err
		}
	}
	if open == '[' {
		_, _ = out.WriteString("[") // Flush reports it
	}
	_, _ = out.WriteString("]\n")
	return out.Flush()
}

// writeItem writes v without the line end that an encoder adds.
func writeItem(out *bufio.Writer, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return err
}
