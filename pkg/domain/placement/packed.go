package placement

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// packed is a decision as it is kept: what many clusters have in common is there once, and the whole is compressed. A
// decision over a thousand clusters of which most are refused for the same reasons takes about 20 bytes a cluster.
type packed struct {
	Decision Decision          `json:"d"` // without verdicts
	Agents   []agent.ID        `json:"a"`
	Clusters []string          `json:"c"`
	Said     []json.RawMessage `json:"s"` // different verdicts, without whom they are about
	Which    []int             `json:"w"` // of Said, one a cluster

	// What clusters were given points for is nearly the same for all, what they were given is not: tables are without points and
	// observations, which follow for all clusters one after the other. Records of earlier releases have their scores in Said.
	Tables   [][]Score `json:"t,omitempty"`
	Table    []int     `json:"u,omitempty"` // of Tables, one a cluster; absent or -1: none
	Observed []string  `json:"o,omitempty"`
	Points   []int64   `json:"p,omitempty"`
}

// maxUnpacked bounds what Unpack reads, in bytes.
const maxUnpacked = 256 << 20

// Packer packs one decision after the other, with the same memory: what a compressor needs is more than most decisions. The
// zero value is ready; it is not safe for concurrent use.
type Packer struct {
	flate *flate.Writer
	out   bytes.Buffer
	text  []byte
	said  []byte
	known map[string]int
	which []int

	tables   [][]Score
	table    []int
	observed []string
	points   []int64
}

// Pack returns d in the form in which it is kept.
func (d Decision) Pack() ([]byte, error) { return new(Packer).Pack(d) }

// Pack returns d in the form in which it is kept.
func (p *Packer) Pack(d Decision) ([]byte, error) {
	if err := p.encode(d); err != nil {
		return nil, err
	}
	p.out.Reset()
	if p.flate == nil {
		w, err := flate.NewWriter(&p.out, flate.BestSpeed)
		if err != nil {
			return nil, fmt.Errorf("pack a decision: %w", err)
		}
		p.flate = w
	} else {
		p.flate.Reset(&p.out)
	}
	if _, err := p.flate.Write(p.text); err != nil {
		return nil, fmt.Errorf("pack a decision: %w", err)
	}
	if err := p.flate.Close(); err != nil {
		return nil, fmt.Errorf("pack a decision: %w", err)
	}
	return bytes.Clone(p.out.Bytes()), nil
}

// encode makes the JSON of packed: by hand, since verdicts are many and encoding/json looks at each field anew.
func (p *Packer) encode(d Decision) error {
	verdicts := d.Verdicts
	d.Verdicts = nil
	rest, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("pack a decision: %w", err)
	}
	if p.known == nil {
		p.known = map[string]int{}
	}
	clear(p.known)
	p.said, p.which = p.said[:0], p.which[:0]
	p.tables, p.table, p.observed, p.points = p.tables[:0], p.table[:0], p.observed[:0], p.points[:0]
	for _, v := range verdicts {
		p.tabulate(v.Scores)
		start := len(p.said)
		if start > 0 {
			p.said = append(p.said, ',')
		}
		at := len(p.said)
		if p.said, err = appendVerdict(p.said, v); err != nil {
			return err
		}
		n, ok := p.known[string(p.said[at:])]
		if ok {
			p.said = p.said[:start]
		} else {
			n = len(p.known)
			p.known[string(p.said[at:])] = n
		}
		p.which = append(p.which, n)
	}
	b := append(append(p.text[:0], `{"d":`...), rest...)
	b = append(b, `,"a":`...)
	if b, err = appendList(b, verdicts, func(b []byte, v Verdict) ([]byte, error) { return appendText(b, string(v.Agent)) }); err != nil {
		return err
	}
	b = append(b, `,"c":`...)
	if b, err = appendList(b, verdicts, func(b []byte, v Verdict) ([]byte, error) { return appendText(b, v.Cluster) }); err != nil {
		return err
	}
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

