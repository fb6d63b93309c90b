package clustertest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Contend has a contender try for what at most one may hold. onChange is told whether it holds it, and who else does. The
// contender tries until leave is called, which gives back what is held and returns when that has been tried.
type Contend func(t *testing.T, name string, onChange func(held bool, holder string)) (leave func())

// Election checks that at most one of several contenders holds what they contend for, and that there is a next one when
// the holder leaves. Open returns a way to contend for one thing that is the test's alone.
func Election(t *testing.T, open func(t *testing.T) Contend) {
	t.Helper()
	for name, run := range map[string]func(*election){
		"one alone holds it":             electOne,
		"the next one comes when it may": electNext,
		"never two of many":              electMany,
		"one that leaves without it":     electLeaveWaiting,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(&election{T: t, contend: open(t), holders: map[string]bool{}, others: map[string]string{}})
		})
	}
}

// election watches the contenders of one test. It fails the test as soon as two hold at once.
type election struct {
	*testing.T
	contend Contend

	mu      sync.Mutex
	holders map[string]bool
	others  map[string]string // what contenders were told of the holder
	terms   int
}

// enter starts a contender. What it holds counts as given back when it begins to leave.
func (e *election) enter(name string) (leave func()) {
	end := e.contend(e.T, name, func(held bool, holder string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if held && !e.holders[name] {
			e.terms++
		}
		e.holders[name], e.others[name] = held, holder
		if n := e.held(); n > 1 {
			e.Errorf("%d hold it at once: %v", n, e.holders)
		}
	})
	return sync.OnceFunc(func() {
		e.mu.Lock()
		e.holders[name] = false
		e.mu.Unlock()
		end()
	})
}

// held counts the holders. The lock is held.
func (e *election) held() (n int) {
	for _, held := range e.holders {
		if held {
			n++
		}
	}
	return n
}

func (e *election) wantTerms(n int) {
	e.Helper()
	await(e.T, fmt.Sprintf("someone holds it for the %d. time", n), func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.terms == n && e.held() == 1
	})
}

func electOne(e *election) {
	leave := e.enter("a")
	e.wantTerms(1)
	leave()
}

// electNext is quick: who leaves gives back, so nobody waits for what was not renewed.
func electNext(e *election) {
	for n := 1; n <= 4; n++ {
		leave := e.enter(fmt.Sprint(n))
		e.wantTerms(n)
		begin := time.Now()
		leave()
		if took := time.Since(begin); took > patience/2 {
			e.Errorf("leaving took %v", took)
		}
	}
}

func electMany(e *election) {
	const contenders = 5
	leave := map[string]func(){}
	for i := range contenders {
		name := fmt.Sprint(i)
		leave[name] = e.enter(name)
	}
	for n := 1; n <= contenders; n++ {
		e.wantTerms(n)
		leave[e.holder()]()
	}
}

// holder returns who holds it.
func (e *election) holder() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, held := range e.holders {
		if held {
			return name
		}
	}
	return ""
}

func electLeaveWaiting(e *election) {
	leaveFirst := e.enter("first")
	e.wantTerms(1)
	leaveSecond := e.enter("second")
	await(e.T, "the second is told of the first", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.others["second"] != ""
	})
	leaveSecond()
	e.mu.Lock()
	held, terms := e.held(), e.terms
	e.mu.Unlock()
	if held != 1 || terms != 1 {
		e.Fatalf("got %d holders and %d terms after one left that only waited, want 1 and 1", held, terms)
	}
	leaveFirst()
}
