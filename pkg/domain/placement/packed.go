package placement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate" // of the same format as the standard library's, and about twice as fast

	"github.com/colliery-io/brokkr/pkg/domain/agent"
)

// packed is a decision as it is kept: what many clusters have in common is there once, and the whole is compressed. A
// decision over a thousand clusters of which most are refused for the same reasons takes about 20 bytes a cluster.
type packed struct {
	Agents   []agent.ID        `json:"a"`
	Clusters []string          `json:"c"`
	Decision Decision          `json:"d"` // without verdicts
	Said     []json.RawMessage `json:"s"` // different verdicts, without whom they are about
	Which    []int             `json:"w"` // of Said, one a cluster

	// What clusters were given points for is nearly the same for all, what they were given is not: tables are without points and
	// observations, which follow for all clusters one after the other. Records of earlier releases have their scores in Said.
	Tables   [][]Score `json:"t,omitempty"`
	Table    []int     `json:"u,omitempty"` // of Tables, one a cluster; absent or -1: none
	Observed []string  `json:"o,omitempty"`
	Points   []int64   `json:"p,omitempty"`
}

// said is a verdict in packed. What follows from its scores, and what the scores' sum says once more, is left out: verdicts that
// differ in their points alone are said once.
type said struct {
	Verdict
	Summed  bool `json:"summed,omitempty"`  // the score is the sum of the scores' points
	Pointed int  `json:"pointed,omitempty"` // the reason of which the observation is the score, in points; the first is 1
}

// Packed is a decision as it is kept, in two parts: whom the verdicts are about, which decisions about the same clusters have in
// common and which is most of it, and the rest. Neither may be changed. Unpack reads one after the other.
type Packed struct{ Whom, Rest []byte }

// Bytes returns both parts, as Unpack reads them.
func (p Packed) Bytes() []byte { return slices.Concat(p.Whom, p.Rest) }

// Packer packs one decision after the other, with the same memory: what a compressor needs is more than most decisions, and
// which clusters there are is mostly what it was before. The zero value is ready; it is not safe for concurrent use.
type Packer struct {
	flate *flate.Writer
	out   bytes.Buffer

	agents   []agent.ID // of the decision before
	clusters []string
	who      []byte // these, compressed

	text  []byte
	said  []byte
	known map[string]int       // what was said, by its text
	plain map[*Reason]numbered // of it, refusals without more, by where their reasons lie
	kinds []kind               // of it, the first of the rest
	which []int

	tables   [][]Score
	table    []int
	observed []string
	points   []int64
}

// Pack returns d in the form in which it is kept.
func (d Decision) Pack() (Packed, error) { return new(Packer).Pack(d) }

// Pack returns d in the form in which it is kept. Decisions about the same clusters, one after the other, share Whom.
func (p *Packer) Pack(d Decision) (Packed, error) {
	if err := p.encode(d); err != nil {
		return Packed{}, err
	}
	if err := p.compress(p.text, (*flate.Writer).Close); err != nil {
		return Packed{}, err
	}
	return Packed{Whom: p.who, Rest: bytes.Clone(p.out.Bytes())}, nil
}

// compress puts text into out, and ends it.
func (p *Packer) compress(text []byte, end func(*flate.Writer) error) error {
	p.out.Reset()
	if p.flate == nil {
		w, err := flate.NewWriter(&p.out, flate.BestSpeed)
		if err != nil {
			return fmt.Errorf("pack a decision: %w", err)
		}
		p.flate = w
	} else {
		p.flate.Reset(&p.out)
	}
	if _, err := p.flate.Write(text); err != nil {
		return fmt.Errorf("pack a decision: %w", err)
	}
	if err := end(p.flate); err != nil {
		return fmt.Errorf("pack a decision: %w", err)
	}
	return nil
}

// tell makes the beginning of the JSON, compressed: whom the verdicts are about. It ends at a byte and nothing after it refers to
// it, so that it is good for each decision about the same clusters.
func (p *Packer) tell(verdicts []Verdict) error {
	same := p.who != nil && len(p.agents) == len(verdicts)
	for i := 0; same && i < len(verdicts); i++ {
		same = p.agents[i] == verdicts[i].Agent && p.clusters[i] == verdicts[i].Cluster
	}
	if same {
		return nil
	}
	p.agents, p.clusters, p.who = p.agents[:0], p.clusters[:0], nil
	for i := range verdicts {
		p.agents, p.clusters = append(p.agents, verdicts[i].Agent), append(p.clusters, verdicts[i].Cluster)
	}
	b, err := appendList(append(p.text[:0], `{"a":`...), p.agents, func(b []byte, a agent.ID) ([]byte, error) { return appendText(b, string(a)) })
	if err != nil {
		return err
	}
	if b, err = appendList(append(b, `,"c":`...), p.clusters, appendText); err != nil {
		return err
	}
	if err := p.compress(b, (*flate.Writer).Flush); err != nil {
		return err
	}
	p.text, p.who = b, bytes.Clone(p.out.Bytes())
	return nil
}

