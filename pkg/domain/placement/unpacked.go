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

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// maxUnpacked bounds what Unpack reads, in bytes.
const maxUnpacked = 256 << 20

// Unpack returns the decision of the bytes of a Packed.
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
	verdicts := make([]said, len(p.Which))
	for i, n := range p.Which {
		if n < 0 || n >= len(p.Said) {
			return Decision{}, fmt.Errorf("unpack a decision: verdict %d is none of %d", n, len(p.Said))
		}
		if err := json.Unmarshal(p.Said[n], &verdicts[i]); err != nil {
			return Decision{}, fmt.Errorf("unpack a verdict: %w", err)
		}
		d.Verdicts[i] = verdicts[i].Verdict
		d.Verdicts[i].Agent, d.Verdicts[i].Cluster = p.Agents[i], p.Clusters[i]
	}
	if err := p.scores(d.Verdicts); err != nil {
		return Decision{}, err
	}
	for i := range verdicts {
		if err := verdicts[i].complete(&d.Verdicts[i]); err != nil {
			return Decision{}, err
		}
	}
	return d, nil
}

// complete adds to a verdict with its scores what follows from them.
func (s *said) complete(v *Verdict) error {
	if s.Summed {
		for i := range v.Scores {
			v.Score += v.Scores[i].Points
		}
	}
	if s.Pointed < 0 || s.Pointed > len(v.Reasons) {
		return fmt.Errorf("unpack a verdict: reason %d is none of %d", s.Pointed, len(v.Reasons))
	}
	if s.Pointed > 0 {
		v.Reasons[s.Pointed-1].Observed = strconv.FormatInt(v.Score, 10) + inPoints
	}
	return nil
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