// appendVerdict makes the JSON of a verdict without whom it is about, and without its scores.
func appendVerdict(b []byte, v Verdict) ([]byte, error) {
	b = strconv.AppendBool(append(b, `{"picked":`...), v.Picked)
	b = append(b, `,"reasons":`...)
	var err error
	if v.Reasons == nil {
		b = append(b, `null`...)
	} else if b, err = appendList(b, v.Reasons, appendReason); err != nil {
		return b, err
	}
	if b, err = appendField(b, "group", v.Group, true); err != nil {
		return b, err
	}
	if v.Score != 0 {
		b = strconv.AppendInt(append(b, `,"score":`...), v.Score, 10)
	}
	for _, f := range [...]struct {
		name string
		is   bool
	}{{"ranked", v.Ranked}, {"incumbent", v.Incumbent}, {"avoided", v.Avoided}} {
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

func appendReason(b []byte, r Reason) ([]byte, error) {
	b, err := appendText(append(b, `{"rule":`...), string(r.Rule))
	if err != nil {
		return b, err
	}
	if b, err = appendField(b, "wanted", r.Wanted, true); err != nil {
		return b, err
	}
	if b, err = appendField(b, "observed", r.Observed, true); err != nil {
		return b, err
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

// Unpack returns the decision that Pack packed.
func Unpack(b []byte) (Decision, error) {
	var p packed
	if err := json.NewDecoder(io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxUnpacked)).Decode(&p); err != nil {
		return Decision{}, fmt.Errorf("unpack a decision: %w", err)
	}
	d := p.Decision
	if len(p.Agents) != len(p.Which) || len(p.Clusters) != len(p.Which) {
		return Decision{}, fmt.Errorf("unpack a decision: %d agents, %d clusters, %d verdicts", len(p.Agents), len(p.Clusters), len(p.Which))
	}
	if len(p.Which) > 0 {
		d.Verdicts = make([]Verdict, len(p.Which))
	}
	for i, n := range p.Which {
		if n < 0 || n >= len(p.Said) {
			return Decision{}, fmt.Errorf("unpack a decision: verdict %d is none of %d", n, len(p.Said))
		}
		if err := json.Unmarshal(p.Said[n], &d.Verdicts[i]); err != nil {
			return Decision{}, fmt.Errorf("unpack a verdict: %w", err)
		}
		d.Verdicts[i].Agent, d.Verdicts[i].Cluster = p.Agents[i], p.Clusters[i]
	}
	return d, p.scores(d.Verdicts)
}

// scores puts the scores of all clusters together again.
func (p *packed) scores(verdicts []Verdict) error {
	at := 0
	for i, n := range p.Table {
		if n == -1 {
			continue
		}
		if n < 0 || n >= len(p.Tables) || i >= len(verdicts) || at+len(p.Tables[n]) > min(len(p.Observed), len(p.Points)) {
			return fmt.Errorf("unpack a decision: the scores of verdict %d are not there", i)
		}
		scores := slices.Clone(p.Tables[n])
		for k := range scores {
			scores[k].Observed, scores[k].Points = p.Observed[at], p.Points[at]
			at++
		}
		verdicts[i].Scores = scores
	}
	return nil
}

// RecordList says how the records about a stack are listed: the newest first. The filter at passes those that were made
// until then.
func RecordList() page.List[Record] {
	return page.List[Record]{
		ID:         func(r Record) string { return string(r.Stack) },
		Sorts:      []page.Sort[Record]{{Name: "generation", Kind: page.Number, Key: func(r Record) string { return page.Integer(r.Generation) }}},
		Filters:    []page.Filter[Record]{{Name: "at", Parse: moment}},
		Descending: true, Chunk: 20, InPages: true,
	}
}

// moment reads a time of RFC 3339.
func moment(s string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return "", fault.Newf(fault.Invalid, "invalid_query", "query parameter at: %q is not a time such as 2026-03-01T12:00:00Z", s).With("parameter", "at")
	}
	return page.Time(t), nil
}
