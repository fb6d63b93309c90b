package target

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// An agent whose target state changes many times in a row is read whole once in keptFor; in between only what is newer is
// read. What is no part of a revision, a stack's name, may be as old.
const (
	keptFor   = 20 * time.Second
	keptLines = 100_000 // over all agents; beyond it all are forgotten
)

// kept are target states that were read whole a moment ago, with what came since. It is safe for concurrent use.
type kept struct {
	now    func() time.Time
	mu     sync.Mutex
	states map[agent.ID]keptState
	lines  int
}

type keptState struct {
	State
	until time.Time
}

func (k *kept) get(a agent.ID) (State, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.states[a]
	if ok && k.now().Before(s.until) {
		return s.State, true
	}
	k.remove(a)
	return State{}, false
}

// put keeps a state that was read whole.
func (k *kept) put(a agent.ID, s State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(a)
	if k.lines+len(s.Wanted) > keptLines {
		clear(k.states)
		k.lines = 0
	}
	if len(s.Wanted) > keptLines {
		return
	}
	k.states[a] = keptState{State: s, until: k.now().Add(keptFor)}
	k.lines += len(s.Wanted)
}

// renew keeps what a kept state has become, no longer than that. A newer one stays.
func (k *kept) renew(a agent.ID, s State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, ok := k.states[a]
	if !ok || old.Revision > s.Revision {
		return
	}
	k.lines += len(s.Wanted) - len(old.Wanted)
	old.State = s
	k.states[a] = old
}

func (k *kept) drop(a agent.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(a)
}

func (k *kept) remove(a agent.ID) {
	k.lines -= len(k.states[a].Wanted)
	delete(k.states, a)
}

// bare returns the state without what is no part of it.
func (s State) bare() State {
	for i := range s.Wanted {
		s.Wanted[i].Status, s.Wanted[i].Watched = nil, false
	}
	return s
}

// with returns the state at a newer revision, with these assignments as they are there. s stays as it is.
func (s State) with(now delivery.Revision, newer []delivery.Wanted) State {
	again := make(map[stack.ID]bool, len(newer))
	for _, w := range newer {
		again[w.Stack] = true
	}
	out := State{Revision: now, Wanted: make([]delivery.Wanted, 0, len(s.Wanted)+len(newer))}
	for _, w := range s.Wanted {
		if !again[w.Stack] {
			out.Wanted = append(out.Wanted, w)
		}
	}
	out.Wanted = append(out.Wanted, newer...)
	slices.SortFunc(out.Wanted, func(x, y delivery.Wanted) int {
		return cmp.Or(cmp.Compare(y.Sequence, x.Sequence), cmp.Compare(x.Stack, y.Stack))
	})
	return out.bare()
}