// encode makes the JSON of packed: by hand, since verdicts are many and encoding/json looks at each field anew.
func (p *Packer) encode(d Decision) error {
	verdicts := d.Verdicts
	d.Verdicts = nil
	rest, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("pack a decision: %w", err)
	}
	if err := p.tell(verdicts); err != nil {
		return err
	}
	if p.known == nil {
		p.known, p.plain = map[string]int{}, map[*Reason]numbered{}
	}
	clear(p.known)
	clear(p.plain)
	p.kinds = p.kinds[:0]
	p.said, p.which = p.said[:0], p.which[:0]
	p.tables, p.table, p.observed, p.points = p.tables[:0], p.table[:0], p.observed[:0], p.points[:0]
	for i := range verdicts {
		v := &verdicts[i]
		p.tabulate(v.Scores)
		n, err := p.say(v)
		if err != nil {
			return err
		}
		p.which = append(p.which, n)
	}
	b := append(append(p.text[:0], `,"d":`...), rest...)
	b = append(append(append(b, `,"s":[`...), p.said...), `],"w":`...)
	if b, err = appendList(b, p.which, func(b []byte, n int) ([]byte, error) { return strconv.AppendInt(b, int64(n), 10), nil }); err != nil {
		return err
	}
	if len(p.tables) > 0 {
		heads, err := json.Marshal(p.tables)
		if err != nil {
			return fmt.Errorf("pack scores: %w", err)
		}
		b = append(append(append(b, `,"t":`...), heads...), `,"u":`...)
		if b, err = appendList(b, p.table, func(b []byte, n int) ([]byte, error) { return strconv.AppendInt(b, int64(n), 10), nil }); err != nil {
			return err
		}
		if b, err = appendList(append(b, `,"o":`...), p.observed, appendText); err != nil {
			return err
		}
		if b, err = appendList(append(b, `,"p":`...), p.points, func(b []byte, n int64) ([]byte, error) { return strconv.AppendInt(b, n, 10), nil }); err != nil {
			return err
		}
	}
	p.text = append(b, '}')
	return nil
}

func appendList[T any](b []byte, list []T, one func([]byte, T) ([]byte, error)) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = one(b, v); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// field of an object, with the comma before it; what may be left out is, if it is empty.
func appendField(b []byte, name, value string, leaveOut bool) ([]byte, error) {
	if leaveOut && value == "" {
		return b, nil
	}
	return appendText(append(append(append(b, `,"`...), name...), `":`...), value)
}

// summed reports whether the score is the sum of its parts.
func (v *Verdict) summed() bool {
	var sum int64
	for i := range v.Scores {
		sum += v.Scores[i].Points
	}
	return v.Score != 0 && sum == v.Score
}

const inPoints = " points"

// pointed returns the number of the reason that says the score once more, from 1; 0: none does.
func (v *Verdict) pointed() int {
	var digits [20]byte
	for i := range v.Reasons {
		r := &v.Reasons[i]
		if n, ok := strings.CutSuffix(r.Observed, inPoints); ok && r.Rule == RuleOutranked && n == string(strconv.AppendInt(digits[:0], v.Score, 10)) {
			return i + 1
		}
	}
	return 0
}

// appendVerdict makes the JSON of said: of a verdict without whom it is about, and without its scores.
func appendVerdict(b []byte, v *Verdict) ([]byte, error) {
	b = strconv.AppendBool(append(b, `{"picked":`...), v.Picked)
	b = append(b, `,"reasons":`...)
	var err error
	pointed, summed := v.pointed(), v.summed()
	if v.Reasons == nil {
		b = append(b, `null`...)
	} else {
		b = append(b, '[')
		for i := range v.Reasons {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendReason(b, &v.Reasons[i], i+1 == pointed); err != nil {
				return b, err
			}
		}
		b = append(b, ']')
	}
	if pointed > 0 {
		b = strconv.AppendInt(append(b, `,"pointed":`...), int64(pointed), 10)
	}
	if b, err = appendField(b, "group", v.Group, true); err != nil {
		return b, err
	}
	if v.Score != 0 && !summed {
		b = strconv.AppendInt(append(b, `,"score":`...), v.Score, 10)
	}
	for _, f := range [...]struct {
		name string
		is   bool
	}{{"summed", summed}, {"ranked", v.Ranked}, {"incumbent", v.Incumbent}, {"avoided", v.Avoided}} {
		if f.is {
			b = append(append(append(b, `,"`...), f.name...), `":true`...)
		}
	}
	if len(v.Spread) > 0 {
		if b, err = appendList(append(b, `,"spread":`...), v.Spread, appendFullness); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func appendFullness(b []byte, f Fullness) ([]byte, error) {
	b, err := appendText(append(b, `{"by":`...), f.By)
	if err != nil {
		return b, err
	}
	if b, err = appendField(b, "domain", f.Domain, true); err != nil {
		return b, err
	}
	b = strconv.AppendInt(append(b, `,"picked":`...), int64(f.Picked), 10)
	b = strconv.AppendInt(append(b, `,"fewest":`...), int64(f.Fewest), 10)
	return append(b, '}'), nil
}

// appendReason makes the JSON of a reason, of one that is pointed without what is observed.
func appendReason(b []byte, r *Reason, pointed bool) ([]byte, error) {
	b, err := appendText(append(b, `{"rule":`...), string(r.Rule))
	if err != nil {
		return b, err
	}
	if b, err = appendField(b, "wanted", r.Wanted, true); err != nil {
		return b, err
	}
	if !pointed {
		if b, err = appendField(b, "observed", r.Observed, true); err != nil {
			return b, err
		}
	}
	if b, err = appendField(b, "message", r.Message, false); err != nil {
		return b, err
	}
	return append(b, '}'), nil
}

// appendText makes a JSON string; plain ones, which nearly all are, need no escaping.
func appendText(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			if err != nil {
				return b, fmt.Errorf("pack a text: %w", err)
			}
			return append(b, text...), nil
		}
	}
	return append(append(append(b, '"'), s...), '"'), nil
}
