package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	perRequest = 10 // lines: what an agent has of a second at the row's rate
	watchers   = 50
)

// telemetry measures row 13: log lines of many agents, as fast as they are taken, while people watch.
func telemetry(ctx context.Context, r *run) error {
	agents, rounds := r.sized(500, 10), r.sized(40, 3)
	watched := min(watchers, agents)
	r.say("registering %d agents for %d stacks", agents, watched)
	if err := r.createAgents(ctx, agents, func(i int) []string { return []string{"stack-" + strconv.Itoa(i%watched)} }); err != nil {
		return err
	}
	stacks, err := r.assigned(ctx, watched, agents)
	if err != nil {
		return err
	}
	x, err := r.begin(ctx, "13")
	if err != nil {
		return err
	}
	seen, end, err := r.watch(ctx, stacks)
	defer end()
	if err != nil {
		return err
	}
	began := time.Now()
	took, err := r.send(ctx, stacks, rounds)
	if err != nil {
		return err
	}
	stored := time.Since(began)
	sent := int64(agents * rounds * perRequest)
	out := Result{Row: "13", What: "log lines stored and shown to those who watch", Scale: fmt.Sprintf("%d agents, %d subscribers, %d lines a request", agents, watched, perRequest),
		Target: ">= 10,000/s at <= 1 core, none lost", Value: round(float64(sent) / stored.Seconds()), Unit: "lines/s", Limit: 10_000, Floor: true, Full: r.o.Scale >= 1, Times: times(took)}
	x.end(&out) // what is still on its way to those who watch is not counted
	shown := poll(ctx, 10*time.Millisecond, patience, "the lines to be shown", func() (bool, error) { return seen.lines.Load()+seen.missing.Load() >= sent, nil })
	delay := time.Since(began) - stored
	kept, err := r.number(ctx, "SELECT count(*) FROM pod_logs WHERE reason IS NULL")
	if err != nil {
		return err
	}
	cores := (out.CPU["gateway"] + out.CPU["broker"]) / out.Seconds
	out.Details = map[string]float64{"lines": float64(sent), "lines_lost": float64(sent - kept), "lines_told_as_gaps": float64(seen.missing.Load()),
		"lines_not_shown": float64(sent - seen.lines.Load() - seen.missing.Load()), "s_until_all_were_shown": round(delay.Seconds()),
		"gateway_cpu_us_a_line": round((out.CPU["gateway"] + out.CPU["broker"]) * 1e6 / float64(sent)), "postgres_cpu_us_a_line": round(out.CPU["postgres"] * 1e6 / float64(sent)),
		"cores_of_the_gateway": round(cores), "cores_of_postgres": round(out.CPU["postgres"] / out.Seconds)}
	out.Ratio = Ratio{out.Value / out.Rates.Commits, "of single inserts/s"}
	if kept != sent || shown != nil || cores > 1 {
		out.Limit = out.Value + 1 // the whole row is not met
	}
	r.add(out)
	return nil
}

// assigned publishes a stack for each label and waits until every agent has one.
func (r *run) assigned(ctx context.Context, watched, agents int) ([]string, error) {
	stacks := make([]string, watched)
	if err := parallel(ctx, watched, func(ctx context.Context, i int) error {
		name := "stack-" + strconv.Itoa(i)
		id, err := r.createStack(ctx, name, "", name)
		if err != nil {
			return err
		}
		stacks[i] = id
		_, _, err = r.publish(ctx, id, name, "1")
		return err
	}); err != nil {
		return nil, err
	}
	return stacks, poll(ctx, 50*time.Millisecond, 2*patience, "the assignments", func() (bool, error) {
		n, err := r.number(ctx, "SELECT count(*) FROM assignments WHERE state = 'assigned'")
		return n >= int64(agents), err
	})
}

// seen is what came to those who watch.
type seen struct {
	lines   atomic.Int64
	missing atomic.Int64 // of which they were told that they missed them, because they did not keep up
}

// watch opens a live view of each stack.
func (r *run) watch(ctx context.Context, stacks []string) (*seen, func(), error) {
	seen := &seen{}
	living, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	end := func() {
		cancel()
		wg.Wait()
	}
	for _, id := range stacks {
		conn, _, err := websocket.Dial(living, "ws"+strings.TrimPrefix(r.gatewayURL(), "http")+"/api/v1/stacks/"+id+"/live", //nolint:bodyclose // the library closes it
			&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + r.key}}})
		if err != nil {
			return seen, end, fmt.Errorf("watch stack %s: %w", id, err)
		}
		conn.SetReadLimit(1 << 20)
		wg.Go(func() {
			defer conn.CloseNow() //nolint:errcheck // it may be closed already
			for {
				_, text, err := conn.Read(living)
				if err != nil {
					return
				}
				var f wire.FrameOf[wire.LogGap]
				if json.Unmarshal(text, &f) != nil {
					continue
				}
				switch f.Type {
				case wire.FramePodLog:
					seen.lines.Add(1)
				case wire.FrameLogGap:
					seen.missing.Add(f.Body.DroppedCount)
				}
			}
		})
	}
	return seen, end, nil
}

// send has every agent send so many requests, all agents at a time, each with lines of its stack. It returns how long each request took.
func (r *run) send(ctx context.Context, stacks []string, rounds int) ([]time.Duration, error) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: len(r.agents)}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]time.Duration, rounds*len(r.agents))
	var wg sync.WaitGroup
	for i := range r.agents {
		wg.Go(func() {
			boot := uuid.NewString()
			for round := range rounds { // an agent's requests come one after the other, by their numbers
				body := wire.TelemetryRequest{BootID: boot, Seq: int64(round + 1)}
				for n := range perRequest {
					body.Lines = append(body.Lines, wire.PodLogLine{StackID: stacks[i%len(stacks)], Namespace: "bench", Pod: "web-0", Container: "web", TS: time.Now().UTC(),
						Line: fmt.Sprintf(`{"level":"info","msg":"request","path":"/a/path","status":200,"ms":%d,"round":%d}`, n, round)})
				}
				began := time.Now()
				if err := r.report(ctx, client, i, body); err != nil {
					cancel(err)
					return
				}
				took[round*len(r.agents)+i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	return took, context.Cause(ctx)
}

// report sends telemetry as an agent, which sends it again under the same number while the gateway is not able to take it.
func (r *run) report(ctx context.Context, client *http.Client, i int, body wire.TelemetryRequest) (err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode telemetry: %w", err)
	}
	for range 10 {
		var again bool
		if again, err = r.reportOnce(ctx, client, i, text); !again {
			return err
		}
		sleep(ctx, 200*time.Millisecond)
	}
	return err
}

func (r *run) reportOnce(ctx context.Context, client *http.Client, i int, text []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.gatewayURL()+"/api/v1/agents/"+r.agents[i].ID+"/telemetry", bytes.NewReader(text))
	if err != nil {
		return false, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.agents[i].PAK)
	res, err := client.Do(req)
	if err != nil {
		return false, fmt.Errorf("send telemetry: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return false, fmt.Errorf("send telemetry: %w", err)
	}
	var got wire.TelemetryResponse
	if err := json.Unmarshal(answer, &got); err != nil || res.StatusCode != http.StatusOK || (got.Accepted != perRequest && !got.Repeated) {
		return res.StatusCode == http.StatusServiceUnavailable, fmt.Errorf("telemetry was answered with %s %s, want %d lines accepted", res.Status, answer, perRequest)
	}
	return false, nil
}
