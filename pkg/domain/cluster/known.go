package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Known is everything that is known of one cluster beside its agent's row, labels and annotations.
type Known struct {
	Status           Status
	ReportedAt       *time.Time // when the agent last told its status, changed or not; nil: never
	ChangedAt        *time.Time // when the status last differed from the one before
	Taints           []Taint    // by key, then effect
	Cordon           *Cordon
	Drain            *Drain
	UnreachableSince *time.Time // the last heartbeat of an agent that is silent; nil: it is heard, or never was
}

// Copy returns a Known that shares nothing with k.
func (k Known) Copy() Known {
	k.Status = k.Status.Copy()
	k.ReportedAt, k.ChangedAt, k.UnreachableSince = clone(k.ReportedAt), clone(k.ChangedAt), clone(k.UnreachableSince)
	k.Taints, k.Cordon = slices.Clone(k.Taints), clone(k.Cordon)
	if k.Drain = clone(k.Drain); k.Drain != nil {
		k.Drain.Released = maps.Clone(k.Drain.Released)
	}
	return k
}

// Copy returns a Status that shares nothing with s.
func (s Status) Copy() Status {
	s.Architectures, s.APIs, s.Unknown = slices.Clone(s.Architectures), slices.Clone(s.APIs), maps.Clone(s.Unknown)
	s.Facts = maps.Clone(s.Facts)
	for k, f := range s.Facts {
		f.Number, f.Until = clone(f.Number), clone(f.Until)
		s.Facts[k] = f
	}
	return s
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// Tainted returns the taints with t among them, and whether that differs from before. Since stays where key, effect and value
// are the same.
func Tainted(taints []Taint, t Taint) ([]Taint, bool) {
	out := slices.Clone(taints)
	i := slices.IndexFunc(out, func(x Taint) bool { return x.Key == t.Key && x.Effect == t.Effect })
	switch {
	case i < 0:
		out = append(out, t)
	case out[i].Value == t.Value:
		return out, false
	default:
		out[i] = t
	}
	slices.SortFunc(out, func(x, y Taint) int { return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Effect, y.Effect)) })
	return out, true
}
