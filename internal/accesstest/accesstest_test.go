package accesstest_test

import (
	"testing"

	"github.com/colliery-io/brokkr/internal/accesstest"
)

func TestBy(t *testing.T) {
	t.Parallel()
	const no, denied, notThere, yes = accesstest.Unauthenticated, accesstest.Denied, accesstest.NotThere, accesstest.Success
	for access, want := range map[string][]accesstest.Outcome{
		// none, garbage, expired, revoked, agent self, other agent, owner, other generator, viewer, operator, admin
		"public":                               {yes, yes, yes, yes, yes, yes, yes, yes, yes, yes, yes},
		"any":                                  {no, no, no, no, yes, yes, yes, yes, yes, yes, yes},
		"admin":                                {no, no, no, no, denied, denied, denied, denied, denied, denied, yes},
		"admin|operator|viewer":                {no, no, no, no, denied, denied, denied, denied, yes, yes, yes},
		"admin|agent-self":                     {no, no, no, no, yes, notThere, denied, denied, denied, denied, yes},
		"agent-self":                           {no, no, no, no, yes, notThere, denied, denied, denied, denied, denied},
		"admin|operator|generator-self":        {no, no, no, no, denied, denied, yes, notThere, denied, yes, yes},
		"admin|generator":                      {no, no, no, no, denied, denied, yes, yes, denied, denied, yes},
		"admin|generator-owner|agent-assigned": {no, no, no, no, yes, notThere, yes, notThere, denied, denied, yes},
		"":                                     {no, no, no, no, denied, denied, denied, denied, denied, denied, denied},
	} {
		for i, as := range accesstest.Credentials() {
			if got := accesstest.By(access, as); got != want[i] {
				t.Errorf("%q as %s: got %v, want %v", access, as, got, want[i])
			}
		}
	}
}
