package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/wire"
)

// WireAgent speaks an agent's part of the protocol and applies to nothing but its own memory. It remembers every removal
// that it was told, so that a wrong one cannot hide.
type WireAgent struct {
	ID, Name string
	Reads    int // manifests fetched

	client *Client
	mu     sync.Mutex
	has    map[string]wire.Stack // by stack id
	gone   map[string]int        // removals by stack id
	bad    []error
}

// NewWireAgent creates an agent in an admin's name and runs it until the test ends.
func (w *World) NewWireAgent(name string, labels ...string) *WireAgent {
	w.T.Helper()
	id, pak := w.NewAgent(w.Unique(name), labels...)
	a := &WireAgent{ID: id, Name: name, client: NewClient(w.Balancer.URL(), pak), has: map[string]wire.Stack{}, gone: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.run(ctx)
	}()
	w.T.Cleanup(func() {
		cancel()
		<-done
		for _, err := range a.bad {
			w.T.Errorf("agent %s: %v", a.Name, err)
		}
	})
	return a
}

func (a *WireAgent) run(ctx context.Context) {
	req := wire.SyncRequest{BootID: uuid.NewString()}
	for ctx.Err() == nil {
		req.Seq++
		req.WaitSeconds = wire.MaxWaitSeconds
		if len(req.Applied)+len(req.Removed) > 0 {
			req.WaitSeconds = 0
		}
		var res wire.SyncResponse
		if _, err := a.client.Try(ctx, http.MethodPost, "/agents/"+a.ID+"/sync", req, http.StatusOK, &res); err != nil {
			time.Sleep(50 * time.Millisecond)
			continue // with the same reports: they are repeated until they were taken
		}
		req.Applied, req.Removed = nil, nil
		a.act(ctx, res, &req)
	}
}

func (a *WireAgent) act(ctx context.Context, res wire.SyncResponse, req *wire.SyncRequest) {
	if res.Stacks != nil {
		for _, s := range *res.Stacks {
			a.mu.Lock()
			known, ok := a.has[s.StackID]
			a.mu.Unlock()
			if ok && known.DeploymentObjectID == s.DeploymentObjectID {
				continue
			}
			if err := a.fetch(ctx, s); err != nil {
				return // with the old revision: it is told again
			}
			a.mu.Lock()
			if ok && known.SequenceID > s.SequenceID {
				a.bad = append(a.bad, fmt.Errorf("stack %s went back from %d to %d", s.StackID, known.SequenceID, s.SequenceID))
			}
			a.has[s.StackID] = s
			a.mu.Unlock()
			req.Applied = append(req.Applied, wire.Applied{StackID: s.StackID, DeploymentObjectID: s.DeploymentObjectID,
				SequenceID: s.SequenceID, Phase: "applied", Health: "healthy", ObservedAt: time.Now().UTC()})
		}
	}
	for _, r := range res.Removed {
		a.mu.Lock()
		if _, ok := a.has[r.StackID]; ok {
			a.gone[r.StackID]++
			delete(a.has, r.StackID)
		}
		a.mu.Unlock()
		req.Removed = append(req.Removed, r)
	}
	req.Revision = res.Revision
}

func (a *WireAgent) fetch(ctx context.Context, s wire.Stack) error {
	answer, err := a.client.Try(ctx, http.MethodGet, "/manifests/"+s.Checksum, nil, http.StatusOK, nil)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Reads++
	if sum := sha256.Sum256(answer.Body); hex.EncodeToString(sum[:]) != s.Checksum || int64(len(answer.Body)) != s.Size {
		a.bad = append(a.bad, fmt.Errorf("the manifest of stack %s is not what its checksum and size %d say: %d bytes", s.StackID, s.Size, len(answer.Body)))
	}
	return nil
}

// Has returns the deployment object of the stack that the agent has.
func (a *WireAgent) Has(stack string) (object string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.has[stack]
	return s.DeploymentObjectID, ok
}

// Removals is how often the agent was told to remove the stack and did.
func (a *WireAgent) Removals(stack string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gone[stack]
}

// WaitHas waits until the agent has the object.
func (a *WireAgent) WaitHas(t testing.TB, o Object) time.Duration {
	t.Helper()
	return Eventually(t, Patience, fmt.Sprintf("agent %s has object %d", a.Name, o.SequenceID), func() error {
		got, _ := a.Has(o.StackID)
		return want("object", got, o.ID)
	})
}

// WaitRemoved waits until the agent has removed the stack.
func (a *WireAgent) WaitRemoved(t testing.TB, stack string) {
	t.Helper()
	Eventually(t, Patience, "agent "+a.Name+" removes stack "+stack, func() error {
		_, ok := a.Has(stack)
		return want("has it", ok, false)
	})
}
