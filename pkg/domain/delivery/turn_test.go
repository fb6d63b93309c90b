package delivery_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/delivery"
)

// TestLateFirstReportOfADeadProcessEndsNobody: the report was on its way when the process died, and nobody had heard of it.
func TestLateFirstReportOfADeadProcessEndsNobody(t *testing.T) {
	t.Parallel()
	var o delivery.Order
	take := func(boot string, seq int64, turn delivery.Turn) delivery.Reception {
		next, got := o.Accept(delivery.Mark{Boot: boot, Seq: seq, Turn: turn})
		o = next
		return got
	}
	if got := take("first", 1, delivery.NoTurn); !got.News {
		t.Fatalf("the very first report: got %+v, want news", got)
	}
	asked := take("live", 1, delivery.NoTurn)
	if asked.News || asked.Turn == 0 {
		t.Fatalf("the first report of the next process: got %+v, want a turn", asked)
	}
	if got := take("live", 2, asked.Turn); !got.News {
		t.Fatalf("told again with its turn: got %+v, want news", got)
	}
	if got := take("dead", 1, delivery.NoTurn); got.News {
		t.Fatalf("the late first report: got %+v, want no news", got)
	}
	if got := take("live", 3, asked.Turn); !got.News {
		t.Fatalf("the live process after it: got %+v, want news", got)
	}
}

// Two processes have the same turn only if the broker has gone back to a backup between them: the later one is given another.
func TestTurnThatWasGivenTwiceIsNoDeadEnd(t *testing.T) {
	t.Parallel()
	o := delivery.Order{Current: delivery.Mark{Boot: "kept", Turn: 3}, Given: 3}
	o, got := o.Accept(delivery.Mark{Boot: "other", Seq: 9, Turn: 3})
	if got != (delivery.Reception{Turn: 4}) {
		t.Fatalf("got %+v, want turn 4", got)
	}
	if _, got = o.Accept(delivery.Mark{Boot: "other", Seq: 10, Turn: 4}); !got.News {
		t.Fatalf("with its turn: got %+v, want news", got)
	}
	if _, got = o.Accept(delivery.Mark{Boot: "from before the backup", Seq: 1, Turn: 9}); !got.News {
		t.Fatalf("with a turn that the broker has forgotten: got %+v, want news", got)
	}
}

// TestOrderOfProcessesThatDie starts one process of an agent after the other. Each says what it has to say until it is answered, to a broker that hears
// it late, twice, in another order, or not at all, and answers that get lost. Whatever the dead have said last, what the living one says
// counts once the network is well, what it says counts from then on, and what counts never goes back to an earlier process.
func TestOrderOfProcessesThatDie(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var o delivery.Order
		var net []delivery.Mark
		born := func(boot string) (n int) { _, _ = fmt.Sscanf(boot, "boot-%d", &n); return n }
		live, counts := delivery.Mark{Boot: "boot-0", Turn: delivery.NoTurn}, -1
		say := func() delivery.Mark { live.Seq++; return live }
		hear := func(m delivery.Mark, answered bool) bool {
			next, got := o.Accept(m)
			o = next
			if got.News && born(m.Boot) < counts {
				t.Fatalf("%v counts after process %d did", m, counts)
			}
			if got.News {
				counts = born(m.Boot)
			}
			if answered && m.Boot == live.Boot && got.Turn > live.Turn {
				live.Turn = got.Turn
			}
			return got.News
		}
		for range rapid.IntRange(1, 60).Draw(t, "moments") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				live = delivery.Mark{Boot: fmt.Sprint("boot-", born(live.Boot)+1), Turn: delivery.NoTurn}
			case 1:
				hear(say(), rapid.Bool().Draw(t, "answered"))
			case 2, 3:
				net = append(net, say())
			default:
				if len(net) > 0 { // it may come again
					hear(rapid.SampledFrom(net).Draw(t, "arrives"), rapid.Bool().Draw(t, "answered"))
				}
			}
		}
		told := hear(say(), true)
		if again := hear(say(), true); !told && !again {
			t.Fatalf("%v does not count though it was told twice and answered: %+v", live, o)
		}
		for _, m := range net {
			hear(m, true)
			if counts != born(live.Boot) {
				t.Fatalf("%v came late and counts after %v", m, live)
			}
		}
		if !hear(say(), true) {
			t.Fatalf("%v does not count after the late ones", live)
		}
	})
}
