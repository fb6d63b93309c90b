package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Treatment is how agents treat what a stack has in their clusters. An empty text stands for the first of its values.
type Treatment struct {
	Prune          string   `json:"prune,omitempty"` // delete | orphan
	PruneAdopted   bool     `json:"prune_adopted"`
	PruneProtected bool     `json:"prune_protected"`
	Adopt          string   `json:"adopt,omitempty"` // always | if_no_diff | never
	Drift          string   `json:"drift,omitempty"` // correct | report | ignore
	IgnorePaths    []string `json:"ignore_paths"`    // JSON pointers to fields that are left to others
	ServiceAccount string   `json:"service_account"` // namespace/name; empty: as the agent decides
	// Kind.group=expression in CEL: how custom resources are. Absent where there are none: older brokers know no such field.
	HealthRules []string `json:"health_rules,omitempty"`
}

func (t Treatment) equal(u Treatment) bool {
	return t.Prune == u.Prune && t.PruneAdopted == u.PruneAdopted && t.PruneProtected == u.PruneProtected && t.Adopt == u.Adopt &&
		t.Drift == u.Drift && t.ServiceAccount == u.ServiceAccount && slices.Equal(t.IgnorePaths, u.IgnorePaths) &&
		slices.Equal(t.HealthRules, u.HealthRules)
}

// treatTries bounds how often somebody else may be faster.
const treatTries = 5

// Treat changes the treatment of a stack, from what it is to what change makes of it, and reports whether that is another one.
// What others change meanwhile is kept: change is called again then. A broker that knows no treatments is an error, not a default.
func (c *Client) Treat(ctx context.Context, id string, change func(Treatment) Treatment) (Stack, bool, error) {
	for try := 1; ; try++ {
		var s Stack
		header, err := c.do(ctx, call{method: http.MethodGet, path: "/stacks/" + seg(id)}, &s)
		if err != nil {
			return s, false, err
		}
		if s.Treatment == nil {
			return s, false, errors.New("the broker is of a release in which stacks have no treatment")
		}
		old := *s.Treatment
		old.IgnorePaths, old.HealthRules = slices.Clone(old.IgnorePaths), slices.Clone(old.HealthRules)
		next := change(old)
		if next.IgnorePaths == nil {
			next.IgnorePaths = []string{}
		}
		if next.equal(*s.Treatment) {
			return s, false, nil
		}
		var out Stack
		_, err = c.do(ctx, call{method: http.MethodPut, path: "/stacks/" + seg(id), body: map[string]any{"treatment": next}, match: header.Get("ETag")}, &out)
		switch {
		case err == nil:
			return out, true, nil
		case !IsStatus(err, http.StatusPreconditionFailed) || try == treatTries:
			return s, false, fmt.Errorf("change the treatment of stack %s: %w", s.Name, err)
		}
	}
}
