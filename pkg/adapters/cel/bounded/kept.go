package bounded

import "sync"

// Kept remembers what was made of expressions, so that each is compiled once for as long as it is remembered. It is safe for
// concurrent use.
type Kept[T any] struct {
	most int

	mu   sync.Mutex
	done map[string]T
}

// Keep returns what remembers up to most expressions; what is forgotten is made again.
func Keep[T any](most int) *Kept[T] { return &Kept[T]{most: most, done: map[string]T{}} }

// Get returns what is remembered of an expression, or else what compile makes of it. Errors are not remembered.
func (k *Kept[T]) Get(expression string, compile func(string) (T, error)) (T, error) {
	k.mu.Lock()
	t, ok := k.done[expression]
	k.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := compile(expression)
	if err != nil {
		var none T
		return none, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.done) >= k.most {
		clear(k.done)
	}
	k.done[expression] = t
	return t, nil
}
