package account_test

import (
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/account"
)

const (
	shop  = "2b5e1b36-8f0a-4b5f-9d53-6a1c0f3e7d42"
	other = "9c0f3c1e-7a43-4f6f-9a2e-0d7f4c1b2a30"
)

func rules(t *testing.T, standard string, allowed ...string) account.Rules {
	t.Helper()
	r := account.Rules{Default: standard}
	for _, s := range allowed {
		a, err := account.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		r.Allowed = append(r.Allowed, a)
	}
	return r
}

func TestWhoMayNameWhichAccount(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		rules     account.Rules
		generator string
		named     string
		as        cluster.Identity
		refused   bool
	}{
		"nothing is said, none named":         {generator: shop},
		"nothing is said, one named":          {generator: shop, named: "team/deployer", refused: true},
		"a default":                           {rules: rules(t, "stacks/plain"), generator: shop, as: "stacks/plain"},
		"the default by name":                 {rules: rules(t, "stacks/plain"), generator: shop, named: "stacks/plain", as: "stacks/plain"},
		"another than the default":            {rules: rules(t, "stacks/plain"), generator: shop, named: "kube-system/admin", refused: true},
		"allowed to all":                      {rules: rules(t, "", "team/deployer"), generator: other, named: "team/deployer", as: "team/deployer"},
		"allowed to nobody by its namespace":  {rules: rules(t, "", "team/deployer"), generator: shop, named: "team/admin", refused: true},
		"the same name elsewhere":             {rules: rules(t, "", "team/deployer"), generator: shop, named: "kube-system/deployer", refused: true},
		"a whole namespace":                   {rules: rules(t, "", "team/*"), generator: shop, named: "team/admin", as: "team/admin"},
		"a whole namespace and no other":      {rules: rules(t, "", "team/*"), generator: shop, named: "team-b/admin", refused: true},
		"one generator's":                     {rules: rules(t, "", shop+"=team/deployer"), generator: shop, named: "team/deployer", as: "team/deployer"},
		"another generator's":                 {rules: rules(t, "", shop+"=team/deployer"), generator: other, named: "team/deployer", refused: true},
		"whose generator is not known":        {rules: rules(t, "", shop+"=team/deployer"), named: "team/deployer", refused: true},
		"a star is no account":                {rules: rules(t, "", "team/*"), generator: shop, named: "team/*", refused: true},
		"what is no account":                  {rules: rules(t, "", "team/*"), generator: shop, named: "team/a/b", refused: true},
		"a user's name in place of a service": {rules: rules(t, "", "team/*"), generator: shop, named: "system:masters", refused: true},
	} {
		as, err := c.rules.As(c.generator, c.named)
		if c.refused {
			if !fault.Is(err, fault.Refused) || fault.CodeOf(err) != account.CodeNotAllowed || !strings.Contains(err.Error(), c.named) || as != "" {
				t.Errorf("%s: got %q, %v, want it refused and named", reason, as, err)
			}
			continue
		}
		if err != nil || as != c.as {
			t.Errorf("%s: got %q, %v, want %q", reason, as, err, c.as)
		}
	}
}

func TestWhatIsNoRule(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "deployer", "team/", "/deployer", "*/deployer", "*", "team/a/b", "Team/deployer", "shop=team/deployer", "=team/deployer", shop + "=", "team/**"} {
		if a, err := account.Parse(s); err == nil || !strings.Contains(err.Error(), "\""+s+"\"") {
			t.Errorf("%q: got %+v, %v, want an error that repeats it", s, a, err)
		}
	}
	for s, want := range map[string]bool{"team/deployer": true, "team/a.b": true, "team/*": false, "team": false, "": false} {
		if got := account.Valid(s); got != want {
			t.Errorf("Valid(%q) is %v", s, got)
		}
	}
}
