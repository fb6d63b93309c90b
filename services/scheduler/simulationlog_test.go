package scheduler_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOneSeedIsOneWorld runs worlds twice and wants the same of both: a seed that failed once is to fail again at the first try.
// SIMULATION_SEED=n begins with another one, SIMULATION_RUNS=n runs so many.
func TestOneSeedIsOneWorld(t *testing.T) {
	t.Parallel()
	first, runs := number(t, "SIMULATION_SEED", 1), number(t, "SIMULATION_RUNS", 1)
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var logs [2]*chronicle
			for i := range logs {
				logs[i] = &chronicle{keep: true}
				synctest.Test(t, func(t *testing.T) {
					s := newSimulation(t, seed, newSights(), logs[i])
					defer s.end()
					s.live()
				})
			}
			if at, one, other, differ := logs[0].differs(logs[1]); differ {
				t.Errorf("entry %d is\n%s\nand in the second run\n%s\nafter\n%s", at, one, other, strings.Join(logs[0].entries[max(at-10, 0):at], "\n"))
			}
			if a, b := logs[0].digest(), logs[1].digest(); a != b {
				t.Errorf("the digests are %s and %s, want the same one", a, b)
			}
		})
	}
}

// chronicle is what came to pass in a world: what was stored, what agents did, and what people and chance did, each with its time.
type chronicle struct {
	keep bool // the entries, not only what they come to

	mu      sync.Mutex
	n       int
	sum     uint64
	entries []string
}

func (c *chronicle) note(format string, args ...any) {
	text := fmt.Sprintf("%s: ", time.Since(midnight)) + fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%x %s", c.sum, text)
	c.n, c.sum = c.n+1, h.Sum64()
	if c.keep {
		c.entries = append(c.entries, text)
	}
}

// turn notes whose turn it is, only where entries are kept: what differs first is mostly that.
func (c *chronicle) turn(x caller) {
	if !c.keep {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = append(c.entries, fmt.Sprintf("%s: it is the turn of %+v", time.Since(midnight), x))
}

// digest is the same for two worlds in which the same came to pass.
func (c *chronicle) digest() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%016x of %d entries", c.sum, c.n)
}

// differs returns the first entry in which c and o are not the same, as each of them has it; false: there is none.
func (c *chronicle) differs(o *chronicle) (at int, mine, others string, differ bool) {
	entry := func(c *chronicle, i int) string {
		if i < len(c.entries) {
			return c.entries[i]
		}
		return "nothing more"
	}
	for i := range max(len(c.entries), len(o.entries)) {
		if x, y := entry(c, i), entry(o, i); x != y {
			return i, x, y, true
		}
	}
	return 0, "", "", false
}

// full is v with all that it points to.
func full(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
