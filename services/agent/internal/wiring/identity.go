package wiring

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/adapters/kube"
	ident "github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
	"github.com/colliery-io/brokkr/services/agent/internal/join"
	"github.com/colliery-io/brokkr/services/agent/internal/syncer"
)

// identify gets the agent's key, makes the client that uses it, and returns whose it is.
func (a *agent) identify(ctx context.Context) (ident.ID, error) {
	key, from := a.settings.Key(), ""
	if key == "" {
		var err error
		if key, from, err = a.keptKey(ctx); err != nil {
			return "", err
		}
	} else if a.settings.Agent.JoinToken != "" {
		a.telemetry.Log.InfoContext(ctx, "the join token is not used: agent.pak is given")
	}
	a.broker = broker.New(a.peers.base, key, a.version, a.peers.trust)
	id, err := syncer.Identify(ctx, a.broker, a.telemetry.Log)
	if err != nil && from != "" {
		err = fmt.Errorf("the key of the Secret %s: %w", from, err)
	}
	return id, err
}

// keptKey returns the key that the agent's Secret holds, and where that is. If it holds none the agent joins, one process at
// a time, since each join ends the key of the one before.
func (a *agent) keptKey(ctx context.Context) (key, from string, err error) {
	log := a.telemetry.Log
	name := a.settings.Secret()
	sum := sha256.Sum256([]byte(name))
	k, err := kube.New(a.peers.access, kube.Options{Agent: "joining-" + hex.EncodeToString(sum[:4]), Namespace: a.settings.Agent.Namespace, Only: a.settings.Agent.Namespaced, Log: log})
	if err != nil {
		return "", "", err
	}
	keep := k.Keep(name)
	j := join.Joiner{Keep: keep, Broker: broker.New(a.peers.base, "", a.version, a.peers.trust), Token: a.settings.Token(), Name: a.settings.Agent.Name, Cluster: a.settings.Agent.ClusterName,
		Random: rand.Reader, Log: log}
	key, err = j.Kept(ctx)
	if err != nil || key != "" {
		if key != "" && j.Token != "" {
			log.InfoContext(ctx, "the join token is not used: the agent has a key", "secret", keep.Where())
		}
		return key, keep.Where(), err
	}
	if j.Token == "" {
		key, err = j.Key(ctx) // says what is missing
		return key, keep.Where(), err
	}
	if err := ensureNamespace(ctx, k, log); err != nil {
		return "", "", err
	}
	key, err = alone(ctx, k, j.Key)
	return key, keep.Where(), err
}

// alone runs do while this process holds the lease of those that do the same.
func alone(ctx context.Context, k *kube.Cluster, do func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	held, ended := make(chan struct{}), make(chan struct{})
	first := true
	lease := k.Lease(uuid.NewString(), func(s kube.LeaseState, other string) {
		switch {
		case s == kube.LeaseHeld && first:
			first = false
			close(held)
		case s == kube.LeaseOther && !first:
			cancel(fmt.Errorf("another process joins for this agent: %s", other))
		}
	})
	leased, release := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		if err := lease.Run(leased); err != nil {
			cancel(err)
		}
	}()
	defer func() {
		release()
		<-ended
	}()
	select {
	case <-held:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	key, err := do(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return key, err
}
