package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

// treatmentFlags are what is said of a treatment; what is not said stays.
type treatmentFlags struct {
	wanted client.Treatment
	cmd    *cobra.Command
}

func treatmentNames() []string {
	return []string{"prune", "prune-adopted", "prune-protected", "adopt", "drift", "ignore-path", "service-account", "health-rule"}
}

func (o *treatmentFlags) flags(cmd *cobra.Command) {
	o.cmd = cmd
	f, t := cmd.Flags(), &o.wanted
	f.StringVar(&t.Prune, "prune", "", "what happens to objects that leave the bundle, or are left when the stack goes: delete (the default) or orphan, which lets them stay")
	f.BoolVar(&t.PruneAdopted, "prune-adopted", false, "objects that were there before the stack are deleted with it")
	f.BoolVar(&t.PruneProtected, "prune-protected", false, "PersistentVolumeClaims and CustomResourceDefinitions may be deleted")
	f.StringVar(&t.Adopt, "adopt", "", "objects that are there and belong to nobody: always (the default), if_no_diff or never")
	f.StringVar(&t.Drift, "drift", "", "objects that others have changed: correct (the default), report or ignore")
	f.StringArrayVar(&t.IgnorePaths, "ignore-path", nil, "JSON pointer to a field that is left to others, such as /spec/replicas (repeatable; replaces those of before, \"\" alone takes all away)")
	f.StringVar(&t.ServiceAccount, "service-account", "", "namespace/name of the service account as which the objects are read and written, if the agents allow it (\"\": as the agents are configured)")
	f.StringArrayVar(&t.HealthRules, "health-rule", nil, "Kind.group=EXPRESSION: how custom resources of a kind are, in CEL (repeatable; replaces those of before, \"\" alone takes all away)")
	for name, words := range map[string][]string{"prune": {stack.DefaultPrune, "orphan"}, "adopt": {stack.DefaultAdopt, "if_no_diff", "never"}, "drift": {stack.DefaultDrift, "report", "ignore"}} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	}
}

// asked is a treatment in the words of the domain, which checks it.
func asked(t client.Treatment) stack.Treatment {
	return stack.Treatment{Prune: t.Prune, PruneAdopted: t.PruneAdopted, PruneProtected: t.PruneProtected, Adopt: t.Adopt, Drift: t.Drift,
		IgnorePaths: t.IgnorePaths, ServiceAccount: t.ServiceAccount, HealthRules: t.HealthRules}
}

// given reports whether anything is said.
func (o *treatmentFlags) given() bool {
	return slices.ContainsFunc(treatmentNames(), o.cmd.Flags().Changed)
}

// check refuses what no treatment can say.
func (o *treatmentFlags) check() error {
	if slices.Equal(o.wanted.IgnorePaths, []string{""}) {
		o.wanted.IgnorePaths = []string{}
	}
	if slices.Equal(o.wanted.HealthRules, []string{""}) {
		o.wanted.HealthRules = []string{}
	}
	if _, err := asked(o.wanted).Parsed(); err != nil {
		text := err.Error()
		if f, ok := fault.As(err); ok {
			text = f.Message
		}
		name, rest, _ := strings.Cut(strings.TrimPrefix(text, "treatment."), " ")
		name, _, _ = strings.Cut(name, "[")
		name = strings.TrimSuffix(strings.ReplaceAll(name, "_", "-"), "s")
		return usagef(o.cmd, "--%s %s", name, rest)
	}
	return nil
}

// over returns t with what is said.
func (o *treatmentFlags) over(t client.Treatment) client.Treatment {
	said, w := o.cmd.Flags().Changed, o.wanted
	if said("prune") {
		t.Prune = cmp.Or(w.Prune, stack.DefaultPrune)
	}
	if said("prune-adopted") {
		t.PruneAdopted = w.PruneAdopted
	}
	if said("prune-protected") {
		t.PruneProtected = w.PruneProtected
	}
	if said("adopt") {
		t.Adopt = cmp.Or(w.Adopt, stack.DefaultAdopt)
	}
	if said("drift") {
		t.Drift = cmp.Or(w.Drift, stack.DefaultDrift)
	}
	if said("ignore-path") {
		t.IgnorePaths = w.IgnorePaths
	}
	if said("service-account") {
		t.ServiceAccount = w.ServiceAccount
	}
	if said("health-rule") {
		t.HealthRules = w.HealthRules
	}
	return t
}

