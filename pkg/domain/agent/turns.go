package agent

import (
	"slices"
	"time"
)

// DuplicateFor is how long it counts that processes took turns: a single turn may be the last word of one that was replaced.
const DuplicateFor = 3 * time.Minute

// KeptBoots is how many processes of an agent are remembered.
const KeptBoots = 4

// Turns is what the heartbeats of one agent tell of the processes that use its identity.
type Turns struct {
	Boots []string   // the newest processes, the last one that was heard first; at most KeptBoots
	Last  *time.Time // when a process was heard that another one had followed
	Since *time.Time // the first such time of those that follow each other within DuplicateFor; nil: one process only
}

// Take returns the turns after the process boot was heard at the time at; an empty boot is a process that does not say who
// it is. Times are taken in order.
func (t Turns) Take(boot string, at time.Time) Turns {
	if t.Last != nil && at.Sub(*t.Last) > DuplicateFor {
		t.Last, t.Since = nil, nil
	}
	switch i := slices.Index(t.Boots, boot); {
	case boot == "" || i == 0:
		return t
	case i > 0:
		t.Last = &at
		if t.Since == nil {
			t.Since = &at
		}
	}
	boots := []string{boot}
	for _, b := range t.Boots {
		if b != boot && len(boots) < KeptBoots {
			boots = append(boots, b)
		}
	}
	t.Boots = boots
	return t
}
