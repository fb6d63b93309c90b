package cluster

// Kept is what an agent keeps for itself in its cluster, in a Secret of its own namespace.
type Kept struct {
	Values  map[string]string
	Version string // of the Secret; empty: it is not there yet
}
