package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// brokerTries is how often the broker is started where others take its port between the look at it and the start, as a
// demo does that begins at the same time.
const brokerTries = 3

var errPortTaken = errors.New("its port was taken meanwhile")

func (d *demo) startBroker(ctx context.Context) error {
	for n := 1; ; n++ {
		err := d.tryBroker(ctx, n)
		if n == brokerTries || !errors.Is(err, errPortTaken) {
			return err
		}
		say("%v; once more", err)
	}
}

// tryBroker starts the broker on a private database of its own and waits until it knows the key that it has printed: what
// answers at that address may be another one.
func (d *demo) tryBroker(ctx context.Context, n int) error {
	public, err := port(brokerPort, "the broker")
	if err != nil {
		return err
	}
	d.url = fmt.Sprintf("http://127.0.0.1:%d", public)
	// The demo's own database, whatever is configured for other brokers in this shell.
	env := []string{"DATABASE_URL=", "BROKKR__DATABASE__URL=", "REDIS_URL=", "BROKKR__REDIS__URL=", "BROKKR_CONFIG_FILE="}
	broker, err := d.procs.start("broker", filepath.Join(d.bin, "brokkr-broker"), env, "serve",
		"--state-dir", filepath.Join(d.dir, fmt.Sprintf("state-%d", n)), "--addr", fmt.Sprintf("127.0.0.1:%d", public), "--admin-addr", "127.0.0.1:0")
	if err != nil {
		return err
	}
	err = d.procs.until(ctx, time.Minute, "start the broker", func(ctx context.Context) (bool, error) {
		printed, err := os.ReadFile(broker.out())
		if err != nil {
			return false, fmt.Errorf("read what the broker printed: %w", err)
		}
		if d.pak = regexp.MustCompile(`brokkr_BR\w+_\w+`).FindString(string(printed)); d.pak == "" {
			return false, errors.New("it has not printed the admin's PAK")
		}
		return d.knows(ctx)
	})
	if err != nil && strings.Contains(err.Error(), "is in use by another process") {
		return fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return err
}

// knows reports whether the broker takes the admin's key.
func (d *demo) knows(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/api/v1/agents", nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+d.pak)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s answers %s", d.url, resp.Status)
	}
	return true, nil
}

// startAgent creates an agent for one of the clusters and starts it.
func (d *demo) startAgent(ctx context.Context, i int) error {
	c, s := d.clusters[i], sites()[i]
	args := []string{"agent", "create", "--name", c.name, "--cluster-name", c.name, "--annotation", "region=" + s.region, "--generator", "admin-generator", "-o", "json"}
	for _, l := range s.labels {
		args = append(args, "--label", l)
	}
	key, err := d.output(ctx, args...)
	if err != nil {
		return fmt.Errorf("create agent %s: %w: %s", c.name, err, key)
	}
	pak := regexp.MustCompile(`brokkr_BR\w+_\w+`).FindString(key)
	_, err = d.procs.start("agent-"+c.name, filepath.Join(d.bin, "brokkr-agent"), []string{
		"KUBECONFIG=" + c.kubeconfig, "BROKKR_CONFIG_FILE=", "BROKKR__AGENT__PAK=" + pak, "BROKKR__AGENT__BROKER_URL=" + d.url,
		"BROKKR__AGENT__NAMESPACE=" + agentNamespace, "BROKKR__AGENT__STATUS_EVERY=5s",
		"BROKKR__AGENT__ADDR=127.0.0.1:0", // nobody asks for its health here
	}, "start")
	return err
}
