package world

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Named is any resource of which only id and name matter.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Object is a deployment object.
type Object struct {
	ID         string `json:"id"`
	SequenceID int64  `json:"sequence_id"`
	StackID    string `json:"stack_id"`
	Checksum   string `json:"yaml_checksum"`
	TraceID    string `json:"-"` // of the call that published it
}

// Revision names a deployment object.
type Revision struct {
	DeploymentObjectID string `json:"deployment_object_id"`
	SequenceID         int64  `json:"sequence_id"`
}

// StackStatus is where a stack stands.
type StackStatus struct {
	StackID    string          `json:"stack_id"`
	SequenceID *int64          `json:"sequence_id"`
	Clusters   []ClusterStatus `json:"clusters"`
}

// ClusterStatus is where it stands in one cluster.
type ClusterStatus struct {
	AgentID   string    `json:"agent_id"`
	AgentName string    `json:"agent_name"`
	State     string    `json:"state"`
	Wanted    Revision  `json:"wanted"`
	Applied   *Revision `json:"applied"`
	Phase     string    `json:"phase"`
	Health    string    `json:"health"`
	Message   string    `json:"message"`
	Reason    string    `json:"reason"`
	BlockedOn any       `json:"blocked_on"`
}

func (c ClusterStatus) String() string {
	applied := "nothing"
	if c.Applied != nil {
		applied = fmt.Sprint(c.Applied.SequenceID)
	}
	return fmt.Sprintf("%s: %s wants %d, applied %s, %s, %s, %q, blocked on %v", c.AgentName, c.State, c.Wanted.SequenceID, applied, c.Phase, c.Health, c.Message, c.BlockedOn)
}

// Of returns the status in the agent's cluster; false if the stack is not assigned to it.
func (s StackStatus) Of(agent string) (ClusterStatus, bool) {
	for _, c := range s.Clusters {
		if c.AgentID == agent {
			return c, true
		}
	}
	return ClusterStatus{}, false
}

// Generator is a tenant with its key.
type Generator struct {
	Named
	*Client
}

// NewGenerator creates a generator with a unique name.
func (w *World) NewGenerator(name string) Generator {
	w.T.Helper()
	var made struct {
		Generator Named  `json:"generator"`
		PAK       string `json:"pak"`
	}
	w.Admin.Must(w.T, http.MethodPost, "/generators", map[string]string{"name": w.Unique(name)}, http.StatusCreated, &made)
	return Generator{Named: made.Generator, Client: w.Admin.As(made.PAK)}
}

// NewStack creates a stack with labels.
func (g Generator) NewStack(t testing.TB, name string, labels ...string) Named {
	t.Helper()
	var s Named
	g.Must(t, http.MethodPost, "/stacks", map[string]string{"name": name, "generator_id": g.ID}, http.StatusCreated, &s)
	for _, l := range labels {
		g.LabelStack(t, s.ID, l)
	}
	return s
}

// LabelStack adds a label.
func (g Generator) LabelStack(t testing.TB, stack, label string) {
	t.Helper()
	g.Must(t, http.MethodPost, "/stacks/"+stack+"/labels", label, http.StatusCreated, nil)
}

// DeleteStack deletes the stack.
func (g Generator) DeleteStack(t testing.TB, stack string) {
	t.Helper()
	g.Must(t, http.MethodDelete, "/stacks/"+stack, nil, http.StatusNoContent, nil)
}

// RestoreStack takes the deletion of the stack back.
func (g Generator) RestoreStack(t testing.TB, stack string) {
	t.Helper()
	g.Must(t, http.MethodPost, "/stacks/"+stack+"/restore", nil, http.StatusOK, nil)
}

// TryPublish publishes a bundle.
func (g Generator) TryPublish(ctx context.Context, stack, bundle string) (Object, error) {
	var o Object
	a, err := g.Try(ctx, http.MethodPost, "/stacks/"+stack+"/deployment-objects", YAML(bundle), http.StatusCreated, &o)
	if err != nil {
		return o, err
	}
	if parts := strings.Split(a.Header.Get("traceparent"), "-"); len(parts) == 4 {
		o.TraceID = parts[1]
	}
	return o, nil
}

