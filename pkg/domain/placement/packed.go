package placement

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
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
}

// maxUnpacked bounds what Unpack reads, in bytes.
const maxUnpacked = 256 << 20

// Pack returns d in the form in which it is kept.
func (d Decision) Pack() ([]byte, error) {
	p := packed{Decision: d, Agents: make([]agent.ID, len(d.Verdicts)), Clusters: make([]string, len(d.Verdicts)), Which: make([]int, len(d.Verdicts))}
	p.Decision.Verdicts = nil
	known := map[string]int{}
	for i, v := range d.Verdicts {
		p.Agents[i], p.Clusters[i] = v.Agent, v.Cluster
		v.Agent, v.Cluster = "", ""
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("pack a verdict: %w", err)
		}
		n, ok := known[string(text)]
		if !ok {
			n = len(p.Said)
			known[string(text)] = n
			p.Said = append(p.Said, text)
		}
		p.Which[i] = n
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("pack a decision: %w", err)
	}
	if err := json.NewEncoder(w).Encode(p); err != nil {
		return nil, fmt.Errorf("pack a decision: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack a decision: %w", err)
	}
	return out.Bytes(), nil
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
	return d, nil
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
