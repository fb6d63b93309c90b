package porttest

// secretCases run on a store without keys; what keys do is the adapter's own test.
func secretCases() map[string]func(*world) {
	return map[string]func(*world){
		"without keys everything lies readable": func(w *world) {
			for _, c := range []string{"a", "b", "a"} {
				_, err := w.Blobs().Put(w.ctx, []byte(c))
				wantNone(w.T, "put blob", err)
			}
			n, err := w.Secrets().Rewrap(w.ctx, 10)
			wantNone(w.T, "rewrap", err)
			if n != 0 {
				w.Errorf("rewrapped %d values without a key", n)
			}
			usage, err := w.Secrets().Usage(w.ctx)
			wantNone(w.T, "usage", err)
			if len(usage) != 1 || usage[""] != 2 {
				w.Errorf("usage %v, want two readable values", usage)
			}
		},
	}
}
