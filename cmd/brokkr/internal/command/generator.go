package command

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
)

func (a *app) generator() *cobra.Command {
	cmd := &cobra.Command{Use: "generator", Short: "Create generators (teams, pipelines) and manage their keys"}
	cmd.AddCommand(a.generatorCreate(), a.generatorRotate(), a.deleteGenerator("delete NAME|ID"))
	return group(cmd)
}

func (a *app) generatorCreate() *cobra.Command {
	var o output
	var name, description, policy string
	policies := []tenancy.RegistrationPolicy{tenancy.PolicyOpen, tenancy.PolicyApproval, tenancy.PolicyClosed}
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a generator and show its key once",
		Example: "  brokkr generator create ci --description 'the delivery pipeline'",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && name != "" && name != args[0]:
				return usagef(cmd, "two names are given: %q and %q", args[0], name)
			case len(args) == 1:
				name = args[0]
			case name == "":
				return usagef(cmd, "name the generator")
			}
			if policy != "" && !slices.Contains(policies, tenancy.RegistrationPolicy(policy)) {
				return usagef(cmd, "--registrations %q is not open, approval or closed", policy)
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			n := client.NewGenerator{Name: name, RegistrationPolicy: policy}
			if description != "" {
				n.Description = &description
			}
			made, err := c.CreateGenerator(cmd.Context(), n)
			if err != nil {
				return fmt.Errorf("create generator %s: %w", name, err)
			}
			return a.showGeneratorPAK(cmd, &o, made, c.URL(), "created")
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "name of the generator; the argument does the same")
	f.StringVar(&description, "description", "", "what it is for")
	f.StringVar(&policy, "registrations", "", "agents that ask for its stacks: open (taken at once), approval (wait for approval; the default) or closed (refused)")
	o.flag(cmd)
	return cmd
}

func (a *app) showGeneratorPAK(cmd *cobra.Command, o *output, made client.GeneratorPAK, base, done string) error {
	if f, err := o.format(cmd); err == nil && f == render.Name {
		a.progress("PAK (shown once): %s", made.PAK)
	}
	return a.show(cmd, o, view{data: made, names: []string{"generator/" + made.Generator.Name}, table: func(w io.Writer, _ bool) error {
		_, err := fmt.Fprintf(w, `generator/%s %s (id %s)
PAK (shown once): %s

publish in its name:
  BROKKR_URL=%s BROKKR_PAK=%s brokkr apply -f PATH --stack NAME
`, made.Generator.Name, done, made.Generator.ID, made.PAK, base, made.PAK)
		return err
	}})
}

func (a *app) generatorRotate() *cobra.Command {
	var o output
	var grace time.Duration
	cmd := &cobra.Command{
		Use:               "rotate NAME|ID",
		Short:             "Give a generator a new key; the old one ends at once, or after --grace",
		Args:              exactly("NAME|ID"),
		ValidArgsFunction: a.completeGenerators,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGrace(cmd, grace); err != nil {
				return err
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findGenerator(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			made, err := c.RotateGenerator(cmd.Context(), g.ID, grace)
			if err != nil {
				return rotateError(err, "generator "+g.Name)
			}
			return a.showGeneratorPAK(cmd, &o, made, c.URL(), "has a new key")
		},
	}
	graceFlag(cmd, &grace)
	o.flag(cmd)
	return cmd
}
