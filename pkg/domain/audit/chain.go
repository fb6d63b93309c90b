package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String returns lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, bool) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return Hash{}, false
	}
	copy(h[:], b)
	return h, true
}

// The first words of what is hashed, so that no hash of one kind can stand for one of another.
const (
	ofContent = "brokkr audit entry 1\n"
	ofLink    = "brokkr audit link 1\n"
	ofChain   = "brokkr audit chain 1\n"
)

// Sum is the hash of what e says, of everything but its place in the chain and the name that its actor has now.
func (e Entry) Sum() Hash {
	text, err := json.Marshal([]any{
		e.ID, e.At.UTC().Format(time.RFC3339Nano), e.Actor.Type, e.Actor.ID, e.Actor.Credential, e.Action, e.ResourceType, e.ResourceID,
		e.Before, e.After, e.details(), e.Source.RequestID, e.Source.IP, e.Source.UserAgent, e.Source.Traceparent,
	})
	if err != nil {
		return Hash{} // texts and a map of texts are always JSON
	}
	return sha256.Sum256(append([]byte(ofContent), text...))
}

func (e Entry) details() map[string]string {
	if len(e.Details) == 0 {
		return map[string]string{}
	}
	return e.Details
}

// Period is the month whose entries make one chain, and one partition of the store: 2026-11.
type Period string

const periodLayout = "2006-01"

// PeriodOf returns the period of a time.
func PeriodOf(t time.Time) Period { return Period(t.UTC().Format(periodLayout)) }

// ParsePeriod reads a period.
func ParsePeriod(s string) (Period, bool) {
	t, err := time.Parse(periodLayout, s)
	return Period(s), err == nil && t.Format(periodLayout) == s
}

// Start returns the first moment of p; the zero time if p is none.
func (p Period) Start() time.Time {
	t, err := time.Parse(periodLayout, string(p))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Next returns the period after p.
func (p Period) Next() Period { return PeriodOf(p.Start().AddDate(0, 1, 0)) }

// Point is a place in a chain.
type Point struct {
	Period Period
	Seq    int64
	Link   Hash
}

// Chain is what is known of the entries of a period beside them. It is kept for ever, also when they are not: so what
// comes later still hangs on it.
type Chain struct {
	Period  Period
	Number  int    // in the order in which chains began, from 1: not always that of the periods, for an entry may come late
	After   *Point // where the former chain was when this one began; nil for the first one
	Entries int64  // that are sealed; the last one's Seq
	Head    Hash   // the last one's Link; the chain's beginning if there is none
	// DroppedAt is when the retention took the entries away; nil while they are there.
	DroppedAt *time.Time
}

// Begin returns the empty chain of a period, after the newest of the others (nil if it is the first one).
func Begin(p Period, newest *Chain) Chain {
	c := Chain{Period: p, Number: 1}
	if newest != nil {
		c.Number = newest.Number + 1
		c.After = &Point{Period: newest.Period, Seq: newest.Entries, Link: newest.Head}
	}
	c.Head = c.beginning()
	return c
}

// beginning is what the first entry's link rests on.
func (c Chain) beginning() Hash {
	b := append([]byte(ofChain), c.Period...)
	if c.After != nil {
		b = append(append(append(b, '\n'), c.After.Period...), '\n')
		b = binary.BigEndian.AppendUint64(b, uint64(c.After.Seq)) //nolint:gosec // never negative
		b = append(b, c.After.Link[:]...)
	}
	return sha256.Sum256(b)
}

// Seal puts e at the end of the chain and returns it with its place.
func (c *Chain) Seal(e Entry) Entry {
	c.Entries++
	e.Seq, e.Link = c.Entries, link(c.Head, c.Entries, e.Hash)
	c.Head = e.Link
	return e
}

func link(before Hash, seq int64, content Hash) Hash {
	b := append([]byte(ofLink), before[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(seq)) //nolint:gosec // never negative
	b = append(b, content[:]...)
	return sha256.Sum256(b)
}
