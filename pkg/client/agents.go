package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Auth verifies the client's PAK and says who it is.
func (c *Client) Auth(ctx context.Context) (Auth, error) {
	var a Auth
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/auth/pak", repeatable: true}, &a)
	return a, err
}

// Version asks the broker for its version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, "/version")
}

func named(name string) url.Values {
	if name == "" {
		return nil
	}
	return url.Values{"name": {name}}
}

// Agents lists the agents that the caller can see; name narrows the list where the server can.
func (c *Client) Agents(ctx context.Context, name string) ([]Agent, error) {
	return list[Agent](ctx, c, "/agents", named(name))
}

// Agent returns one agent.
func (c *Client) Agent(ctx context.Context, id string) (Agent, error) {
	return get[Agent](ctx, c, "/agents/"+seg(id))
}

// CreateAgent creates an agent and returns its key.
func (c *Client) CreateAgent(ctx context.Context, n NewAgent) (AgentPAK, error) {
	var made struct {
		Agent Agent  `json:"agent"`
		PAK   string `json:"initial_pak"`
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/agents", body: n}, &made)
	return AgentPAK{Agent: made.Agent, PAK: made.PAK}, err
}

// SetAgentStatus sets ACTIVE or INACTIVE.
func (c *Client) SetAgentStatus(ctx context.Context, id, status string) (Agent, error) {
	var a Agent
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/agents/" + seg(id), body: map[string]string{"status": status}}, &a)
	return a, err
}

// RotateAgent replaces an agent's key; the former ones end after grace. It is not repeated: a lost answer would lose the key of the first one.
func (c *Client) RotateAgent(ctx context.Context, id string, grace time.Duration) (AgentPAK, error) {
	var made AgentPAK
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/agents/" + seg(id) + "/rotate-pak", body: graceBody(grace)}, &made)
	return made, err
}

// DeleteAgent deletes an agent.
func (c *Client) DeleteAgent(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/agents/" + seg(id)}, nil)
	return err
}

// AgentLabels lists an agent's labels.
func (c *Client) AgentLabels(ctx context.Context, id string) ([]Label, error) {
	return list[Label](ctx, c, "/agents/"+seg(id)+"/labels", nil)
}

// AddAgentLabel adds a label and reports whether it is new.
func (c *Client) AddAgentLabel(ctx context.Context, id, label string) (bool, error) {
	return c.mark(ctx, "/agents/"+seg(id)+"/labels", map[string]string{"agent_id": id, "label": label})
}

// RemoveAgentLabel removes a label.
func (c *Client) RemoveAgentLabel(ctx context.Context, id, label string) error {
	return c.unmark(ctx, "/agents/"+seg(id)+"/labels/"+seg(label), nil)
}

// AgentAnnotations lists an agent's annotations.
func (c *Client) AgentAnnotations(ctx context.Context, id string) ([]Annotation, error) {
	return list[Annotation](ctx, c, "/agents/"+seg(id)+"/annotations", nil)
}

// AddAgentAnnotation adds an annotation and reports whether its key is new.
func (c *Client) AddAgentAnnotation(ctx context.Context, id, key, value string) (bool, error) {
	return c.mark(ctx, "/agents/"+seg(id)+"/annotations", map[string]string{"agent_id": id, "key": key, "value": value})
}

// RemoveAgentAnnotation removes an annotation.
func (c *Client) RemoveAgentAnnotation(ctx context.Context, id, key string) error {
	return c.unmark(ctx, "/agents/"+seg(id)+"/annotations/"+seg(key), nil)
}

// Targets lists the stacks that are pinned to an agent.
func (c *Client) Targets(ctx context.Context, id string) ([]Target, error) {
	return list[Target](ctx, c, "/agents/"+seg(id)+"/targets", nil)
}

// AddTarget pins a stack to an agent and reports whether that is new.
func (c *Client) AddTarget(ctx context.Context, id, stack string) (bool, error) {
	return c.add(ctx, "/agents/"+seg(id)+"/targets", map[string]string{"agent_id": id, "stack_id": stack})
}

// RemoveTarget unpins a stack.
func (c *Client) RemoveTarget(ctx context.Context, id, stack string) error {
	return c.remove(ctx, "/agents/"+seg(id)+"/targets/"+seg(stack))
}

// AgentEvents lists what an agent reported.
func (c *Client) AgentEvents(ctx context.Context, id string) ([]Event, error) {
	return list[Event](ctx, c, "/agents/"+seg(id)+"/events", nil)
}

// AgentRegistrations lists an agent's registrations.
func (c *Client) AgentRegistrations(ctx context.Context, id string) ([]Registration, error) {
	return list[Registration](ctx, c, "/agents/"+seg(id)+"/registrations", nil)
}

// add posts body and takes a duplicate (409) for success, so it may be repeated. It reports whether something was added.
func (c *Client) add(ctx context.Context, path string, body any) (bool, error) {
	return c.added(ctx, call{method: http.MethodPost, path: path, body: body, repeatable: true})
}

func (c *Client) added(ctx context.Context, x call) (bool, error) {
	_, err := c.do(ctx, x, nil)
	if IsStatus(err, http.StatusConflict) && !IsCode(err, "plan_outdated") {
		return false, nil
	}
	return err == nil, err
}

// mark adds something to an agent, under the client's plan.
func (c *Client) mark(ctx context.Context, path string, body any) (bool, error) {
	return c.added(ctx, c.under(call{method: http.MethodPost, path: path, body: body, repeatable: true}))
}

// unmark takes something from an agent, under the client's plan.
func (c *Client) unmark(ctx context.Context, path string, q url.Values) error {
	_, err := c.do(ctx, c.under(call{method: http.MethodDelete, path: path, query: q}), nil)
	return err
}

func (c *Client) remove(ctx context.Context, path string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path}, nil)
	return err
}
