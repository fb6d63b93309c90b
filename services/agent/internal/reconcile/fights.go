package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/dependents"
)

// A field that was corrected fightCount times within fightWindow is contested: another manager wants it otherwise.
const (
	fightCount  = 5
	fightWindow = 10 * time.Minute
	firstTruce  = time.Minute
	longTruce   = time.Hour
)

// field is a place in an object.
type field struct {
	key  cluster.Key
	path string
}

// fight is the history of corrections of a field.
type fight struct {
	fixed []time.Time
	truce time.Duration // length of the last pause
	until time.Time     // no correction before
	by    []string
}

// fights tracks corrections, so that two managers do not fight over a field for ever.
type fights map[field]*fight

func newFights() fights { return fights{} }

// contested returns which of an object's paths may not be corrected now.
func (f fights) contested(key cluster.Key, paths []string, now time.Time) []string {
	var out []string
	for _, p := range paths {
		if h := f[field{key, p}]; h != nil && now.Before(h.until) {
			out = append(out, p)
		}
	}
	return out
}

// say names contested paths of an object, who sets them, and until when the first of them is left so.
func (f fights) say(key cluster.Key, paths []string) string {
	parts, until := make([]string, len(paths)), never()
	for i, p := range paths {
		h := f[field{key, p}]
		if until = earlier(until, h.until); p == wholeObject {
			parts[i] = "it is deleted again and again"
			continue
		}
		parts[i] = p + by(h.by)
	}
	return fmt.Sprintf("%s, is corrected again at %s", dependents.First(parts, " and "), until.UTC().Format(time.RFC3339))
}

// corrected notes a correction; it returns the paths that have become contested by it.
func (f fights) corrected(key cluster.Key, paths, by []string, now time.Time) []string {
	var contested []string
	for _, p := range paths {
		h := f[field{key, p}]
		if h == nil {
			h = &fight{}
			f[field{key, p}] = h
		}
		h.fixed = append(slices.DeleteFunc(h.fixed, func(t time.Time) bool { return now.Sub(t) > fightWindow }), now)
		h.by = by
		if len(h.fixed) < fightCount && h.truce == 0 {
			continue
		}
		h.truce = min(max(2*h.truce, firstTruce), longTruce)
		h.until = now.Add(h.truce)
		contested = append(contested, p)
	}
	return contested
}

// expire forgets what is long over.
func (f fights) expire(now time.Time) {
	for k, h := range f {
		last := h.fixed[len(h.fixed)-1]
		if now.After(h.until) && now.Sub(last) > fightWindow+h.truce {
			delete(f, k)
		}
	}
}

// next returns when the first pause ends.
func (f fights) next() time.Time {
	next := never()
	for _, h := range f {
		if !h.until.IsZero() && h.until.Before(next) && h.until.After(time.Now()) {
			next = h.until
		}
	}
	return next
}

// due returns the objects whose pause has ended since the given time.
func (f fights) due(since, now time.Time) []cluster.Key {
	var keys []cluster.Key
	for k, h := range f {
		if h.until.After(since) && !h.until.After(now) {
			keys = append(keys, k.key)
		}
	}
	return keys
}
