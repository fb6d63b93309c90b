package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Choice says what of a list is wanted, and in which order. What is empty is everything, in the list's own order.
type Choice struct {
	Filters url.Values // by the names that the list knows, such as name, label, annotation (key=value), status, q
	Sort    string     // an order that the list knows, with - before it for descending
	Limit   int        // the first so many; 0: all
}

// Narrows reports whether less than the whole list is chosen, however many.
func (q Choice) Narrows() bool { return len(q.Filters) > 0 }

// Chosen is what was chosen of a list.
type Chosen[T any] struct {
	Items []T
	Rest  int // how many more there are; below 0: some, but the broker does not say how many
}

// pageLimit is the most that a broker gives on one page.
const pageLimit = 1000

// choose reads what is chosen of a list, page by page as the server pages it.
func choose[T any](ctx context.Context, c *Client, path string, q Choice) (Chosen[T], error) {
	query := url.Values{}
	for k, v := range q.Filters {
		query[k] = v
	}
	if q.Sort != "" {
		query.Set("sort", q.Sort)
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(q.Limit, pageLimit)))
	}
	all, total := []T{}, ""
	for {
		var page []T
		header, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &page)
		if err != nil {
			return Chosen[T]{}, err
		}
		if total == "" {
			total = header.Get("X-Total-Count")
		}
		all = append(all, page...)
		next := nextPage(header.Values("Link"))
		if q.Limit > 0 && len(all) >= q.Limit { // one that knows no pages gives more
			return Chosen[T]{Items: all[:q.Limit], Rest: rest(total, q.Limit, len(all), next != nil)}, nil
		}
		if next == nil || len(page) == 0 {
			return Chosen[T]{Items: all}, nil
		}
		query = next
	}
}

// rest is how many there are beside those that were wanted, by what the server says of all, if it does.
func rest(total string, wanted, read int, goesOn bool) int {
	n, err := strconv.Atoi(total)
	switch {
	case err == nil:
		return max(n, read) - wanted
	case goesOn:
		return -1
	default:
		return read - wanted
	}
}

// StacksBy returns the chosen ones of the stacks that the caller can see.
func (c *Client) StacksBy(ctx context.Context, q Choice) (Chosen[Stack], error) {
	return choose[Stack](ctx, c, "/stacks", q)
}

// DeletedStacksBy returns the chosen ones of the deleted stacks that the caller could restore, the last deletion first.
func (c *Client) DeletedStacksBy(ctx context.Context, q Choice) (Chosen[DeletedStack], error) {
	return choose[DeletedStack](ctx, c, "/deleted-stacks", q)
}

// AgentsBy returns the chosen ones of the agents that the caller can see.
func (c *Client) AgentsBy(ctx context.Context, q Choice) (Chosen[Agent], error) {
	return choose[Agent](ctx, c, "/agents", q)
}

// ClustersBy returns the chosen clusters with what is known of them.
func (c *Client) ClustersBy(ctx context.Context, q Choice) (Chosen[ClusterSummary], error) {
	return choose[ClusterSummary](ctx, c, "/clusters", q)
}

// FleetBy returns the chosen agents at a glance.
func (c *Client) FleetBy(ctx context.Context, q Choice) (Chosen[FleetRecord], error) {
	return choose[FleetRecord](ctx, c, "/fleet", q)
}

// EventsBy returns what was chosen of what all agents have reported, the newest first.
func (c *Client) EventsBy(ctx context.Context, q Choice) (Chosen[Event], error) {
	return choose[Event](ctx, c, "/agent-events", q)
}

// ObjectsBy returns the chosen deployment objects of a stack, the newest first.
func (c *Client) ObjectsBy(ctx context.Context, stack string, q Choice) (Chosen[Object], error) {
	return choose[Object](ctx, c, "/stacks/"+seg(stack)+"/deployment-objects", q)
}

// RolloutsBy returns the chosen rollouts of a stack, the newest first.
func (c *Client) RolloutsBy(ctx context.Context, stack string, q Choice) (Chosen[RolloutSummary], error) {
	return choose[RolloutSummary](ctx, c, "/stacks/"+seg(stack)+"/rollouts", q)
}

// GeneratorsBy returns the chosen generators.
func (c *Client) GeneratorsBy(ctx context.Context, q Choice) (Chosen[Generator], error) {
	return choose[Generator](ctx, c, "/generators", q)
}

// AgentRegistrationsBy returns the chosen registrations of an agent.
func (c *Client) AgentRegistrationsBy(ctx context.Context, agent string, q Choice) (Chosen[Registration], error) {
	return choose[Registration](ctx, c, "/agents/"+seg(agent)+"/registrations", q)
}

// GeneratorRegistrationsBy returns the chosen registrations with a generator.
func (c *Client) GeneratorRegistrationsBy(ctx context.Context, generator string, q Choice) (Chosen[Registration], error) {
	return choose[Registration](ctx, c, "/generators/"+seg(generator)+"/registered-agents", q)
}

// CredentialsBy returns the chosen ones of the credentials that the caller sees, the newest first.
func (c *Client) CredentialsBy(ctx context.Context, q Choice) (Chosen[Credential], error) {
	return choose[Credential](ctx, c, "/credentials", q)
}

// JoinTokensBy returns the chosen join tokens, the newest first.
func (c *Client) JoinTokensBy(ctx context.Context, q Choice) (Chosen[JoinToken], error) {
	return choose[JoinToken](ctx, c, "/join-tokens", q)
}

// PoliciesBy returns the chosen placement policies.
func (c *Client) PoliciesBy(ctx context.Context, q Choice) (Chosen[Policy], error) {
	return choose[Policy](ctx, c, "/placement-policies", q)
}

// PolicyRevisionsBy returns the chosen revisions of a policy, the newest first.
func (c *Client) PolicyRevisionsBy(ctx context.Context, policy string, q Choice) (Chosen[PolicyRevision], error) {
	return choose[PolicyRevision](ctx, c, "/placement-policies/"+seg(policy)+"/revisions", q)
}

// TemplatesBy returns the chosen templates, a row a version, the newest first.
func (c *Client) TemplatesBy(ctx context.Context, q Choice) (Chosen[Template], error) {
	return choose[Template](ctx, c, "/templates", q)
}

// WebhooksBy returns the chosen subscriptions.
func (c *Client) WebhooksBy(ctx context.Context, q Choice) (Chosen[Webhook], error) {
	return choose[Webhook](ctx, c, "/webhooks", q)
}

// DeliveriesBy returns the chosen deliveries of all subscriptions, the newest first.
func (c *Client) DeliveriesBy(ctx context.Context, q Choice) (Chosen[WebhookDelivery], error) {
	return choose[WebhookDelivery](ctx, c, "/webhook-deliveries", q)
}

// WorkOrdersBy returns the chosen ones of the orders that are not finished, the newest first.
func (c *Client) WorkOrdersBy(ctx context.Context, q Choice) (Chosen[WorkOrder], error) {
	return choose[WorkOrder](ctx, c, "/work-orders", q)
}

// WorkOrderLogBy returns the chosen finished orders, the last finished first.
func (c *Client) WorkOrderLogBy(ctx context.Context, q Choice) (Chosen[WorkOrderLog], error) {
	return choose[WorkOrderLog](ctx, c, "/work-order-log", q)
}
