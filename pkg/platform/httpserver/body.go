package httpserver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// How long a client may take for the body of a request: between two parts of it, and altogether.
const (
	bodyPause = 15 * time.Second
	bodyTime  = 2 * time.Minute
)

// PatientBody waits for a body no longer than pause between two parts of it and whole altogether: reading one that is too slow
// fails as Invalid, code body_too_slow, and its connection is closed. It needs a writer that reaches the connection.
func PatientBody(pause, whole time.Duration) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body != nil && r.Body != http.NoBody {
				r.Body = &patientBody{ReadCloser: r.Body, w: w, pause: pause, until: time.Now().Add(whole)}
			}
			next.ServeHTTP(w, r)
		})
	}
}

type patientBody struct {
	io.ReadCloser
	w     http.ResponseWriter
	pause time.Duration
	until time.Time
}

func (b *patientBody) Read(p []byte) (int, error) {
	conn := http.NewResponseController(b.w)
	end := time.Now().Add(b.pause)
	if b.until.Before(end) {
		end = b.until
	}
	// A writer without a connection (in a test) cannot be slow.
	_ = conn.SetReadDeadline(end)
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	// The deadline is the body's: whoever parks the request afterwards may take longer.
	_ = conn.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.w.Header().Set("Connection", "close")
		return n, fault.New(fault.Invalid, "body_too_slow", "the request body came too slowly").Because(err)
	}
	return n, err
}
