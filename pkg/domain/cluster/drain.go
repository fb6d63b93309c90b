package cluster

import (
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// Cordon says that nothing new comes to a cluster; what is there stays.
type Cordon struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"` // who asked, as the audit log names them
	Reason string    `json:"reason,omitempty"`
}

// Drain empties a cluster: nothing new comes, and what is there goes, at most Budget stacks at a time. A drained cluster is
// cordoned too.
type Drain struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Budget int       `json:"budget,omitempty"` // stacks on their way at a time; 0: all at once
	// Released are the stacks that must go now, with the time since when. A stack that is not among them stays until its
	// turn comes, unless there is no budget.
	Released map[stack.ID]time.Time `json:"-"`
}

// Evicts reports whether the stack must leave now.
func (d *Drain) Evicts(s stack.ID) bool {
	if d == nil {
		return false
	}
	_, released := d.Released[s]
	return released || d.Budget == 0
}
