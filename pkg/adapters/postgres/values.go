package postgres

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// uid returns an id as an argument; what is no UUID is NULL, which equals nothing.
func uid[T ~string](v T) any {
	if id.Valid(string(v)) {
		return string(v)
	}
	return nil
}

// uids returns ids as one array argument, without what is no UUID.
func uids[T ~string](list []T) any {
	out := make([]string, 0, len(list))
	for _, v := range list {
		if id.Valid(string(v)) {
			out = append(out, string(v))
		}
	}
	return pq.Array(out)
}

// column returns one field of each row as an array argument.
func column[R, T any](rows []R, field func(R) T) any {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = field(r)
	}
	return pq.Array(out)
}

// micro returns t as it is stored: UTC, whole microseconds.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func microPtr(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	m := micro(*t)
	return &m
}

// printable returns a text that somebody else wrote as the database can store it.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func printablePtr(s *string) *string {
	if s == nil {
		return nil
	}
	p := printable(*s)
	return &p
}

// bytesOf returns a checksum's bytes; nil, which equals nothing, if it is none.
func bytesOf(sum stack.Checksum) []byte {
	b, err := hex.DecodeString(string(sum))
	if err != nil || len(b) != 32 || strings.ToLower(string(sum)) != string(sum) {
		return nil
	}
	return b
}

func checksumOf(b []byte) stack.Checksum { return stack.Checksum(hex.EncodeToString(b)) }

// views are the variants of one query, by who looks. All but the first take the looker's id as their last argument.
type views struct{ all, generator, agent string }

// of returns the query of scope with its arguments; false if scope sees nothing.
func (v views) of(s tenancy.Scope, args ...any) (string, []any, bool) {
	switch {
	case s.All:
		return v.all, args, true
	case s.Generator != "":
		return v.generator, append(args, uid(s.Generator)), true
	case s.Agent != "":
		return v.agent, append(args, uid(s.Agent)), true
	default:
		return "", nil, false
	}
}

func uidPtr[T ~string](v T) *string {
	if !id.Valid(string(v)) {
		return nil
	}
	s := string(v)
	return &s
}

// copied copies what p points to.
func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
