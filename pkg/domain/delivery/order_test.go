package delivery_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

func TestOrderAccept(t *testing.T) {
	t.Parallel()
	type step struct {
		boot string
		seq  int64
		news bool
	}
	for reason, steps := range map[string][]step{
		"the first report is news":               {{"a", 1, true}},
		"a first report may have any number":     {{"a", 0, true}, {"a", 1, true}},
		"a duplicate is not":                     {{"a", 1, true}, {"a", 1, false}},
		"gaps are fine, going back is not":       {{"a", 1, true}, {"a", 5, true}, {"a", 4, false}, {"a", 6, true}},
		"a new boot begins anew":                 {{"a", 9, true}, {"b", 1, true}, {"b", 1, false}, {"b", 2, true}},
		"a former boot is over":                  {{"a", 1, true}, {"b", 1, true}, {"a", 2, false}, {"a", 99, false}, {"b", 2, true}},
		"each former boot is over":               {{"a", 1, true}, {"b", 1, true}, {"c", 1, true}, {"a", 5, false}, {"b", 5, false}, {"c", 2, true}},
		"the state after the start without boot": {{"", 0, false}, {"a", 1, true}},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			var o delivery.Order
			for i, s := range steps {
				next, got := o.Accept(delivery.Mark{Boot: s.boot, Seq: s.seq})
				news := got.News
				if news != s.news {
					t.Fatalf("step %d (%s %d): got news %v, want %v", i, s.boot, s.seq, news, s.news)
				}
				if !news && !cmp.Equal(next, o) {
					t.Fatalf("step %d: no news, but the order changed (-before +after):\n%s", i, cmp.Diff(o, next))
				}
				if news && (next.Current.Boot != s.boot || next.Current.Seq != s.seq) {
					t.Fatalf("step %d: the current mark is %v", i, next.Current)
				}
				o = next
			}
		})
	}
}

// remembered is how many former boots an order is sure to remember.
const remembered = 8

// stream draws what an agent with some restarts sends, in the order of sending.
func stream(t *rapid.T) []delivery.Mark {
	var sent []delivery.Mark
	for b := range rapid.IntRange(1, remembered).Draw(t, "boots") {
		seq := int64(0)
		for range rapid.IntRange(1, 6).Draw(t, "reports") {
			seq += rapid.Int64Range(1, 3).Draw(t, "step")
			sent = append(sent, delivery.Mark{Boot: fmt.Sprintf("boot-%d", b), Seq: seq})
		}
	}
	return sent
}

// TestOrderTakesAStreamInOrder sends each report once or several times, in order: each is news once.
func TestOrderTakesAStreamInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var o delivery.Order
		for _, m := range stream(t) {
			for i := range rapid.IntRange(1, 3).Draw(t, "times") {
				next, got := o.Accept(m)
				if news := got.News; news != (i == 0) {
					t.Fatalf("%v for the %d. time: got %+v", m, i+1, got)
				}
				o = next
			}
		}
	})
}

// TestOrderOfADisturbedStream loses, repeats and reorders reports, even over restarts.
func TestOrderOfADisturbedStream(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sent := stream(t)
		received := rapid.Permutation(slices.Concat(sent, rapid.SliceOf(rapid.SampledFrom(sent)).Draw(t, "repeated"))).Draw(t, "received")
		received = received[:rapid.IntRange(0, len(received)).Draw(t, "arrived")]

		var o delivery.Order
		highest := map[string]int64{} // by boot, of what was news
		var boots []string            // in the order in which they became current
		for _, m := range received {
			before := delivery.Order{Current: o.Current, Over: slices.Clone(o.Over), Given: o.Given}
			next, got := o.Accept(m)
			news := got.News
			if !cmp.Equal(o, before) {
				t.Fatalf("%v changed the order that it was given (-before +after):\n%s", m, cmp.Diff(before, o))
			}
			current := len(boots) > 0 && boots[len(boots)-1] == m.Boot
			was, known := highest[m.Boot]
			if want := !known || (current && m.Seq > was); news != want {
				t.Fatalf("%v after %v: got news %v, want %v", m, o, news, want)
			}
			if news {
				if !known {
					boots = append(boots, m.Boot)
				}
				highest[m.Boot] = m.Seq
				if next.Current.Boot != m.Boot || next.Current.Seq != m.Seq {
					t.Fatalf("%v is news, but the current mark is %v", m, next.Current)
				}
			} else if !cmp.Equal(next, o) {
				t.Fatalf("%v is no news, but the order changed to %v", m, next)
			}
			o = next
		}
	})
}

// TestOrderIsIdempotent takes any marks, also those that no agent sends: the same mark is never news twice in a row.
func TestOrderIsIdempotent(t *testing.T) {
	t.Parallel()
	mark := rapid.Custom(func(t *rapid.T) delivery.Mark {
		return delivery.Mark{Boot: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "boot"), Seq: rapid.Int64().Draw(t, "seq"), Turn: delivery.Turn(rapid.Int64Range(-1, 5).Draw(t, "turn"))}
	})
	rapid.Check(t, func(t *rapid.T) {
		var o delivery.Order
		for _, m := range rapid.SliceOf(mark).Draw(t, "marks") {
			o, _ = o.Accept(m)
			if again, got := o.Accept(m); got.News || (got.Turn == 0 && !cmp.Equal(again, o)) {
				t.Fatalf("%v again: got %+v and %v after %v", m, got, again, o)
			}
		}
	})
}

// TestOrderRemembersBoundedly restarts an agent very often: the state stays small, recent boots stay over.
func TestOrderRemembersBoundedly(t *testing.T) {
	t.Parallel()
	var o delivery.Order
	boot := func(i int) string { return fmt.Sprintf("boot-%d", i) }
	const boots = 100
	for i := range boots {
		var got delivery.Reception
		if o, got = o.Accept(delivery.Mark{Boot: boot(i), Seq: 1}); !got.News {
			t.Fatalf("boot %d is no news", i)
		}
		for former := max(0, i-remembered); former < i; former++ {
			if _, got := o.Accept(delivery.Mark{Boot: boot(former), Seq: 99}); got.News {
				t.Fatalf("boot %d is news again after boot %d", former, i)
			}
		}
	}
	if len(o.Over) != remembered {
		t.Fatalf("%d former boots are kept, want %d", len(o.Over), remembered)
	}
}
