package turn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/turn"
)

// counted are turns with what was counted of them.
type counted struct {
	*turn.Turns
	mu   sync.Mutex
	seen map[turn.Outcome]int
}

func turns(l turn.Limits) *counted {
	c := &counted{seen: map[turn.Outcome]int{}}
	c.Turns = turn.New(l, func(o turn.Outcome) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[o]++
	})
	return c
}

func (c *counted) of(o turn.Outcome) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[o]
}

// Never more than all, never more than one asker's share, and who asks for little does not wait for all of who asks for much.
func TestTurnsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := turns(turn.Limits{All: 3, Each: 2, Waiting: 100, Patience: time.Hour})
		var mu sync.Mutex
		at, most, mostAll := map[string]int{}, map[string]int{}, 0
		var order []string
		work := func(who string) {
			end, err := c.Take(t.Context(), who)
			if err != nil {
				t.Errorf("%s: %v", who, err)
				return
			}
			mu.Lock()
			at[who]++
			order = append(order, who)
			most[who] = max(most[who], at[who])
			mostAll = max(mostAll, at["greedy"]+at["other"]+at["third"])
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			at[who]--
			mu.Unlock()
			end()
			end() // a second time changes nothing
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { work("greedy") })
		}
		synctest.Wait()
		for range 2 {
			all.Go(func() { work("other") })
			all.Go(func() { work("third") })
		}
		synctest.Wait()
		if c.Taken() != 3 || c.Waiting() != 21 {
			t.Errorf("%d turns are taken and %d wait, want 3 and 21", c.Taken(), c.Waiting())
		}
		all.Wait()
		if most["greedy"] != 2 || mostAll != 3 {
			t.Errorf("at most %d of one and %d of all at a time, want 2 and 3", most["greedy"], mostAll)
		}
		for _, who := range []string{"other", "third"} {
			last := 0
			for i, v := range order {
				if v == who {
					last = i
				}
			}
			if last > 8 {
				t.Errorf("%s came last as number %d of %v, want it among the first", who, last, order)
			}
		}
		if c.Taken() != 0 || c.Waiting() != 0 || c.of(turn.Waited) != 21 || c.of(turn.AtOnce) != 3 {
			t.Errorf("in the end %d are taken, %d wait, counted %v", c.Taken(), c.Waiting(), c.seen)
		}
	})
}

// Who has too many waiting, or waits for too long, gets none; who goes away frees the place.
func TestThereIsNoTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := turns(turn.Limits{All: 1, Each: 9, Waiting: 2, Patience: 10 * time.Second})
		end, err := c.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		leaving, leave := context.WithCancel(t.Context())
		got := make(chan string, 3)
		ask := func(ctx context.Context, who string) {
			began := time.Now()
			_, err := c.Take(ctx, who)
			got <- fmt.Sprint(who, " ", err, " ", time.Since(began))
		}
		go ask(leaving, "a")
		go ask(t.Context(), "a")
		go ask(t.Context(), "b")
		synctest.Wait()
		if _, err := c.Take(t.Context(), "a"); !errors.Is(err, turn.ErrNone) {
			t.Errorf("the fourth of one asker: %v, want none", err)
		}
		leave()
		if said := <-got; said != "a context canceled 0s" {
			t.Errorf("who went away: %s", said)
		}
		if said := []string{<-got, <-got}; !slices.Contains(said, "a no turn 10s") || !slices.Contains(said, "b no turn 10s") {
			t.Errorf("who waited: %v, want none after ten seconds", said)
		}
		end()
		again, err := c.Take(t.Context(), "b")
		if err != nil {
			t.Fatalf("after all that: %v", err)
		}
		again()
		if c.Waiting() != 0 || c.Taken() != 0 || c.of(turn.Refused) != 3 || c.of(turn.Gone) != 1 || c.of(turn.AtOnce) != 2 {
			t.Errorf("%d wait, %d are taken, counted %v", c.Waiting(), c.Taken(), c.seen)
		}
		if len(turn.Outcomes()) != 4 {
			t.Errorf("the outcomes are %v", turn.Outcomes())
		}
	})
}
