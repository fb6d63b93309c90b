package fleet

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	smallest = 10 * time.Microsecond
	growth   = 1.02 // of one step to the next: quantiles are right within two in a hundred
	steps    = 1000 // up to more than an hour
)

// Times counts durations by size; many may add at a time. The zero value is empty.
type Times struct {
	counts [steps]atomic.Int64
	n, max atomic.Int64
}

// Add counts d.
func (t *Times) Add(d time.Duration) {
	d = max(d, 0)
	step := 0
	if d > smallest {
		step = min(int(math.Log(float64(d)/float64(smallest))/math.Log(growth))+1, steps-1)
	}
	t.counts[step].Add(1)
	t.n.Add(1)
	for {
		old := t.max.Load()
		if int64(d) <= old || t.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// Count is how many there are.
func (t *Times) Count() int64 { return t.n.Load() }

// Max is the longest.
func (t *Times) Max() time.Duration { return time.Duration(t.max.Load()) }

// Quantile is the duration that the share q of all does not exceed, 0 without any.
func (t *Times) Quantile(q float64) time.Duration {
	want := int64(math.Ceil(q * float64(t.n.Load())))
	if want < 1 {
		return 0
	}
	sum := int64(0)
	for i := range t.counts {
		if sum += t.counts[i].Load(); sum >= want {
			return min(time.Duration(float64(smallest)*math.Pow(growth, float64(i))), t.Max())
		}
	}
	return t.Max()
}

// Reset forgets all; what is added meanwhile may or may not be forgotten.
func (t *Times) Reset() {
	for i := range t.counts {
		t.counts[i].Store(0)
	}
	t.n.Store(0)
	t.max.Store(0)
}
