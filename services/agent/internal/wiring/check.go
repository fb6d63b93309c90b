package wiring

import (
	"context"
	"fmt"
	"io"
	"time"

	ident "github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
	"github.com/colliery-io/brokkr/services/agent/internal/join"
	"github.com/colliery-io/brokkr/services/agent/internal/settings"
)

const (
	checkAgain  = 2 * time.Second  // what may still come, such as the key of an agent that joins
	silentAfter = 90 * time.Second // without a heartbeat
)

// Check looks, with the configuration of an agent, whether all is there that it needs, and whether a process speaks for it. It tells on out
// what is well, a line each, and returns the first that is not once ctx has ended; what waiting does not mend it returns at once. It joins
// nothing and changes nothing.
func Check(ctx context.Context, version string, environ []string, flags map[string]any, out io.Writer) error {
	s, err := settings.Load(environ, flags)
	if err != nil {
		return err
	}
	tel, err := telemetry.New(ctx, telemetry.Config{Service: "brokkr-agent", Version: version, LogLevel: "error", LogFormat: s.Log.Format, Output: io.Discard})
	if err != nil {
		return err
	}
	to, err := newPeers(s, version, tel.Log)
	if err != nil {
		return err
	}
	var key string
	var id ident.ID
	var client *broker.Client
	for _, step := range []struct {
		name string
		look func() (string, error)
	}{
		{"kubernetes", func() (string, error) {
			latency, err := to.cluster.Probe(ctx)
			return fmt.Sprintf("the API server at %s answers in %s", to.cluster.Host(), latency.Round(time.Millisecond)), err
		}},
		{"key", func() (string, error) {
			if key = s.Key(); key != "" {
				return "it is given by the configuration", nil
			}
			keep := to.cluster.Keep(s.Secret())
			kept, err := keep.Load(ctx)
			if key = kept.Values[join.KeyPAK]; err == nil && key == "" {
				err = fmt.Errorf("the Secret %s has none: the agent has not joined yet; its log says why", keep.Where())
			}
			return "it is in the Secret " + keep.Where(), err
		}},
		{"broker", func() (string, error) {
			client = broker.New(to.base, key, version, to.trust)
			var err error
			id, err = client.WhoAmI(ctx)
			return fmt.Sprintf("%s answers, and knows the key: it is that of agent %s", client.URL(), id), err
		}},
		{"agent", func() (string, error) {
			a, err := client.Agent(ctx, id)
			if fault.Is(err, fault.NotFound) { // a gateway by itself
				return "what the broker knows of it is not told at " + client.URL() + ", which serves agents alone", nil
			}
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%s of cluster %s is active, and was heard of %s ago", a.Name, a.ClusterName, a.Silent(time.Now()).Round(time.Second)), alive(a)
		}},
	} {
		well, err := patiently(ctx, step.look)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(out, "ok  %s: %s\n", step.name, well)
	}
	return nil
}

// alive is why the agent gets or does nothing, as far as the broker knows.
func alive(a broker.Agent) error {
	name := fmt.Sprintf("%s of cluster %s", a.Name, a.ClusterName)
	switch {
	case a.LastHeartbeat == nil:
		return fmt.Errorf("%s has never been heard of: is its process running? its log says what it waits for", name)
	case a.Silent(time.Now()) > silentAfter:
		return fmt.Errorf("%s is silent for %s: is its process running? its log says what it waits for", name, a.Silent(time.Now()).Round(time.Second))
	case a.K8sReachable != nil && !*a.K8sReachable:
		return fmt.Errorf("%s does not reach its API server, as it told the broker", name)
	case a.Status != string(ident.Active):
		return fault.Newf(fault.Forbidden, "agent_inactive", "%s is %s, so it is given nothing: brokkr agent activate %s", name, a.Status, a.Name)
	}
	return nil
}

// patiently looks again and again until all is well or ctx ends; then it returns the last error. What a person has to mend it returns at once.
func patiently(ctx context.Context, look func() (string, error)) (string, error) {
	for {
		well, err := look()
		if err == nil || fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Forbidden) {
			return well, err
		}
		select {
		case <-time.After(checkAgain):
		case <-ctx.Done():
			return "", err
		}
		if ctx.Err() != nil {
			return "", err
		}
	}
}
