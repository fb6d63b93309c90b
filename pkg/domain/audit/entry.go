package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// ID identifies an entry.
type ID string

// System is the actor that is no credential: Brokkr itself, or an operator on its host who has the store.
const System = "system"

// Actor is who did it.
type Actor struct {
	Type       string               // a role, or System
	ID         string               // the agent or generator; the credential of those who are neither; empty for the system
	Credential tenancy.CredentialID // empty for the system
}

// ActorOf returns the actor that p is.
func ActorOf(p tenancy.Principal) Actor {
	a := Actor{Type: string(p.Role), ID: string(p.Credential), Credential: p.Credential}
	switch {
	case p.Role == tenancy.RoleAgent:
		a.ID = string(p.Agent)
	case p.Role == tenancy.RoleGenerator:
		a.ID = string(p.Generator)
	}
	return a
}

// Source is where a request came from.
type Source struct {
	RequestID   string
	IP          string // of the client, as far as trusted proxies tell
	UserAgent   string
	Traceparent string
}

// Digest is the SHA-256 of a thing as canonical JSON, in lower-case hexadecimal digits; empty where there was nothing.
type Digest string

// Entry is one action.
type Entry struct {
	ID           ID
	At           time.Time // whole microseconds, UTC
	Actor        Actor
	Action       Action
	ResourceType string
	ResourceID   string // empty if it is about nothing that has an id
	Before       Digest // empty: it was not there
	After        Digest // empty: it is not there any more
	Details      map[string]string
	Source       Source

	// Hash is the content's; the store keeps it as it was written.
	Hash Hash
	// Seq and Link place the entry in its chain. Both are zero until it is sealed.
	Seq  int64
	Link Hash

	// ActorName is what the actor is called now; empty if it is gone. It is not kept with the entry.
	ActorName string

	problem error
}

// Did is the entry of an action on one thing, without who and when. Before and after are the thing as it was and is,
// without secrets; nil where it was not there, or is gone.
func Did(a Action, resource string, before, after any) Entry {
	e := Entry{Action: a, ResourceType: a.ResourceType(), ResourceID: resource}
	e.Before = e.digest(before)
	e.After = e.digest(after)
	return e
}

// With adds a detail, which everybody may see who may read the log.
func (e Entry) With(key, value string) Entry {
	e.Details = maps.Clone(e.Details)
	if e.Details == nil {
		e.Details = map[string]string{}
	}
	e.Details[key] = strings.ToValidUTF8(value, "\uFFFD")
	return e
}

func (e *Entry) digest(v any) Digest {
	if v == nil {
		return ""
	}
	text, err := canonical(v)
	if err != nil {
		e.problem = fault.New(fault.Internal, "internal_error", "what an action changed has no digest").Because(err)
		return ""
	}
	sum := sha256.Sum256(text)
	return Digest(hex.EncodeToString(sum[:]))
}

// canonical returns v as JSON with sorted keys, without white space, numbers as they were written.
func canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var sorted any
	if err := dec.Decode(&sorted); err != nil {
		return nil, err
	}
	return json.Marshal(sorted)
}

// Longest parts of an entry, in bytes.
const (
	maxUserAgent = 512
	maxDetails   = 16 << 10
)

// Complete returns e with who, where from and when, cut to what is kept, and with its hash.
func (e Entry) Complete(i ID, at time.Time, a Actor, s Source) Entry {
	e.ID, e.At, e.Actor, e.Source = i, at.UTC().Truncate(time.Microsecond), a, s
	if len(e.Source.UserAgent) > maxUserAgent {
		e.Source.UserAgent = e.Source.UserAgent[:maxUserAgent]
	}
	e.Source.UserAgent = strings.ToValidUTF8(e.Source.UserAgent, "")
	e.Hash = e.Sum()
	return e
}

// Check refuses an entry that cannot be kept: such a change must not happen.
func (e Entry) Check() error {
	if e.problem != nil {
		return e.problem
	}
	wrong := ""
	switch {
	case !id.Valid(string(e.ID)):
		wrong = "id"
	case e.At.IsZero():
		wrong = "time"
	case e.Actor.Type == "" || (e.Actor.Type != System && e.Actor.ID == ""):
		wrong = "actor"
	case !e.Action.Valid():
		wrong = "action"
	case e.ResourceID != "" && !id.Valid(e.ResourceID):
		wrong = "resource id"
	case e.Hash != e.Sum():
		wrong = "hash"
	}
	if wrong == "" {
		size := 0
		for k, v := range e.Details {
			size += len(k) + len(v)
		}
		if size > maxDetails {
			wrong = "size of details"
		}
	}
	if wrong != "" {
		return fault.New(fault.Internal, "internal_error", "an audit entry cannot be kept").
			Because(fmt.Errorf("audit entry %s of %s: wrong %s", e.ID, e.Action, wrong)) //nolint:err113 // a bug, not a case
	}
	return nil
}
