package cycle

import (
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// own is a name or a label within a generator.
type own struct {
	generator tenancy.GeneratorID
	text      string
}

// index finds the stacks of the snapshot by what decides about them, by label, and by name: what happens to one policy or one
// stack costs no look at all others.
type index struct {
	policies map[policy.ID]map[stack.ID]struct{}
	labels   map[own]map[stack.ID]struct{}
	names    map[own]stack.ID      // of live ones
	plain    map[stack.ID]struct{} // no policy decides about them
	unsure   map[stack.ID]struct{} // among them is each whose policy is perhaps not ready in the revision that decides
}

func newIndex() index {
	return index{policies: map[policy.ID]map[stack.ID]struct{}{}, labels: map[own]map[stack.ID]struct{}{}, names: map[own]stack.ID{},
		plain: map[stack.ID]struct{}{}, unsure: map[stack.ID]struct{}{}}
}

func (x index) add(s placement.Subject) {
	if s.Policy != nil {
		put(x.policies, s.Policy.ID, s.Stack)
		x.unsure[s.Stack] = struct{}{}
	} else {
		x.plain[s.Stack] = struct{}{}
	}
	for l, has := range s.Labels {
		if has {
			put(x.labels, own{s.Generator, l}, s.Stack)
		}
	}
	if !s.Deleted {
		x.names[own{s.Generator, s.Name}] = s.Stack
	}
}

func (x index) remove(s placement.Subject) {
	if s.Policy != nil {
		take(x.policies, s.Policy.ID, s.Stack)
	}
	delete(x.plain, s.Stack)
	delete(x.unsure, s.Stack)
	for l := range s.Labels {
		take(x.labels, own{s.Generator, l}, s.Stack)
	}
	if name := (own{s.Generator, s.Name}); x.names[name] == s.Stack { // another one may have the name by now
		delete(x.names, name)
	}
}

func put[K comparable](m map[K]map[stack.ID]struct{}, k K, s stack.ID) {
	if m[k] == nil {
		m[k] = map[stack.ID]struct{}{}
	}
	m[k][s] = struct{}{}
}

func take[K comparable](m map[K]map[stack.ID]struct{}, k K, s stack.ID) {
	if delete(m[k], s); len(m[k]) == 0 {
		delete(m, k)
	}
}
