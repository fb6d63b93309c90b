package audit

import "fmt"

// Break is the first place at which a log is not what was written.
type Break struct {
	Period Period
	Seq    int64 // of the entry that is wrong or missing; 0 if it is the chain itself
	ID     ID    // of the entry, if there is one
	Reason string
}

// Error makes it an error.
func (b *Break) Error() string {
	if b.Seq == 0 {
		return fmt.Sprintf("chain %s: %s", b.Period, b.Reason)
	}
	if b.ID == "" {
		return fmt.Sprintf("chain %s, entry %d: %s", b.Period, b.Seq, b.Reason)
	}
	return fmt.Sprintf("chain %s, entry %d (%s): %s", b.Period, b.Seq, b.ID, b.Reason)
}

// Walk verifies one chain, entry by entry in the order of Seq.
type Walk struct {
	chain Chain
	next  *Chain
	seq   int64
	head  Hash
}

// NewWalk begins a walk along c. Next is the chain after it, which has noted where c was when it began; nil for the newest.
func NewWalk(c Chain, next *Chain) *Walk {
	return &Walk{chain: c, next: next, head: c.beginning()}
}

func (w *Walk) broken(seq int64, i ID, format string, args ...any) *Break {
	return &Break{Period: w.chain.Period, Seq: seq, ID: i, Reason: fmt.Sprintf(format, args...)}
}

// Add goes on to the next entry; a Break is an error.
func (w *Walk) Add(e Entry) error {
	want := w.seq + 1
	switch {
	case e.Seq < want:
		return w.broken(e.Seq, e.ID, "it comes a second time, or in the wrong order, after entry %d", w.seq)
	case e.Seq > want:
		return w.broken(want, "", "it is missing; the next one is %d", e.Seq)
	case PeriodOf(e.At) != w.chain.Period:
		return w.broken(want, e.ID, "its time is not of this chain")
	case e.Sum() != e.Hash:
		return w.broken(want, e.ID, "its content was changed")
	case link(w.head, want, e.Hash) != e.Link:
		return w.broken(want, e.ID, "its link does not rest on the entry before it")
	}
	w.seq, w.head = want, e.Link
	if w.next != nil && w.next.After != nil && w.next.After.Seq == want && w.next.After.Link != w.head {
		return w.broken(want, e.ID, "it is not the one that chain %s has noted", w.next.Period)
	}
	return nil
}

// End says whether the walk has come to the chain's end.
func (w *Walk) End() error {
	switch {
	case w.seq < w.chain.Entries:
		return w.broken(w.seq+1, "", "it is missing, and so is what came after it: the chain has %d entries", w.chain.Entries)
	case w.seq > w.chain.Entries:
		return w.broken(w.chain.Entries+1, "", "the chain ends before it, with %d entries", w.chain.Entries)
	case w.head != w.chain.Head:
		return w.broken(w.seq, "", "its link is not the head that the chain has noted")
	}
	return nil
}

// CheckChains verifies that chains, in order of their numbers, follow each other, and that one whose entries were dropped
// is still the one on which the next rests.
func CheckChains(chains []Chain) error {
	for i, c := range chains {
		if i == 0 {
			if c.After != nil {
				return &Break{Period: c.After.Period, Reason: "it is missing; chain " + string(c.Period) + " rests on it"}
			}
			continue
		}
		former := chains[i-1]
		switch {
		case c.After == nil || c.After.Period != former.Period:
			return &Break{Period: c.Period, Reason: "it does not rest on chain " + string(former.Period) + ", which is before it"}
		case c.After.Seq > former.Entries:
			return &Break{Period: former.Period, Seq: former.Entries + 1, Reason: "it is missing; chain " + string(c.Period) + " has noted it"}
		case c.After.Seq == former.Entries && c.After.Link != former.Head:
			return &Break{Period: former.Period, Seq: former.Entries, Reason: "its link is not the one that chain " + string(c.Period) + " has noted"}
		}
	}
	return nil
}
