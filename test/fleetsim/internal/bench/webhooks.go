package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// receivers of the webhooks, besides the one that hangs.
const receivers = 19

// webhooks measures row 14: events for many subscriptions, first with receivers that all answer, then with one more that never does.
func webhooks(ctx context.Context, r *run) error {
	in := &inbox{hung: make(chan struct{}), seen: map[string]time.Time{}}
	server := httptest.NewServer(in)
	defer server.Close()
	defer close(in.hung) // before the server, which waits for its handlers
	for i := range receivers {
		if err := r.subscribe(ctx, "receiver-"+strconv.Itoa(i), server.URL+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	events := r.sized(500, 20)
	if _, err := r.deliver(ctx, in, "warm", 10); err != nil {
		return err
	}
	alone, err := r.deliver(ctx, in, "alone", events)
	if err != nil {
		return err
	}
	if err := r.subscribe(ctx, "hangs", server.URL+"/hang"); err != nil {
		return err
	}
	x, err := r.begin(ctx, "14")
	if err != nil {
		return err
	}
	beside, err := r.deliver(ctx, in, "beside", events)
	if err != nil {
		return err
	}
	out := Result{Row: "14", What: "deliveries while one more endpoint hangs", Scale: fmt.Sprintf("%d events, %d endpoints that answer, one that never does", events, receivers),
		Target: ">= 500/s, and none the slower for the one that hangs", Value: round(beside.rate()), Unit: "deliveries/s", Limit: 500, Floor: true, Full: r.o.Scale >= 1, Times: times(beside.took)}
	x.end(&out)
	before := times(alone.took)
	in.mu.Lock()
	hanging := in.hanging
	in.mu.Unlock()
	out.Details = map[string]float64{"per_s_without_the_one_that_hangs": round(alone.rate()), "ms_without_it_p50": before.P50, "ms_without_it_p99": before.P99,
		"calls_that_hang": float64(hanging), "events_per_s": round(float64(events) / beside.sent.Seconds()),
		"api_cpu_us_a_delivery": round((out.CPU["api"] + out.CPU["broker"]) * 1e6 / float64(len(beside.took))), "postgres_cpu_us_a_delivery": round(out.CPU["postgres"] * 1e6 / float64(len(beside.took)))}
	out.Ratio = Ratio{out.Value / out.Rates.Commits, "of single inserts/s"}
	if hanging == 0 {
		return fmt.Errorf("the endpoint that hangs was never called")
	}
	r.add(out)
	return nil
}

func (r *run) subscribe(ctx context.Context, name, url string) error {
	return r.call(ctx, http.MethodPost, "/webhooks", map[string]any{"name": name, "url": url, "event_types": []string{"stack.created"}, "timeout_seconds": 30}, nil)
}

// delivered is what came of some events.
type delivered struct {
	took []time.Duration // from before the event's request to the receiver, by delivery
	sent time.Duration   // until the last event was answered
	all  time.Duration   // until the last delivery
}

func (d delivered) rate() float64 { return float64(len(d.took)) / d.all.Seconds() }

// deliver makes events by creating stacks, and waits until every receiver that answers has had each of them.
func (r *run) deliver(ctx context.Context, in *inbox, prefix string, events int) (delivered, error) {
	began := time.Now()
	ids, at := make([]string, events), make([]time.Time, events)
	if err := parallel(ctx, events, func(ctx context.Context, i int) error {
		at[i] = time.Now()
		id, err := r.createStack(ctx, prefix+"-"+strconv.Itoa(i), "")
		ids[i] = id
		return err
	}); err != nil {
		return delivered{}, err
	}
	out := delivered{sent: time.Since(began)}
	last := began
	err := poll(ctx, 10*time.Millisecond, 3*patience, "the deliveries", func() (bool, error) {
		out.took, last = out.took[:0], began
		in.mu.Lock()
		defer in.mu.Unlock()
		for i, id := range ids {
			for n := range receivers {
				came, ok := in.seen[strconv.Itoa(n)+" "+id]
				if !ok {
					return false, nil
				}
				out.took = append(out.took, came.Sub(at[i]))
				if came.After(last) {
					last = came
				}
			}
		}
		return true, nil
	})
	out.all = last.Sub(began)
	return out, err
}

// inbox receives webhooks and notes when each came first.
type inbox struct {
	hung    chan struct{}
	mu      sync.Mutex
	seen    map[string]time.Time // by "receiver stack"
	hanging int
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name := q.URL.Path[1:]
	if name == "hang" {
		in.mu.Lock()
		in.hanging++
		in.mu.Unlock()
		select {
		case <-in.hung:
		case <-q.Context().Done():
		}
		return
	}
	text, err := io.ReadAll(q.Body)
	var body struct {
		Data struct {
			StackID string `json:"stack_id"`
		} `json:"data"`
	}
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key := name + " " + body.Data.StackID
	in.mu.Lock()
	if _, again := in.seen[key]; !again {
		in.seen[key] = time.Now()
	}
	in.mu.Unlock()
}
