// Package idempotency says when two requests are one: a client that got no answer sends its request again under the same key,
// and learns what became of the first instead of doing it twice.
package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

const (
	// Keep is how long a key is known after its request was done.
	Keep = 24 * time.Hour
	// MaxText is how long the text may be that a client chooses, in bytes.
	MaxText = 255
	// MaxAnswer is how long the body of an answer may be that is kept, in bytes; of a longer one is known only that it was given.
	MaxAnswer = 256 << 10
)

// Key names a request. It is a digest of the text that the client chose and of all that the text is good for: the subject of its
// credential, the operation and the path. So nobody finds the key of another subject, whatever text they choose.
type Key [sha256.Size]byte

// String returns the key in hexadecimal digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// NewKey returns the key of a request. Text has 1 to MaxText bytes and no control characters; else it is Invalid, code
// invalid_idempotency_key.
func NewKey(subject, operation, path, text string) (Key, error) {
	if text == "" || len(text) > MaxText {
		return Key{}, fault.Newf(fault.Invalid, "invalid_idempotency_key", "the Idempotency-Key has %d bytes; it must have 1 to %d", len(text), MaxText)
	}
	for i := range len(text) {
		if text[i] < 0x20 || text[i] == 0x7f {
			return Key{}, fault.Newf(fault.Invalid, "invalid_idempotency_key", "the Idempotency-Key has a control character at byte %d", i)
		}
	}
	return Key(digest([]byte(subject), []byte(operation), []byte(path), []byte(text))), nil
}

// Request is a digest of what a request asks for, beside operation and path.
type Request [sha256.Size]byte

// RequestOf returns the digest of a request.
func RequestOf(query, contentType string, body []byte) Request {
	return Request(digest([]byte(query), []byte(contentType), body))
}

// digest is that of all parts, each with its length, so that no two lists of parts have the same.
func digest(parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		part(h, p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func part(h hash.Hash, p []byte) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
	h.Write(p)
}

// Answer is what a request was answered with.
type Answer struct {
	Status int
	Header map[string][]string
	Body   []byte
}

// Resource is what a request made or changed, in the words of the audit log; empty where it is of no single thing.
type Resource struct{ Type, ID string }

// Record is a request that was done.
type Record struct {
	Key      Key
	Request  Request
	At       time.Time
	Resource Resource
	Answer   *Answer // nil: not known (yet), or not to be kept
}

// Live reports whether r still counts at now.
func (r Record) Live(now time.Time) bool { return now.Sub(r.At) < Keep }

// Used is the Conflict of a key whose request was done already.
func Used() *fault.Error {
	return fault.New(fault.Conflict, "idempotency_done", "the request with this Idempotency-Key was done already")
}

// InProgress is the Conflict of a key whose request is being done at this moment.
func InProgress() *fault.Error {
	f := fault.New(fault.Conflict, "idempotency_in_progress", "the request with this Idempotency-Key is being worked on; send it again in a moment")
	f.RetryAfter = time.Second
	return f
}

// Collision reports whether err is one of the two Conflicts of a key.
func Collision(err error) bool {
	code := fault.CodeOf(err)
	return fault.Is(err, fault.Conflict) && (code == "idempotency_done" || code == "idempotency_in_progress")
}

// Repeat says what a repeated request is answered with where not the first answer: Refused (idempotency_key_reused) if it is
// another request than r's, else idempotency_done with the thing that came of it.
func (r Record) Repeat(asked Request) *fault.Error {
	if asked != r.Request {
		return fault.New(fault.Refused, "idempotency_key_reused", "this Idempotency-Key was used for another request; choose a new one for each request")
	}
	f := fault.New(fault.Conflict, "idempotency_done", "this request was done already; its answer is not kept, so read what came of it").With("done_at", r.At)
	if r.Resource.ID != "" {
		f = f.With("resource_type", r.Resource.Type).With("resource_id", r.Resource.ID)
	}
	return f
}
