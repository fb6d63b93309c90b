package cycle

import (
	"slices"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/delivery"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// holdings are the stacks that are assigned to each cluster, in order: the assignments by cluster. Lists change in place.
type holdings map[agent.ID][]stack.ID

func holdingsOf(priors map[stack.ID]placement.Prior) holdings {
	h := holdings{}
	for id, p := range priors {
		for a, x := range p {
			if x.State == delivery.Assigned {
				h[a] = append(h[a], id)
			}
		}
	}
	for _, list := range h {
		slices.Sort(list)
	}
	return h
}

func (h holdings) add(a agent.ID, id stack.ID) { h[a] = with(h[a], id) }

func (h holdings) remove(a agent.ID, id stack.ID) {
	if i, found := slices.BinarySearch(h[a], id); found {
		h[a] = slices.Delete(h[a], i, i+1)
	}
	if len(h[a]) == 0 {
		delete(h, a)
	}
}

// move takes a stack from where one prior has it to where the other one does.
func (h holdings) move(id stack.ID, from, to placement.Prior) {
	for a, x := range from {
		if x.State == delivery.Assigned && to[a].State != delivery.Assigned {
			h.remove(a, id)
		}
	}
	for a, x := range to {
		if x.State == delivery.Assigned && from[a].State != delivery.Assigned {
			h.add(a, id)
		}
	}
}

// with is the sorted list with id in it.
func with(list []stack.ID, id stack.ID) []stack.ID {
	i, found := slices.BinarySearch(list, id)
	if found {
		return list
	}
	return slices.Insert(list, i, id)
}
