package tenancy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

// rank orders the roles by what they may do.
func rank(r tenancy.Role) int {
	return map[tenancy.Role]int{tenancy.RoleAdmin: 4, tenancy.RoleOperator: 3, tenancy.RoleViewer: 2, tenancy.RoleGenerator: 1, tenancy.RoleAgent: 1}[r]
}

func TestNobodyMintsAboveTheirRole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		subject := rapid.SampledFrom([]string{"x", "y"})
		draw := func(what string) tenancy.Credential {
			c := tenancy.Credential{ID: tenancy.CredentialID(what), Role: rapid.SampledFrom(tenancy.Roles()).Draw(t, what)}
			switch c.Role {
			case tenancy.RoleGenerator:
				c.Generator = tenancy.GeneratorID(subject.Draw(t, what+" subject"))
			case tenancy.RoleAgent:
				c.Agent = tenancy.AgentID(subject.Draw(t, what+" subject"))
			case tenancy.RoleAdmin, tenancy.RoleOperator, tenancy.RoleViewer:
			}
			return c
		}
		mine, wanted := draw("mine"), draw("wanted")
		p := tenancy.Of(mine)
		may := p.MayMint(wanted.Role, wanted.Generator, wanted.Agent)
		if may && rank(wanted.Role) > rank(mine.Role) {
			t.Fatalf("%s may mint %s", mine.Role, wanted.Role)
		}
		if may && !p.IsStaff() && (wanted.Generator != mine.Generator || wanted.Agent != mine.Agent) {
			t.Fatalf("%+v may mint for %+v", mine, wanted)
		}
		if may && mine.Role != tenancy.RoleAdmin && (wanted.Role == tenancy.RoleAdmin || wanted.Role == tenancy.RoleOperator) {
			t.Fatalf("%s may mint %s", mine.Role, wanted.Role)
		}
		if mine.Role == tenancy.RoleAdmin && !may {
			t.Fatalf("an admin may not mint %s", wanted.Role)
		}
		if !p.Manages(mine) || p.Manages(wanted) != may {
			t.Fatalf("%+v manages itself %v and the other %v, want true and %v", mine, p.Manages(mine), p.Manages(wanted), may)
		}
	})
}

func TestNoKeyProlongsItself(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 2, 10, 0, 0, 0, time.UTC)
	sooner, later := at.Add(time.Hour), at.Add(2*time.Hour)
	for name, tt := range map[string]struct {
		role      tenancy.Role
		own       bool
		until     time.Time
		end, want *time.Time
	}{
		"generator without end":          {tenancy.RoleGenerator, true, time.Time{}, nil, nil},
		"generator that ends":            {tenancy.RoleGenerator, false, sooner, nil, &sooner},
		"generator that wants longer":    {tenancy.RoleGenerator, true, sooner, &later, &sooner},
		"generator that wants shorter":   {tenancy.RoleGenerator, true, later, &sooner, &sooner},
		"agent that ends":                {tenancy.RoleAgent, true, sooner, &later, &sooner},
		"viewer for itself":              {tenancy.RoleViewer, true, sooner, nil, &sooner},
		"operator for itself":            {tenancy.RoleOperator, true, sooner, nil, &sooner},
		"operator for others":            {tenancy.RoleOperator, false, sooner, &later, &later},
		"admin, who may do all there is": {tenancy.RoleAdmin, true, sooner, nil, nil},
	} {
		p := tenancy.Principal{Credential: "p", Role: tt.role, Until: tt.until}
		c := tenancy.Credential{ID: "c"}
		if tt.own {
			c.ID = "p"
		}
		got := p.Caps(c, tt.end)
		if (got == nil) != (tt.want == nil) || (got != nil && !got.Equal(*tt.want)) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 2, 10, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	for want, c := range map[time.Time]tenancy.Credential{
		{}:    {},
		at:    {ExpiresAt: &at, RevokedAt: &later},
		later: {RevokedAt: &later},
	} {
		if got := c.Ends(); !got.Equal(want) || !tenancy.Of(c).Until.Equal(want) {
			t.Errorf("%+v: ends %v, want %v", c, got, want)
		}
	}
	for grace, ok := range map[time.Duration]bool{-1: false, 0: true, tenancy.MaxGrace: true, tenancy.MaxGrace + 1: false} {
		if err := tenancy.CheckGrace(grace); (err == nil) != ok || (err != nil && !fault.Is(err, fault.Invalid)) {
			t.Errorf("grace %s: %v, want accepted %v", grace, err, ok)
		}
	}
}
