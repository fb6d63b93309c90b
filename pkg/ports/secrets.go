package ports

import "context"

// Secrets keeps what is sealed at rest (contents of blobs among it) sealed with the current key. A store that keeps nothing
// beyond its process has nothing to do.
type Secrets interface {
	// Rewrap seals at most limit values with the current key that are sealed with another one, or lie readable although there
	// is a key, and returns how many it sealed; 0 means that none is left but those that it cannot open, of which the error
	// tells. What others work on at the moment is left to the next call.
	Rewrap(ctx context.Context, limit int) (int, error)
	// Usage returns how many values each key seals, by the key's id; what lies readable counts for the empty id.
	Usage(ctx context.Context) (map[string]int64, error)
}
