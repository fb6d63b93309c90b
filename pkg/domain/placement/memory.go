package placement

import (
	"math"
	"math/bits"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// memory is what decisions have found out about the clusters of a line of snapshots: answers to questions, points,
// domains. It is common to all policies: those that ask the same get the same answer, and after a change only the slots
// that changed are asked again. What depends on facts that expire counts for as long as no fact did. It holds nothing
// that cannot be found out again.
type memory struct {
	version  uint64 // of the newest snapshot that was asked about
	answers  map[string]*answers
	consents map[tenancy.GeneratorID]*answers
	points   map[pointsKey]*points
	domains  map[string]*domains
	expiries map[string]*expiry
	texts    map[string]*texts
	refusals map[string]*refusals
	refused  int                 // slots of all refusals
	refusing map[string][]Reason // different refusals, by their text
	scored   map[int64]string    // points as they are told
	ordered  ordered
	run      run
	spare    []sets // of selectors at work
}

// maxRemembered bounds how many different answers, points and so on are kept; beyond it all are forgotten.
const maxRemembered = 50_000

func newMemory() *memory {
	return &memory{answers: map[string]*answers{}, consents: map[tenancy.GeneratorID]*answers{}, points: map[pointsKey]*points{},
		domains: map[string]*domains{}, expiries: map[string]*expiry{}, texts: map[string]*texts{}, refusals: map[string]*refusals{},
		refusing: map[string][]Reason{}, scored: map[int64]string{}}
}

// recall returns the memory of f's line. A snapshot that is older than what is remembered gets one of its own. The line's
// lock is held.
func (f *Fleet) recall() *memory {
	m := f.line.memory
	if m == nil {
		m = newMemory()
		f.line.memory = m
	}
	if m.version > f.version {
		return newMemory()
	}
	if len(m.answers)+len(m.consents)+len(m.points)+len(m.domains)+len(m.expiries)+len(m.texts) > maxRemembered {
		clear(m.answers)
		clear(m.consents)
		clear(m.points)
		clear(m.domains)
		clear(m.expiries)
		clear(m.texts)
	}
	m.version = f.version
	return m
}

// lend returns empty sets of so many words, which back takes again.
func (m *memory) lend(words int) sets {
	var s sets
	if n := len(m.spare); n > 0 {
		s, m.spare = m.spare[n-1], m.spare[:n-1]
	}
	s.empty(words)
	return s
}

func (m *memory) back(s ...sets) { m.spare = append(m.spare, s...) }

// mark is when something was found out.
type mark struct {
	version uint64 // 0: never
	at      int64  // Unix nanoseconds
}

// anyFact stands for all facts of a cluster.
const anyFact = "*"

// renew calls again with each slot of which it is not known that what was found out at k counts now; fact is the one that
// it depends on, if any.
func (m *memory) renew(k *mark, f *Fleet, now int64, fact string, again func(i int)) {
	if k.version != f.version {
		f.since(k.version).each(again)
	}
	if fact != "" && k.version != 0 && k.at != now {
		if e := m.expiry(fact, f, now); !e.all.has(k.at) {
			for i := range e.windows {
				if !e.windows[i].has(k.at) {
					again(i)
				}
			}
		}
	}
	k.version, k.at = f.version, now
}

// window is the time between two expiries, in Unix nanoseconds.
type window struct{ from, until int64 }

const never = math.MaxInt64

func (w window) has(t int64) bool { return w.from <= t && t < w.until }

// expiry says for how long the values of a fact are what they are.
type expiry struct {
	version uint64
	windows []window // by slot
	all     window   // of all slots at once
}

func (m *memory) expiry(fact string, f *Fleet, now int64) *expiry {
	e := m.expiries[fact]
	if e == nil {
		e = &expiry{}
		m.expiries[fact] = e
	}
	if e.version == f.version && e.all.has(now) {
		return e
	}
	for len(e.windows) < f.slots() {
		e.windows = append(e.windows, window{})
	}
	e.all = window{math.MinInt64, never}
	for w, c := range f.chunks {
		for j := range c.slots {
			i := w<<6 + j
			if c.slots[j].changed > e.version || !e.windows[i].has(now) {
				e.windows[i] = windowOf(c.slots[j].cluster, fact, now)
			}
			e.all.from, e.all.until = max(e.all.from, e.windows[i].from), min(e.all.until, e.windows[i].until)
		}
	}
	e.version = f.version
	return e
}

func windowOf(c *Cluster, fact string, now int64) window {
	w := window{math.MinInt64, never}
	if c == nil {
		return w
	}
	narrow := func(until *time.Time) {
		if until == nil {
			return
		}
		if t := until.UnixNano(); t <= now {
			w.from = max(w.from, t)
		} else {
			w.until = min(w.until, t)
		}
	}
	if fact != anyFact {
		narrow(c.Reported.Facts[fact].Until)
		return w
	}
	for _, f := range c.Reported.Facts {
		narrow(f.Until)
	}
	return w
}

// answers to one question.
type answers struct {
	mark
	asked set // slots whose answer is known; of others neither yes nor unknown is set
	sets
}

func (a *answers) forget(i int) {
	a.asked.remove(i)
	a.yes.remove(i)
	a.unknown.remove(i)
}

// bring makes a an answer about all slots of f that are in of, asking those that have not been asked.
func (m *memory) bring(a *answers, f *Fleet, now time.Time, fact string, of set, ask func(c *Cluster, now time.Time) answer) {
	words := f.words()
	a.asked, a.yes, a.unknown = a.asked.sized(words), a.yes.sized(words), a.unknown.sized(words)
	m.renew(&a.mark, f, now.UnixNano(), fact, a.forget)
	for w, word := range of {
		todo := word &^ a.asked[w]
		a.asked[w] |= todo
		for ; todo != 0; todo &= todo - 1 {
			switch i := w<<6 + bits.TrailingZeros64(todo); ask(f.at(i), now) {
			case yes:
				a.yes.add(i)
			case unknown:
				a.unknown.add(i)
			case no:
			}
		}
	}
}

// ask returns the answers to a term's question, known of all slots of f that are in of.
func (m *memory) ask(t *term, f *Fleet, now time.Time, of set) *answers {
	a := m.answers[t.key]
	if a == nil {
		a = &answers{}
		m.answers[t.key] = a
	}
	m.bring(a, f, now, t.fact, of, t.ask)
	return a
}

// consent returns the clusters that have consent of the generator.
func (m *memory) consent(g tenancy.GeneratorID, f *Fleet, now time.Time) set {
	a := m.consents[g]
	if a == nil {
		a = &answers{}
		m.consents[g] = a
	}
	m.bring(a, f, now, "", f.live, func(c *Cluster, _ time.Time) answer { return truth(c.Generators[g]) })
	return a.yes
}

// domains are the values of a key, numbered.
type domains struct {
	mark
	of      []int32 // by slot
	ids     map[string]int32
	names   []string // of the domains
	nowhere int32    // the domain of clusters whose own is not known; -1: none
}

// domain returns the values of a key of all slots of f.
func (m *memory) domain(key string, f *Fleet, now time.Time) *domains {
	d := m.domains[key]
	if d == nil || len(d.names) > 2*f.Len()+64 { // names that no cluster has any longer
		d = &domains{ids: map[string]int32{}, nowhere: -1}
		m.domains[key] = d
	}
	for len(d.of) < f.slots() {
		d.of = append(d.of, 0)
	}
	m.renew(&d.mark, f, now.UnixNano(), factOf(key), func(i int) {
		if c := f.at(i); c != nil {
			d.of[i] = d.id(observe(c, key, now))
		}
	})
	return d
}

func (d *domains) id(v observed) int32 {
	if !v.known {
		if d.nowhere < 0 {
			d.nowhere = int32(len(d.names))
			d.names = append(d.names, v.text())
		}
		return d.nowhere
	}
	name := v.text()
	id, ok := d.ids[name]
	if !ok {
		id = int32(len(d.names))
		d.ids[name] = id
		d.names = append(d.names, name)
	}
	return id
}

// pointsKey names a scale: of a property, or of the balance without one.
type pointsKey struct {
	property  string
	low, high float64
	lowFirst  bool
	free      bool // of what is available, of which a stack uses some itself
	weight    int64
}

// points are what a preference gives the clusters, with its weight.
type points struct {
	mark
	of []int64 // by slot
}

func (m *memory) scale(k pointsKey, f *Fleet, now time.Time) *points {
	p := m.points[k]
	if p == nil {
		p = &points{}
		m.points[k] = p
	}
	for len(p.of) < f.slots() {
		p.of = append(p.of, 0)
	}
	m.renew(&p.mark, f, now.UnixNano(), factOf(k.property), func(i int) {
		if c := f.at(i); c != nil {
			p.of[i] = k.points(c, 0, now)
		}
	})
	return p
}

// until returns when what a key says of some cluster expires; zero: never.
func (m *memory) until(fact string, f *Fleet, now time.Time) time.Time {
	if e := m.expiry(fact, f, now.UnixNano()); e.all.until != never {
		return time.Unix(0, e.all.until).UTC()
	}
	return time.Time{}
}
