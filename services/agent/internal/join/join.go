// Package join gets a process its agent's key where none was given to it: from the Secret in which it is kept, or the first time
// from the broker, by a join token.
package join

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
)

// What the Secret holds. A Secret that a person made needs KeyPAK alone.
const (
	KeyPAK     = "pak"
	KeyClaim   = "claim" // by which a join whose answer was lost is asked for again
	KeyAgent   = "agent_id"
	KeyName    = "agent_name"
	KeyCluster = "cluster_name"
)

const (
	claimBytes   = 32
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// Keep is where the key is kept. Errors are of package fault: Conflict if another has written since the load.
type Keep interface {
	Where() string
	Load(ctx context.Context) (cluster.Kept, error)
	Save(ctx context.Context, v cluster.Kept) (cluster.Kept, error)
}

// Broker takes joins.
type Broker interface {
	Join(ctx context.Context, req broker.JoinRequest) (agent.ID, string, error)
}

// Joiner gets the key. Two at a time for one Keep would end each other's keys: the caller sees to it that there is one.
type Joiner struct {
	Keep    Keep
	Broker  Broker
	Token   string // empty: what is kept has to do
	Name    string
	Cluster string
	Random  io.Reader
	Log     *slog.Logger
}

// Kept returns the key that is kept, empty if there is none. It waits for an API server that does not answer, and fails for
// anything that a person has to mend.
func (j Joiner) Kept(ctx context.Context) (string, error) {
	kept, err := j.load(ctx)
	if err != nil {
		return "", err
	}
	return j.key(kept)
}

// Key returns the key: the one that is kept, or that of a new agent, which is kept before it is returned. Before it asks the
// broker it keeps the claim with which it asks, so that after an end at any moment the next process repeats the same join.
// It waits for a broker or an API server that does not answer, and fails for anything that a person has to mend.
func (j Joiner) Key(ctx context.Context) (string, error) {
	for {
		kept, err := j.load(ctx)
		if err != nil {
			return "", err
		}
		if key, err := j.key(kept); key != "" || err != nil {
			return key, err
		}
		if j.Token == "" {
			return "", fault.Newf(fault.Unauthenticated, "no_key", "the Secret %s holds no key and no join token is given: set BROKKR__AGENT__JOIN_TOKEN to what `brokkr join-token create` printed, or BROKKR__AGENT__PAK to what `brokkr agent create` printed", j.Keep.Where())
		}
		if kept, err = j.claim(ctx, kept); fault.Is(err, fault.Conflict) {
			continue // another has written; what that is, is looked at
		}
		if err != nil {
			return "", err
		}
		if err := j.join(ctx, &kept); err != nil {
			return "", err
		}
		err = j.patiently(ctx, "keeping the key of the agent", func() error {
			_, err := j.Keep.Save(ctx, kept)
			return err
		})
		switch {
		case fault.Is(err, fault.Conflict):
			continue // the join can be repeated: the key has not been used
		case err != nil:
			return "", fmt.Errorf("keep the key of the agent that has joined (its join is repeated at the next start): %w", err)
		}
		j.Log.InfoContext(ctx, "joined; the key is kept, and the join token is needed no more", "agent", kept.Values[KeyAgent], "name", j.Name, "cluster_name", j.Cluster, "secret", j.Keep.Where())
		return kept.Values[KeyPAK], nil
	}
}

func (j Joiner) load(ctx context.Context) (cluster.Kept, error) {
	var kept cluster.Kept
	err := j.patiently(ctx, "reading the Secret of the agent's key", func() error {
		var err error
		kept, err = j.Keep.Load(ctx)
		return err
	})
	return kept, err
}

// key reads the key of what is kept, and whose it is.
func (j Joiner) key(kept cluster.Kept) (string, error) {
	for name, here := range map[string]string{KeyName: j.Name, KeyCluster: j.Cluster} {
		if there := kept.Values[name]; there != "" && here != "" && there != here {
			return "", fault.Newf(fault.Forbidden, "key_of_another", "the Secret %s belongs to another agent: its %s is %q, not %q; name another one by BROKKR__AGENT__KEY_SECRET", j.Keep.Where(), name, there, here)
		}
	}
	key := strings.TrimSpace(kept.Values[KeyPAK])
	if key == "" {
		return "", nil
	}
	if _, err := pak.Parse(key); err != nil {
		return "", fault.Newf(fault.Invalid, "key_unreadable", "%s of the Secret %s is not a Brokkr PAK: put the key there that `brokkr agent rotate` prints, or delete the Secret and join anew", KeyPAK, j.Keep.Where())
	}
	return key, nil
}

// claim keeps a claim unless there is one. An absent Secret is made and then written, so that the rights to do both are known
// before a token is used.
func (j Joiner) claim(ctx context.Context, kept cluster.Kept) (cluster.Kept, error) {
	if kept.Values[KeyClaim] != "" {
		return kept, nil
	}
	claim := make([]byte, claimBytes)
	if _, err := io.ReadFull(j.Random, claim); err != nil {
		return kept, fmt.Errorf("make a claim: %w", err)
	}
	if kept.Values == nil {
		kept.Values = map[string]string{}
	}
	kept.Values[KeyName], kept.Values[KeyCluster] = j.Name, j.Cluster
	save := func() error {
		return j.patiently(ctx, "writing the Secret of the agent's key", func() error {
			saved, err := j.Keep.Save(ctx, kept)
			if err == nil {
				kept = saved
			}
			return err
		})
	}
	if kept.Version == "" {
		if err := save(); err != nil {
			return kept, err
		}
	}
	kept.Values[KeyClaim] = hex.EncodeToString(claim)
	return kept, save()
}

// join asks the broker for the agent, and puts it into kept.
func (j Joiner) join(ctx context.Context, kept *cluster.Kept) error {
	err := j.patiently(ctx, "joining the broker", func() error {
		id, key, err := j.Broker.Join(ctx, broker.JoinRequest{Token: j.Token, Name: j.Name, ClusterName: j.Cluster, Claim: kept.Values[KeyClaim]})
		if err == nil {
			kept.Values[KeyAgent], kept.Values[KeyPAK] = string(id), key
		}
		return err
	})
	switch {
	case fault.CodeOf(err) == "join_refused":
		return fmt.Errorf("%w; make another one by `brokkr join-token create`", err)
	case fault.Is(err, fault.Conflict):
		return fmt.Errorf("%w; if that is this agent, begun with another join token or without its Secret %s, `brokkr agent delete` it, or put the key that `brokkr agent rotate` prints into that Secret as %s", err, j.Keep.Where(), KeyPAK)
	default:
		return err
	}
}

// patiently does something until it succeeds or fails for good. What lies in the way is said when it changes.
func (j Joiner) patiently(ctx context.Context, what string, do func() error) error {
	var said string
	wait := firstBackoff
	for {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f, ok := fault.As(err)
		if !ok || (f.Kind != fault.Unavailable && f.Kind != fault.Limited) {
			return err
		}
		if code := fault.CodeOf(err); code != said {
			said = code
			j.Log.WarnContext(ctx, what, "error", err.Error(), "code", code)
		}
		t := time.NewTimer(max(f.RetryAfter, wait/2+rand.N(wait))) //nolint:gosec // spreads load, secures nothing
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		wait = min(2*wait, maxBackoff)
	}
}
