package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// verifyLines walks along the chains of an export and returns how many entries and chains are right. Chains are read first
// to last, so that of a chain's entries only one is held at a time; where the next one has noted it is compared at the end.
func verifyLines(r io.Reader) (entries int64, chains int, err error) {
	dec := json.NewDecoder(r)
	var all []audit.Chain
	var walk *audit.Walk
	end := func() error {
		if walk == nil {
			return nil
		}
		return walk.End()
	}
	for {
		var line auditLine
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return entries, len(all), fmt.Errorf("line %d is not of an export: %w", int(entries)+len(all)+1, err)
		}
		switch {
		case line.Chain != nil:
			if err := end(); err != nil {
				return entries, len(all), err
			}
			c, err := chainOf(*line.Chain)
			if err != nil {
				return entries, len(all), err
			}
			all, walk = append(all, c), nil
			if c.DroppedAt == nil {
				walk = audit.NewWalk(c, nil)
			}
		case line.Entry != nil && walk != nil:
			e, err := entryOf(*line.Entry)
			if err != nil {
				return entries, len(all), err
			}
			if err := walk.Add(e); err != nil {
				return entries, len(all), err
			}
			entries++
		default:
			return entries, len(all), fmt.Errorf("line %d is no chain, or an entry without one", int(entries)+len(all)+1)
		}
	}
	if len(all) == 0 {
		return 0, 0, errors.New("it holds no chain: is it an export?")
	}
	if err := end(); err != nil {
		return entries, len(all), err
	}
	return entries, len(all), audit.CheckChains(all)
}

func chainOf(c client.AuditChain) (audit.Chain, error) {
	p, ok := audit.ParsePeriod(c.Chain)
	head, headOK := audit.ParseHash(c.Head)
	if !ok || !headOK {
		return audit.Chain{}, fmt.Errorf("chain %q is not one of an export", c.Chain)
	}
	out := audit.Chain{Period: p, Number: c.Number, Entries: c.Entries, Head: head, DroppedAt: c.DroppedAt}
	if c.After != nil {
		link, ok := audit.ParseHash(c.After.Link)
		if !ok {
			return audit.Chain{}, fmt.Errorf("chain %s does not say on what it rests", c.Chain)
		}
		out.After = &audit.Point{Period: audit.Period(c.After.Chain), Seq: c.After.Sequence, Link: link}
	}
	return out, nil
}

func entryOf(e client.AuditLog) (audit.Entry, error) {
	hash, ok := audit.ParseHash(e.Hash)
	link, linkOK := audit.ParseHash(deref(e.Link))
	if !ok || !linkOK || e.Sequence == nil {
		return audit.Entry{}, fmt.Errorf("entry %s has no place in a chain", e.ID)
	}
	return audit.Entry{
		ID: audit.ID(e.ID), At: e.Timestamp,
		Actor:  audit.Actor{Type: e.ActorType, ID: deref(e.ActorID), Credential: tenancy.CredentialID(deref(e.CredentialID))},
		Action: audit.Action(e.Action), ResourceType: e.ResourceType, ResourceID: deref(e.ResourceID),
		Before: audit.Digest(deref(e.BeforeDigest)), After: audit.Digest(deref(e.AfterDigest)), Details: e.Details,
		Source: audit.Source{RequestID: e.RequestID, IP: e.IPAddress, UserAgent: e.UserAgent, Traceparent: e.Traceparent},
		Hash:   hash, Seq: *e.Sequence, Link: link,
	}, nil
}
