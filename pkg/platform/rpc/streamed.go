package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"unicode/utf8"
)

// Streamed is an answer to a GET that is a JSON array, of which one element after the other is written as it is made: however long it is,
// no more than a part of it is in memory. Its ETag is as that of Tagged, but a digest of State in place of the answer.
//
// An error before anything was sent is answered as one; a later one breaks the connection, so that nobody takes a part for the whole.
type Streamed struct {
	State   any // as JSON it tells this answer from every other one
	Len     int
	Element func(ctx context.Context, i int, out io.Writer) error // writes the JSON of the i-th one
	// Begin is called if there is something to be written, and returns for how long that may be done, and what is to be called afterwards.
	Begin func(ctx context.Context) (within context.Context, end func(), err error)
}

// Respond implements Responder. An answer that the caller has already is a 304 without a body.
func (s Streamed) Respond(ctx context.Context, w http.ResponseWriter, status int) error {
	state, err := json.Marshal(s.State)
	if err != nil {
		return fmt.Errorf("tell the state of an answer: %w", err)
	}
	etag := `".` + digest(state) + `"`
	h := w.Header()
	if have, _ := ctx.Value(noneMatch{}).(string); status == http.StatusOK && known(have, etag) {
		h.Set("ETag", etag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	ctx, end, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	to := &late{w: w, ctx: ctx, status: status, etag: etag}
	if err := s.write(ctx, bufio.NewWriterSize(to, 32<<10)); err != nil {
		switch {
		case !to.sent:
			return err
		case ctx.Err() != nil:
			panic(http.ErrAbortHandler)
		default:
			panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, err))
		}
	}
	return nil
}

func (s Streamed) write(ctx context.Context, out *bufio.Writer) error {
	_ = out.WriteByte('[') // Flush reports it
	for i := range s.Len {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i > 0 {
			_ = out.WriteByte(',')
		}
		if err := s.Element(ctx, i, out); err != nil {
			return err
		}
	}
	_, _ = out.WriteString("]\n")
	return out.Flush()
}

// late sends status and headers with the first bytes, and nothing any more when its time is over.
type late struct {
	w      http.ResponseWriter
	ctx    context.Context //nolint:containedctx // it lives as long as one answer is written
	status int
	etag   string
	sent   bool
}

func (l *late) Write(b []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	if !l.sent {
		l.sent = true
		l.w.Header().Set("ETag", l.etag)
		l.w.Header().Set("Content-Type", "application/json")
		l.w.WriteHeader(l.status)
	}
	return l.w.Write(b)
}

// StringTo copies text to out as a JSON string, as an encoder writes one that does not escape HTML.
func StringTo(out io.Writer, text io.Reader) error {
	q := &quoted{out: out}
	q.enc = json.NewEncoder(&q.text)
	q.enc.SetEscapeHTML(false)
	if _, err := io.WriteString(out, `"`); err != nil {
		return err
	}
	if _, err := io.Copy(q, text); err != nil {
		return err
	}
	if err := q.put(q.rest); err != nil {
		return err
	}
	_, err := io.WriteString(out, `"`)
	return err
}

// quoted writes text as it is inside of a JSON string. What may be the beginning of a character waits for the rest of it.
type quoted struct {
	out  io.Writer
	rest []byte
	text bytes.Buffer
	enc  *json.Encoder
}

func (q *quoted) Write(p []byte) (int, error) {
	all := p
	if len(q.rest) > 0 {
		all = append(q.rest, p...)
	}
	cut := len(all)
	for cut > 0 && len(all)-cut < utf8.UTFMax {
		if cut--; utf8.RuneStart(all[cut]) {
			break
		}
	}
	if utf8.FullRune(all[cut:]) {
		cut = len(all)
	}
	if err := q.put(all[:cut]); err != nil {
		return 0, err
	}
	q.rest = slices.Clone(all[cut:])
	return len(p), nil
}

func (q *quoted) put(text []byte) error {
	q.text.Reset()
	if err := q.enc.Encode(string(text)); err != nil {
		return err
	}
	encoded := q.text.Bytes()
	_, err := q.out.Write(encoded[1 : len(encoded)-2]) // without the quotes and the end of the line
	return err
}
