// Package survey looks now and then at the cluster as a whole and keeps what the broker is to be told of it: only what differs
// from what it was told last.
package survey

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	status "github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// podsEach says in how many looks the pods are counted once if nothing else is news: they are the dear part.
const podsEach = 5

// Config of a Survey.
type Config struct {
	Cluster cluster.Surveyor
	Facts   map[string]status.Fact // of the configuration; they count before those of ConfigMaps
	Every   time.Duration          // between looks, jittered
	Ring    func()                 // is called when there is something to tell; must not block
	Log     *slog.Logger
}

// Survey is safe for concurrent use. Run is its only looker.
type Survey struct {
	Config
	looks     int // since the pods were last due though nothing else is news
	requested status.Resources
	counted   map[string]bool   // nodes on which requested was counted
	rest      [sha256.Size]byte // digest of everything else when it was counted
	why       string            // requested is not known; empty: it is
	refused   string            // what was last said of facts that are none

	mu      sync.Mutex
	current json.RawMessage   // the newest status
	digest  [sha256.Size]byte // of current
	version int64             // of current
	told    int64
	recount bool                   // current was told again as it was
	failing map[status.Part]string // what was last said of parts that cannot be read
}

// New returns a survey that has seen nothing.
func New(c Config) *Survey { return &Survey{Config: c} }

// Pending returns the status that the broker has not been told, with its number; nil if there is none.
func (s *Survey) Pending() (json.RawMessage, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == s.told {
		return nil, s.told
	}
	return s.current, s.version
}

// Told notes that the broker has the status of this number.
func (s *Survey) Told(version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = max(s.told, version)
}

// Repeat has the newest status told again: at once, and the pods are counted anew at the next look.
func (s *Survey) Repeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.version++
		s.recount = true
	}
}

// Run looks until ctx ends. While the API server cannot be asked at all, what was seen last stands.
func (s *Survey) Run(ctx context.Context) error {
	for {
		s.Look(ctx)
		gap := s.Every + time.Duration(rand.Int64N(int64(s.Every)/5+1)) - s.Every/10 //nolint:gosec // spreads load, secures nothing
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gap):
		}
	}
}

// Look looks once.
func (s *Survey) Look(ctx context.Context) {
	seen, ok := s.see(ctx)
	if !ok || ctx.Err() != nil {
		return
	}
	normal, err := seen.Rounded().Normal()
	if err != nil {
		s.Log.ErrorContext(ctx, "the cluster's status cannot be told", "error", err.Error())
		return
	}
	digest, err := normal.Digest()
	if err != nil {
		s.Log.ErrorContext(ctx, "the cluster's status cannot be told", "error", err.Error())
		return
	}
	text, err := json.Marshal(normal)
	if err != nil {
		s.Log.ErrorContext(ctx, "the cluster's status cannot be told", "error", err.Error())
		return
	}
	s.mu.Lock()
	news := s.current == nil || digest != s.digest
	if news {
		s.current, s.digest = text, digest
		s.version++
	}
	unknown := !maps.Equal(s.failing, normal.Unknown)
	s.failing = normal.Unknown
	s.mu.Unlock()
	if unknown && len(normal.Unknown) > 0 {
		s.Log.WarnContext(ctx, "parts of the cluster's status cannot be read, so the broker does not know them", "parts", normal.Unknown)
	}
	if news {
		s.Ring()
	}
}

// see reads every part. False means that the API server does not answer: then nothing is known anew.
func (s *Survey) see(ctx context.Context) (status.Status, bool) {
	out := status.Status{Unknown: map[status.Part]string{}, Facts: map[string]status.Fact{}}
	unknown := func(p status.Part, err error) { out.Unknown[p] = reason(err) }
	var err error
	if out.KubernetesVersion, err = s.Cluster.KubernetesVersion(ctx); err != nil {
		return out, false
	}
	if out.APIs, err = s.Cluster.GroupVersions(ctx); err != nil {
		unknown(status.PartAPIs, err)
	} else if len(out.APIs) > status.MaxAPIs {
		out.APIs, out.Unknown[status.PartAPIs] = nil, "the cluster serves more API versions than can be told"
	}
	nodes, err := s.Cluster.Nodes(ctx)
	if err != nil {
		unknown(status.PartNodes, err)
	} else {
		out.Nodes, out.ReadyNodes, out.Allocatable, out.Architectures = nodes.Total, nodes.Ready, nodes.Allocatable, nodes.Architectures
	}
	known := err == nil
	facts, refused, err := s.Cluster.Facts(ctx)
	if err != nil {
		unknown(status.PartFacts, err)
	}
	if text := strings.Join(refused, "; "); text != s.refused {
		s.refused = text
		if text != "" {
			s.Log.WarnContext(ctx, "facts are left out", "why", text)
		}
	}
	s.state(&out, facts)
	if s.count(ctx, out, nodes, known); s.why != "" {
		out.Unknown[status.PartRequested] = s.why
	} else {
		out.Requested = s.requested
	}
	return out, true
}

// state adds the facts that still count.
func (s *Survey) state(out *status.Status, stated map[string]status.Fact) {
	now := time.Now()
	for _, from := range []map[string]status.Fact{s.Config.Facts, stated} {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			f := from[name]
			if _, has := out.Facts[name]; !has && len(out.Facts) < status.MaxFacts && (f.Until == nil || now.Before(*f.Until)) {
				out.Facts[name] = f
			}
		}
	}
}

// count counts what pods request: when anything else of the status is news, so that no sums are told that are older than the rest,
// when the nodes are others than it was counted on, while a status waits to be told, and at every fifth look. The broker goes by
// when it was told: it takes pods of before to be in the sums.
func (s *Survey) count(ctx context.Context, rest status.Status, nodes cluster.Nodes, known bool) {
	if !known {
		s.why, s.counted = "the nodes are not known", nil
		return
	}
	digest, ok := digestOf(rest)
	due := s.looks == 0
	s.looks = (s.looks + 1) % podsEach
	if !due && s.why == "" && ok && digest == s.rest && !s.untold() && maps.Equal(s.counted, nodes.Taking) {
		return
	}
	requested, err := s.Cluster.Requested(ctx, nodes.Taking)
	if err != nil {
		s.why, s.counted = reason(err), nil
		return
	}
	s.requested, s.counted, s.rest, s.why = requested, nodes.Taking, digest, ""
}

// untold reports whether what pods request is to be counted because of what the broker was told of it, or is still to be.
func (s *Survey) untold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.recount
	s.recount = false
	return again || s.version != s.told
}

// digestOf is the digest of a status as it would be told. False: it cannot be told.
func digestOf(x status.Status) (digest [sha256.Size]byte, ok bool) {
	x, err := x.Normal()
	if err != nil {
		return digest, false
	}
	digest, err = x.Digest()
	return digest, err == nil
}

// reason is an error as the broker is told it: short, and the same each time.
func reason(err error) string {
	const longest = 300
	text := err.Error()
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	return text
}
