package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// What a status and a taint may hold.
const (
	MaxAPIs     = 4000
	MaxFacts    = 256
	MaxTaints   = 64
	MaxReason   = 1024 // bytes of a cordon's or drain's reason
	maxWord     = 128  // bytes of a key, a version, an architecture
	maxText     = 1024 // bytes of a fact's text, and of why a part is unknown
	maxTaintKey = 128
)

func invalidStatus(format string, args ...any) error {
	return fault.Newf(fault.Invalid, "invalid_cluster_status", format, args...)
}

// Normal returns the status sorted and without what is twice there, or says why it cannot be one: negative amounts, more than
// fits, words that are none.
func (s Status) Normal() (Status, error) {
	s = s.Copy()
	for _, list := range []*[]string{&s.Architectures, &s.APIs} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if len(s.APIs) > MaxAPIs || len(s.Architectures) > MaxAPIs {
		return Status{}, invalidStatus("more than %d API versions or architectures", MaxAPIs)
	}
	for _, w := range slices.Concat(s.Architectures, s.APIs, []string{"v" + s.KubernetesVersion}) {
		if !isWord(w, 2*maxWord) {
			return Status{}, invalidStatus("%q is no version, architecture or API", w)
		}
	}
	for what, r := range map[string]Resources{"allocatable": s.Allocatable, "requested": s.Requested} {
		if min(r.CPU, r.Memory, r.Pods, r.GPU) < 0 {
			return Status{}, invalidStatus("%s has a negative amount", what)
		}
	}
	if s.Nodes < 0 || s.ReadyNodes < 0 || s.ReadyNodes > s.Nodes {
		return Status{}, invalidStatus("%d of %d nodes are ready", s.ReadyNodes, s.Nodes)
	}
	if len(s.Facts) > MaxFacts {
		return Status{}, invalidStatus("%d facts, more than %d", len(s.Facts), MaxFacts)
	}
	for name, f := range s.Facts {
		if err := CheckFact(name, f); err != nil {
			return Status{}, err
		}
	}
	for p, why := range s.Unknown {
		if !slices.Contains(Parts(), p) || len(why) > maxText {
			return Status{}, invalidStatus("%q is no part of a status, or its reason is longer than %d bytes", p, maxText)
		}
	}
	return s, nil
}

// CheckFact refuses names that are no words and values that are both or too long.
func CheckFact(name string, f Fact) error {
	switch {
	case !isWord(name, maxWord):
		return invalidStatus("fact %q: a name has 1 to %d bytes and no white space", name, maxWord)
	case f.Number != nil && f.Text != "":
		return invalidStatus("fact %q is both a number and a text", name)
	case f.Number != nil && (math.IsNaN(*f.Number) || math.IsInf(*f.Number, 0)):
		return invalidStatus("fact %q is no finite number", name)
	case len(f.Text) > maxText || strings.ContainsFunc(f.Text, unicode.IsControl):
		return invalidStatus("fact %q: a text has at most %d bytes and no control characters", name, maxText)
	}
	return nil
}

func isWord(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// Digest is the same for statuses that say the same. It is that of a Normal status.
func (s Status) Digest() ([sha256.Size]byte, error) {
	text, err := json.Marshal(s) // maps are written by key
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("encode status: %w", err)
	}
	return sha256.Sum256(text), nil
}

// ParseEffect reads an effect, in either case of its letters.
func ParseEffect(text string) (Effect, error) {
	for _, e := range Effects() {
		if strings.EqualFold(text, string(e)) {
			return e, nil
		}
	}
	return "", fault.Newf(fault.Invalid, "invalid_taint", "effect %q is not PreferNoPlace, NoPlace or Evict", text)
}

// Check refuses keys that are no words, values with white space and unknown effects.
func (t Taint) Check() error {
	if !isWord(t.Key, maxTaintKey) || strings.ContainsAny(t.Key, "=:") {
		return fault.Newf(fault.Invalid, "invalid_taint", "the key must have 1 to %d bytes, no white space, no = and no colon", maxTaintKey)
	}
	if t.Value != "" && (!isWord(t.Value, maxTaintKey) || strings.ContainsAny(t.Value, "=:")) {
		return fault.Newf(fault.Invalid, "invalid_taint", "the value must have at most %d bytes, no white space, no = and no colon", maxTaintKey)
	}
	_, err := ParseEffect(string(t.Effect))
	return err
}

// CheckReason refuses reasons that are too long or hold control characters.
func CheckReason(reason string) error {
	if len(reason) > MaxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return fault.Newf(fault.Invalid, "invalid_reason", "the reason must have at most %d bytes and no control characters", MaxReason)
	}
	return nil
}

// ParseFact reads a fact as it is written: a number if it is one, else a text.
func ParseFact(text string) Fact {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
		return Fact{Number: &n}
	}
	return Fact{Text: text}
}

// ParseFacts reads a list of facts: zone=north,price=2.5.
func ParseFacts(list string) (map[string]Fact, error) {
	out := map[string]Fact{}
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if !ok {
			return nil, invalidStatus("fact %q is not name=value", part)
		}
		f := ParseFact(value)
		if err := CheckFact(name, f); err != nil {
			return nil, err
		}
		out[name] = f
	}
	if len(out) > MaxFacts {
		return nil, invalidStatus("%d facts, more than %d", len(out), MaxFacts)
	}
	return out, nil
}

// Rounded returns the requested amounts in steps of a hundredth of what is allocatable, so that a pod that comes and goes is no news.
func (s Status) Rounded() Status {
	step := func(requested, allocatable, least int64) int64 {
		size := max(allocatable/100, least)
		return (requested + size/2) / size * size
	}
	s.Requested.CPU = step(s.Requested.CPU, s.Allocatable.CPU, 100)
	s.Requested.Memory = step(s.Requested.Memory, s.Allocatable.Memory, 64<<20)
	s.Requested.Pods = step(s.Requested.Pods, s.Allocatable.Pods, 1)
	return s
}
