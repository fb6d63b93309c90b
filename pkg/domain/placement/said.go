package placement

import "slices"

// numbered is the number of what was said with so many reasons.
type numbered struct{ reasons, n int }

// kind is a verdict as it was said first, and the number of what was said.
type kind struct {
	*Verdict
	summed     bool
	pointed, n int
}

// maxKinds bounds how many kinds are looked through: there are as many as a spread has domains, mostly.
const maxKinds = 16

// is reports whether v is said in the same words as k. Whom it is about and its scores are told elsewhere.
func (k *kind) is(v *Verdict, summed bool, pointed int) bool {
	return k.summed == summed && k.pointed == pointed && k.Picked == v.Picked && k.Ranked == v.Ranked && k.Incumbent == v.Incumbent && k.Avoided == v.Avoided &&
		k.Group == v.Group && (summed || k.Score == v.Score) && slices.Equal(k.Spread, v.Spread) && (k.Reasons == nil) == (v.Reasons == nil) &&
		k.same(v.Reasons, pointed)
}

func (k *kind) same(reasons []Reason, pointed int) bool {
	if len(k.Reasons) != len(reasons) {
		return false
	}
	for i := range reasons {
		x, y := &k.Reasons[i], &reasons[i]
		if x.Rule != y.Rule || x.Wanted != y.Wanted || x.Message != y.Message || (i+1 != pointed && x.Observed != y.Observed) {
			return false
		}
	}
	return true
}

// say returns the number of what is said of a cluster, and notes it if nobody said it before. Most of it is known without making its text.
func (p *Packer) say(v *Verdict) (int, error) {
	refusal := !v.Picked && !v.Ranked && !v.Incumbent && !v.Avoided && v.Group == "" && v.Score == 0 && len(v.Spread) == 0 && len(v.Reasons) > 0
	if refusal {
		if m, ok := p.plain[&v.Reasons[0]]; ok && m.reasons == len(v.Reasons) {
			return m.n, nil
		}
		n, err := p.write(v)
		p.plain[&v.Reasons[0]] = numbered{len(v.Reasons), n}
		return n, err
	}
	summed, pointed := v.summed(), v.pointed()
	for i := range p.kinds {
		if p.kinds[i].is(v, summed, pointed) {
			return p.kinds[i].n, nil
		}
	}
	n, err := p.write(v)
	if len(p.kinds) < maxKinds {
		p.kinds = append(p.kinds, kind{v, summed, pointed, n})
	}
	return n, err
}

// write makes the text of what is said of a cluster, and returns its number.
func (p *Packer) write(v *Verdict) (int, error) {
	start := len(p.said)
	if start > 0 {
		p.said = append(p.said, ',')
	}
	at := len(p.said)
	var err error
	if p.said, err = appendVerdict(p.said, v); err != nil {
		return 0, err
	}
	n, ok := p.known[string(p.said[at:])]
	if ok {
		p.said = p.said[:start]
	} else {
		n = len(p.known)
		p.known[string(p.said[at:])] = n
	}
	return n, nil
}

// tabulate takes the scores of the next cluster apart.
func (p *Packer) tabulate(scores []Score) {
	if len(scores) == 0 {
		p.table = append(p.table, -1)
		return
	}
	n := slices.IndexFunc(p.tables, func(t []Score) bool {
		return slices.EqualFunc(t, scores, func(x, y Score) bool { return x.Name == y.Name && x.Weight == y.Weight })
	})
	if n < 0 {
		head := make([]Score, len(scores))
		for i, s := range scores {
			head[i] = Score{Name: s.Name, Weight: s.Weight}
		}
		n, p.tables = len(p.tables), append(p.tables, head)
	}
	p.table = append(p.table, n)
	for _, s := range scores {
		p.observed, p.points = append(p.observed, s.Observed), append(p.points, s.Points)
	}
}
