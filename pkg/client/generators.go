package client

import (
	"context"
	"net/http"
	"time"
)

// Generators lists the generators; admins only.
func (c *Client) Generators(ctx context.Context, name string) ([]Generator, error) {
	return list[Generator](ctx, c, "/generators", named(name))
}

// Generator returns one generator.
func (c *Client) Generator(ctx context.Context, id string) (Generator, error) {
	return get[Generator](ctx, c, "/generators/"+seg(id))
}

// CreateGenerator creates a generator and returns its key.
func (c *Client) CreateGenerator(ctx context.Context, n NewGenerator) (GeneratorPAK, error) {
	var made GeneratorPAK
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/generators", body: n}, &made)
	return made, err
}

// RotateGenerator replaces a generator's key; the former ones end after grace. It is not repeated: a lost answer would lose the key of the first one.
func (c *Client) RotateGenerator(ctx context.Context, id string, grace time.Duration) (GeneratorPAK, error) {
	var made GeneratorPAK
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/generators/" + seg(id) + "/rotate-pak", body: graceBody(grace)}, &made)
	return made, err
}

// DeleteGenerator deletes a generator with everything it owns.
func (c *Client) DeleteGenerator(ctx context.Context, id string) error {
	return c.remove(ctx, "/generators/"+seg(id))
}

// Register registers an agent with a generator; an admin's registration is approved at once.
func (c *Client) Register(ctx context.Context, generator, agent string) (Registration, error) {
	var r Registration
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/generators/" + seg(generator) + "/register",
		body: map[string]string{"agent_id": agent}}, &r)
	return r, err
}

// Approve approves a registration that an agent has asked for.
func (c *Client) Approve(ctx context.Context, generator, agent string) (Registration, error) {
	var r Registration
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/generators/" + seg(generator) + "/registered-agents/" + seg(agent),
		body: map[string]string{"state": "approved"}}, &r)
	return r, err
}

// Revoke takes back the consent between an agent and a generator, as an admin or as the generator.
func (c *Client) Revoke(ctx context.Context, generator, agent string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/generators/" + seg(generator) + "/register",
		body: map[string]string{"agent_id": agent}}, nil)
	if IsStatus(err, http.StatusForbidden) { // that route is for the agent's side
		return c.remove(ctx, "/generators/"+seg(generator)+"/registered-agents/"+seg(agent))
	}
	return err
}
