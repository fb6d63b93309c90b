package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

// pieces gives its content in pieces of these lengths.
type pieces struct {
	content []byte
	lengths []int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.content) == 0 {
		return 0, io.EOF
	}
	n := len(p.content)
	if len(p.lengths) > 0 {
		n, p.lengths = min(n, p.lengths[0]), p.lengths[1:]
	}
	n = copy(b, p.content[:n])
	p.content = p.content[n:]
	return n, nil
}

// However the text comes, what is written is what an encoder makes of the whole.
func TestAStringIsWrittenAsByAnEncoder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.StringOf(rapid.RuneFrom([]rune("a\"\\<>&\n\t\x00é€\u2028\u2029😀\ufffd"))), func(s string) []byte { return []byte(s) })).Draw(t, "text")
		var want, got bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(string(text)); err != nil {
			t.Fatal(err)
		}
		if err := rpc.StringTo(&got, &pieces{content: bytes.Clone(text), lengths: rapid.SliceOf(rapid.IntRange(1, 5)).Draw(t, "pieces")}); err != nil {
			t.Fatal(err)
		}
		if got.String() != strings.TrimSuffix(want.String(), "\n") {
			t.Fatalf("got %s, want %s", &got, &want)
		}
	})
	if err := rpc.StringTo(io.Discard, iotest.ErrReader(io.ErrNoProgress)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("text that cannot be read: %v", err)
	}
}

// streamed is a route that answers n elements of some bytes, and fails at one of them.
func streamed(n, size, fails int, ended *int) rpc.Route {
	return rpc.New(rpc.Info{Op: "stream", Method: http.MethodGet, Path: "/n", Status: http.StatusOK},
		func(*http.Request) (struct{}, error) { return struct{}{}, nil },
		func(context.Context, struct{}) (rpc.Streamed, error) {
			return rpc.Streamed{
				State: []int{n, size}, Len: n,
				Begin: func(ctx context.Context) (context.Context, func(), error) {
					if n < 0 {
						return nil, nil, errFull
					}
					return ctx, func() { *ended++ }, nil
				},
				Element: func(_ context.Context, i int, out io.Writer) error {
					if i == fails {
						return errBroken
					}
					return rpc.StringTo(out, strings.NewReader(strings.Repeat("x", size)))
				},
			}, nil
		})
}

var (
	errFull   = errors.New("full")
	errBroken = errors.New("broken")
)

func TestStreamed(t *testing.T) {
	t.Parallel()
	request := func(header ...string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/n", http.NoBody)
		if len(header) > 0 {
			r.Header.Set("If-None-Match", header[0])
		}
		return r
	}
	ended := 0
	for n, want := range map[int]string{0: "[]\n", 1: `["xx"]` + "\n", 3: `["xx","xx","xx"]` + "\n"} {
		rec, err := serve(t, streamed(n, 2, -1, &ended), request())
		if err != nil || rec.Code != http.StatusOK || rec.Body.String() != want || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d elements: got %d %v %q, %v", n, rec.Code, rec.Header(), rec.Body, err)
		}
		tag := rec.Header().Get("ETag")
		if again, err := serve(t, streamed(n, 2, 0, &ended), request(tag)); err != nil || again.Code != http.StatusNotModified || again.Body.Len() != 0 || again.Header().Get("ETag") != tag {
			t.Errorf("%d elements that the caller has: got %d %v %q, %v", n, again.Code, again.Header(), again.Body, err)
		}
		if other, err := serve(t, streamed(n, 3, -1, &ended), request(tag)); err != nil || other.Code != http.StatusOK || other.Header().Get("ETag") == tag {
			t.Errorf("%d other elements: got %d %v, %v", n, other.Code, other.Header(), err)
		}
	}
	if ended != 6 {
		t.Errorf("%d answers ended, want 6", ended)
	}
	for reason, r := range map[string]rpc.Route{"it cannot begin": streamed(-1, 0, 0, &ended), "before anything is sent": streamed(3, 100, 2, &ended)} {
		if rec, err := serve(t, r, request()); (!errors.Is(err, errFull) && !errors.Is(err, errBroken)) || rec.Header().Get("ETag") != "" || rec.Header().Get("Content-Type") == "application/json" {
			t.Errorf("%s: got %v, %v, want the error alone", reason, err, rec.Header())
		}
	}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) || !errors.Is(err, errBroken) {
			t.Errorf("an error in the middle: got %v, want the connection aborted because of it", err)
		}
		if ended != 8 {
			t.Errorf("after errors %d answers ended, want 8", ended)
		}
	}()
	_, _ = serve(t, streamed(3, 100_000, 2, &ended), request())
	t.Error("it went on after an error in the middle")
}