// Publish publishes a bundle.
func (g Generator) Publish(t testing.TB, stack, bundle string) Object {
	t.Helper()
	o, err := g.TryPublish(t.Context(), stack, bundle)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Objects returns the stack's deployment objects, newest first.
func (g Generator) Objects(ctx context.Context, stack string) ([]Object, error) {
	var all []Object
	_, err := g.Try(ctx, http.MethodGet, "/stacks/"+stack+"/deployment-objects", nil, http.StatusOK, &all)
	return all, err
}

// Status asks for the stack's status.
func (g Generator) Status(ctx context.Context, stack string) (StackStatus, error) {
	var s StackStatus
	_, err := g.Try(ctx, http.MethodGet, "/stacks/"+stack+"/status", nil, http.StatusOK, &s)
	return s, err
}

// WaitHealthy waits until the object is applied and healthy in the clusters of all these agents.
func (g Generator) WaitHealthy(t testing.TB, o Object, agents ...*Agent) time.Duration {
	t.Helper()
	return Eventually(t, Patience, fmt.Sprintf("object %d applied and healthy", o.SequenceID), func() error {
		s, err := g.Status(t.Context(), o.StackID)
		if err != nil {
			return err
		}
		for _, a := range agents {
			c, ok := s.Of(a.ID)
			switch {
			case !ok:
				return fmt.Errorf("not assigned to agent %s", a.Name)
			case c.State != "assigned" || c.Applied == nil || c.Applied.SequenceID != o.SequenceID || c.Phase != "applied" || c.Health != "healthy":
				return fmt.Errorf("%s", c)
			}
		}
		return nil
	})
}

// WaitUnassigned waits until no assignment of the stack to the agent is left, the tombstone included.
func (g Generator) WaitUnassigned(t testing.TB, stack string, a *Agent) {
	t.Helper()
	Eventually(t, Patience, "removed from "+a.Name, func() error {
		answer, err := g.Do(t.Context(), http.MethodGet, "/stacks/"+stack+"/status", nil)
		if err != nil || answer.Status == http.StatusNotFound {
			return err
		}
		s, err := g.Status(t.Context(), stack)
		if err != nil {
			return err
		}
		if c, ok := s.Of(a.ID); ok {
			return fmt.Errorf("still there: %s", c)
		}
		return nil
	})
}

// AgentRecord is an agent as the api shows it.
type AgentRecord struct {
	Named
	Status        string     `json:"status"`
	LastHeartbeat *time.Time `json:"last_heartbeat"`
	K8sReachable  *bool      `json:"k8s_reachable"`
}

// Agent asks for an agent.
func (w *World) Agent(a *Agent) (AgentRecord, error) {
	var r AgentRecord
	_, err := w.Admin.Try(w.T.Context(), http.MethodGet, "/agents/"+a.ID, nil, http.StatusOK, &r)
	return r, err
}

// ClusterRecord is what the control plane knows of an agent's cluster.
type ClusterRecord struct {
	Reachability string `json:"reachability"`
	Status       *struct {
		Facts map[string]struct {
			Number *float64 `json:"number"`
		} `json:"facts"`
	} `json:"status"`
	Drain *struct {
		Waiting int  `json:"waiting"`
		Moving  int  `json:"moving"`
		Done    bool `json:"done"`
	} `json:"drain"`
}

// Known asks what is known of the agent's cluster.
func (w *World) Known(a *Agent) (ClusterRecord, error) {
	var r ClusterRecord
	_, err := w.Admin.Try(w.T.Context(), http.MethodGet, "/agents/"+a.ID+"/cluster", nil, http.StatusOK, &r)
	return r, err
}

// LabelAgent adds a label.
func (w *World) LabelAgent(a *Agent, label string) {
	w.T.Helper()
	w.Admin.Must(w.T, http.MethodPost, "/agents/"+a.ID+"/labels", map[string]string{"agent_id": a.ID, "label": label}, http.StatusCreated, nil)
}

// UnlabelAgent removes a label.
func (w *World) UnlabelAgent(a *Agent, label string) {
	w.T.Helper()
	w.Admin.Must(w.T, http.MethodDelete, "/agents/"+a.ID+"/labels/"+url.PathEscape(label), nil, http.StatusNoContent, nil)
}

// AnnotateAgent sets an annotation.
func (w *World) AnnotateAgent(a *Agent, key, value string) {
	w.T.Helper()
	w.Admin.Must(w.T, http.MethodPost, "/agents/"+a.ID+"/annotations", map[string]string{"agent_id": a.ID, "key": key, "value": value}, http.StatusCreated, nil)
}

// Register gives consent in an admin's name.
func (w *World) Register(a *Agent, g Generator) {
	w.T.Helper()
	w.Admin.Must(w.T, http.MethodPost, "/generators/"+g.ID+"/register", map[string]string{"agent_id": a.ID}, http.StatusCreated, nil)
}

// Deregister revokes it.
func (w *World) Deregister(a *Agent, g Generator) {
	w.T.Helper()
	w.Admin.Must(w.T, http.MethodDelete, "/generators/"+g.ID+"/register", map[string]string{"agent_id": a.ID}, http.StatusNoContent, nil)
}
