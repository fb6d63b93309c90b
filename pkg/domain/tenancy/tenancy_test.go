package tenancy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		name string
		ok   bool
	}{
		"a name":           {"ci-team", true},
		"words":            {"The CI team", true},
		"255 bytes":        {strings.Repeat("x", 255), true},
		"of the world":     {"größe 東京", true},
		"nothing":          {"", false},
		"only white space": {" \u00a0 ", false},
		"256 bytes":        {strings.Repeat("x", 256), false},
		"a line break":     {"a\nb", false},
		"a zero byte":      {"a\x00b", false},
		"a delete":         {"a\x7fb", false},
	} {
		err := tenancy.CheckName("invalid_agent", "the agent's name", c.name)
		if c.ok && err != nil {
			t.Errorf("%s: %v", reason, err)
		}
		if !c.ok && (!fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "invalid_agent" || !strings.Contains(err.Error(), "the agent's name")) {
			t.Errorf("%s: got %v, want Invalid invalid_agent that says what", reason, err)
		}
	}
}

func TestRegistrationPolicy(t *testing.T) {
	t.Parallel()
	for p, c := range map[tenancy.RegistrationPolicy]struct {
		valid bool
		state tenancy.RegistrationState
		kind  fault.Kind
	}{
		tenancy.PolicyOpen:     {true, tenancy.RegistrationApproved, 0},
		tenancy.PolicyApproval: {true, tenancy.RegistrationPending, 0},
		tenancy.PolicyClosed:   {true, "", fault.Forbidden},
		"":                     {false, tenancy.RegistrationPending, 0},
		"OPEN":                 {false, tenancy.RegistrationPending, 0},
	} {
		if got := p.Valid(); got != c.valid {
			t.Errorf("%q valid: got %v, want %v", p, got, c.valid)
		}
		state, err := p.Request()
		if state != c.state {
			t.Errorf("%q: got state %q, want %q", p, state, c.state)
		}
		if (c.kind == 0) != (err == nil) || (err != nil && !fault.Is(err, c.kind)) {
			t.Errorf("%q: got %v, want kind %v", p, err, c.kind)
		}
	}
}

// TestOnlyOpenApproves holds for whatever a database or a client may contain: consent is never given by accident.
func TestOnlyOpenApproves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := tenancy.RegistrationPolicy(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"open", "approval", "closed", "Open", "open "})).Draw(t, "policy"))
		if state, _ := p.Request(); state == tenancy.RegistrationApproved && p != tenancy.PolicyOpen {
			t.Fatalf("policy %q approves", p)
		}
	})
}

func TestUsable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before, after := now.Add(-time.Microsecond), now.Add(time.Microsecond)
	for reason, c := range map[string]struct {
		expires, revoked *time.Time
		want             bool
	}{
		"for ever":                    {nil, nil, true},
		"expires later":               {&after, nil, true},
		"expires now":                 {&now, nil, false},
		"expired":                     {&before, nil, false},
		"revoked":                     {nil, &before, false},
		"revoked now":                 {nil, &now, false},
		"revoked from later on":       {nil, &after, true},
		"expired, revoked later":      {&before, &after, false},
		"revoked, expires later":      {&after, &before, false},
		"expires and revoked later":   {&after, &after, true},
		"expired and revoked as well": {&before, &before, false},
	} {
		c2 := tenancy.Credential{ExpiresAt: c.expires, RevokedAt: c.revoked}
		if got := c2.Usable(now); got != c.want {
			t.Errorf("%s: got %v, want %v", reason, got, c.want)
		}
	}
}

func TestPrincipalAndScope(t *testing.T) {
	t.Parallel()
	const g, a = tenancy.GeneratorID("generator"), tenancy.AgentID("agent")
	type view struct {
		Admin, Agent, OtherAgent, NoAgent, Generator, OtherGenerator, NoGenerator bool
		Scope                                                                     tenancy.Scope
	}
	want := map[tenancy.Role]view{
		tenancy.RoleAdmin:     {Admin: true, Scope: tenancy.Scope{All: true}},
		tenancy.RoleOperator:  {Scope: tenancy.Scope{All: true}},
		tenancy.RoleViewer:    {Scope: tenancy.Scope{All: true}},
		tenancy.RoleGenerator: {Generator: true, Scope: tenancy.Scope{Generator: g}},
		tenancy.RoleAgent:     {Agent: true, Scope: tenancy.Scope{Agent: a}},
		"":                    {},
		"root":                {},
	}
	for _, r := range tenancy.Roles() {
		if _, ok := want[r]; !ok {
			t.Errorf("role %q is not in the table", r)
		}
	}
	for role, w := range want {
		// A credential with every id set shows that the role alone decides which one counts.
		c := tenancy.Credential{ID: "credential", Role: role, Generator: g, Agent: a, Short: "BRshort1"}
		p := tenancy.Of(c)
		if p.Credential != c.ID || p.Short != c.Short || p.Role != role {
			t.Errorf("%q: got the principal %+v", role, p)
		}
		got := view{
			Admin: p.IsAdmin(), Agent: p.IsAgent(a), OtherAgent: p.IsAgent("other"), NoAgent: p.IsAgent(""),
			Generator: p.IsGenerator(g), OtherGenerator: p.IsGenerator("other"), NoGenerator: p.IsGenerator(""),
			Scope: tenancy.ScopeOf(p),
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", role, diff)
		}
	}
}

// TestNobodyIsNobody: subjects without an id, as a row with a null would give, match nothing, not even each other.
func TestNobodyIsNobody(t *testing.T) {
	t.Parallel()
	for _, r := range tenancy.Roles() {
		p := tenancy.Of(tenancy.Credential{Role: r})
		if p.IsAgent("") || p.IsGenerator("") {
			t.Errorf("%q without a subject is somebody", r)
		}
		if s := tenancy.ScopeOf(p); !s.All && s.Owns("") {
			t.Errorf("%q without a subject owns what nobody owns", r)
		}
	}
}

func TestScopeOwns(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		scope tenancy.Scope
		owns  map[tenancy.GeneratorID]bool
	}{
		"everything":  {tenancy.Everything(), map[tenancy.GeneratorID]bool{"g": true, "h": true, "": true}},
		"a generator": {tenancy.Scope{Generator: "g"}, map[tenancy.GeneratorID]bool{"g": true, "h": false, "": false}},
		"an agent":    {tenancy.Scope{Agent: "g"}, map[tenancy.GeneratorID]bool{"g": false, "h": false, "": false}},
		"nothing":     {tenancy.Scope{}, map[tenancy.GeneratorID]bool{"g": false, "h": false, "": false}},
	} {
		for g, want := range c.owns {
			if got := c.scope.Owns(g); got != want {
				t.Errorf("%s owns %q: got %v, want %v", reason, g, got, want)
			}
		}
	}
}
