package httpserver

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

const (
	// answerPause is how long a client may take for a part of an answer.
	answerPause = 30 * time.Second
	// answerPart is what a client has to take in that time, in bytes.
	answerPart = 64 << 10
)

// patientAnswers waits for a client no longer than pause for each part of an answer that it takes. One that takes nothing for so
// long, or drops instead of parts, loses its connection (of HTTP/2: the stream), and the handler gets an error: what it had to say
// does not stay in memory for somebody who does not listen. How long a handler takes before and between its writes is its own
// affair, so that parked requests and streams have no deadline of this kind; a connection that was hijacked has none at all.
func patientAnswers(pause time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, conn: http.NewResponseController(w), pause: pause}
		a.free() // the deadline of the answer before on this connection
		next.ServeHTTP(a, r)
		a.bound() // what is buffered is written after the handler
	})
}

type answer struct {
	http.ResponseWriter
	conn     *http.ResponseController
	pause    time.Duration
	hijacked bool
}

// bound begins the time for a part. A writer without a connection (in a test) cannot be slow.
func (a *answer) bound() {
	if !a.hijacked {
		_ = a.conn.SetWriteDeadline(time.Now().Add(a.pause))
	}
}

// free ends it: of HTTP/2 a deadline that passes ends the stream also while nothing is written.
func (a *answer) free() {
	if !a.hijacked {
		_ = a.conn.SetWriteDeadline(time.Time{})
	}
}

// Write writes b part by part, each with a time of its own.
func (a *answer) Write(b []byte) (int, error) {
	defer a.free()
	done := 0
	for {
		part := b[done:min(done+answerPart, len(b))]
		a.bound()
		n, err := a.ResponseWriter.Write(part)
		if done += n; err != nil || done == len(b) {
			return done, err
		}
	}
}

// FlushError implements what http.ResponseController looks for.
func (a *answer) FlushError() error {
	defer a.free()
	a.bound()
	return a.conn.Flush()
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// Hijack implements http.Hijacker: the connection is the caller's from then on.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := a.conn.Hijack()
	a.hijacked = a.hijacked || err == nil
	return c, rw, err
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
