package delivery

import "slices"

// Turn tells which of an agent's processes began later. The broker gives turns, growing ones, to processes that ask, so that one which uses
// its turn is known to have been alive after the broker had heard of it.
type Turn int64

// Turns that nobody was given.
const (
	Turnless Turn = 0  // the process knows of no turns: it takes over with its first report
	NoTurn   Turn = -1 // it has been given none yet
)

// Mark orders the reports of one agent: Seq within a boot; a boot that another has followed is over for good.
type Mark struct {
	Boot string // UUID, new on each start of the agent
	Seq  int64
	Turn Turn
}

// boots that are remembered as over
const keptBoots = 8

// Order is the state of an agent's report stream.
type Order struct {
	Current Mark
	Over    []string // former boots, newest last
	Given   Turn     // the highest turn that was given
}

// Reception is what becomes of a report.
type Reception struct {
	News bool // it counts
	// Turn is given to a process that has none, unless it is zero. The report does not count: it is to be told again with the turn. A
	// process that is dead does not, so that what it said last ends nobody's reports, however late it arrives.
	Turn Turn
}

// Accept says what becomes of a report marked m, and the state after it. Duplicates and reports of a former boot are not news
// and change nothing.
func (o Order) Accept(m Mark) (Order, Reception) {
	first := o.Current.Boot == ""
	switch {
	case m.Boot == o.Current.Boot:
		if m.Seq <= o.Current.Seq {
			return o, Reception{}
		}
		o.Current.Seq = m.Seq
		return o, Reception{News: true}
	case slices.Contains(o.Over, m.Boot):
		return o, Reception{}
	case first && m.Turn == NoTurn:
		m.Turn = o.Given // there is nobody whom it could end
	case m.Turn == Turnless:
		o.Given++ // who was given a turn before began before
		m.Turn = o.Given
	case m.Turn == NoTurn, m.Turn == o.Current.Turn: // two have the same one if the broker has forgotten the first
		o.Given++
		return o, Reception{Turn: o.Given}
	case m.Turn < o.Current.Turn:
		return o, Reception{}
	}
	over := slices.Clone(o.Over)
	if !first {
		over = append(over, o.Current.Boot)
	}
	if len(over) > keptBoots {
		over = over[len(over)-keptBoots:]
	}
	return Order{Current: m, Over: over, Given: max(o.Given, m.Turn)}, Reception{News: true}
}
