package delivery

// Tally tells sets of one agent's assignments apart that differ, without their contents.
type Tally struct {
	All   int
	Since int64 // sum of when each became what it is, in microseconds modulo TallyModulus: no two changes are of one moment
}

// TallyModulus keeps the sum small.
const TallyModulus = 1_000_000_007

// TallyOf returns the tally of these assignments.
func TallyOf(list []Wanted) Tally {
	t := Tally{All: len(list)}
	for i := range list {
		t.Since += list[i].Since.UnixMicro() % TallyModulus
	}
	return t
}