// treatmentText says how a treatment differs from the default; empty for a broker that knows none.
func treatmentText(t *client.Treatment) string {
	if t == nil {
		return ""
	}
	var parts []string
	say := func(differs bool, format string, args ...any) {
		if differs {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	say(cmp.Or(t.Prune, stack.DefaultPrune) != stack.DefaultPrune, "prune %s", t.Prune)
	say(t.PruneAdopted, "prune adopted")
	say(t.PruneProtected, "prune protected")
	say(cmp.Or(t.Adopt, stack.DefaultAdopt) != stack.DefaultAdopt, "adopt %s", t.Adopt)
	say(cmp.Or(t.Drift, stack.DefaultDrift) != stack.DefaultDrift, "drift %s", t.Drift)
	say(len(t.IgnorePaths) > 0, "ignore %s", strings.Join(t.IgnorePaths, " "))
	say(t.ServiceAccount != "", "as %s", t.ServiceAccount)
	say(len(t.HealthRules) > 0, "health of %s by rule", kindsOf(t.HealthRules))
	return cmp.Or(strings.Join(parts, ", "), "by default")
}

// kindsOf names the kinds of health rules.
func kindsOf(rules []string) string {
	kinds := make([]string, len(rules))
	for i, r := range rules {
		kinds[i], _, _ = strings.Cut(r, "=")
	}
	return strings.Join(kinds, " ")
}

// stackTreated is how a stack is treated, as data.
type stackTreated struct {
	Stack     string            `json:"stack"`
	StackID   string            `json:"stack_id"`
	Changed   bool              `json:"changed"`
	Treatment *client.Treatment `json:"treatment"`
}

func (a *app) stackTreat() *cobra.Command {
	var o output
	var t treatmentFlags
	var defaults bool
	cmd := &cobra.Command{
		Use:   "treat NAME|ID",
		Short: "Say how agents treat what a stack has in their clusters, or show it",
		Long: `Says how agents treat what a stack has in their clusters; without flags it shows it. What no flag names stays as it is. The agents that
have the stack hear of it at once, and so do those that have still to take it away. By itself a change deletes nothing.`,
		Example: `  brokkr stack treat web --prune orphan
  brokkr stack treat web --drift report --ignore-path /spec/replicas
  brokkr stack treat web --service-account shop/deployer
  brokkr stack treat web --health-rule "Database.example.com=object.status.phase == 'Ready' ? 'healthy' : 'progressing: ' + object.status.phase"
  brokkr stack treat web --defaults`,
		Args:              exactly("NAME|ID"),
		ValidArgsFunction: a.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			if err := t.check(); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, err := findStack(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			done, changed := s, false
			if t.given() || defaults {
				if done, changed, err = treat(cmd.Context(), c, s, &t, defaults); err != nil {
					return err
				}
			}
			return a.show(cmd, &o, view{data: stackTreated{Stack: s.Name, StackID: s.ID, Changed: changed, Treatment: done.Treatment}, names: []string{"stack/" + s.Name}, table: func(w io.Writer, _ bool) error {
				_, err := fmt.Fprintf(w, "stack/%s%s treated: %s\n", s.Name, pick(t.given() || defaults, pick(changed, " is now", " is already"), " is"), orNone(treatmentText(done.Treatment)))
				return err
			}})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&defaults, "defaults", false, "everything as by default that no other flag names")
	o.flag(cmd)
	return cmd
}

// treat changes the treatment of a stack to what the flags say.
func treat(ctx context.Context, c *client.Client, s client.Stack, o *treatmentFlags, defaults bool) (client.Stack, bool, error) {
	return c.Treat(ctx, s.ID, func(t client.Treatment) client.Treatment {
		if defaults {
			t = client.Treatment{Prune: stack.DefaultPrune, Adopt: stack.DefaultAdopt, Drift: stack.DefaultDrift}
		}
		return o.over(t)
	})
}
