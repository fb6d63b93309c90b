package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	latencyRounds  = 20
	latencyStack   = "demo-latency"
	latencyLimit   = 30 * time.Second
	latencyPublish = `{"yaml_content":"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: demo-latency\n  namespace: brokkr-demo\ndata:\n  round: \"%d\"\n"}`
)

// measure publishes one ConfigMap again and again and prints the time from the call to the moment when a watch at all
// API servers shows the new content. The processes are warm by now; nothing else is left out.
func (d *demo) measure(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := make([]<-chan string, len(d.clusters))
	for i, c := range d.clusters {
		var err error
		if seen[i], err = c.appears(watching, latencyStack, "round"); err != nil {
			return err
		}
	}
	var stack struct {
		ID string `json:"id"`
	}
	if err := d.call(ctx, http.MethodPost, "/api/v1/stacks", `{"name":"`+latencyStack+`"}`, &stack); err != nil {
		return err
	}
	if err := d.call(ctx, http.MethodPost, "/api/v1/stacks/"+stack.ID+"/labels", `"`+demoLabel+`"`, nil); err != nil {
		return err
	}
	var took []time.Duration
	for round := range latencyRounds + 1 {
		start := time.Now()
		if err := d.call(ctx, http.MethodPost, "/api/v1/stacks/"+stack.ID+"/deployment-objects", fmt.Sprintf(latencyPublish, round), nil); err != nil {
			return err
		}
		for i, c := range d.clusters {
			if err := await(ctx, seen[i], strconv.Itoa(round)); err != nil {
				return fmt.Errorf("round %d in %s: %w", round, c.name, err)
			}
		}
		if round > 0 { // the first one creates
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[min(len(took)-1, int(share*float64(len(took))))].Round(time.Millisecond)
	}
	say("published -> visible in each of %d clusters, %d times: median %s, p90 %s, longest %s", len(d.clusters), len(took), at(0.5), at(0.9), took[len(took)-1].Round(time.Millisecond))
	return d.cli(ctx, "delete", "stack", latencyStack, "--yes")
}

func await(ctx context.Context, seen <-chan string, want string) error {
	limit := time.After(latencyLimit)
	for {
		select {
		case got, open := <-seen:
			if !open {
				return errors.New("the watch ended")
			}
			if got == want {
				return nil
			}
		case <-limit:
			return fmt.Errorf("not seen within %s", latencyLimit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call is one request to the broker's API with the admin's key.
func (d *demo) call(ctx context.Context, method, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, bytes.NewBufferString(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+d.pak)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(b))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}
