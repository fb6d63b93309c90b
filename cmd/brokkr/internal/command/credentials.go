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

func (a *app) credentials() *cobra.Command {
	cmd := &cobra.Command{Use: "credentials", Aliases: []string{"credential"}, Short: "List, make, rotate and revoke keys"}
	cmd.AddCommand(a.credentialsList(), a.credentialsCreate(), a.credentialsRotate(), a.credentialsRevoke())
	return group(cmd)
}

func roleFlag(cmd *cobra.Command, role *string, help string) {
	cmd.Flags().StringVar(role, "role", "", help)
	names := make([]string, 0, len(tenancy.Roles()))
	for _, r := range tenancy.Roles() {
		names = append(names, string(r))
	}
	// The only error is that the flag does not exist.
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

func checkRole(cmd *cobra.Command, role string) error {
	if role != "" && !slices.Contains(tenancy.Roles(), tenancy.Role(role)) {
		return usagef(cmd, "--role %q is not admin, operator, viewer, generator or agent", role)
	}
	return nil
}

func (a *app) credentialsList() *cobra.Command {
	var o output
	var all bool
	l := &listing{orders: sortsOf(tenancy.CredentialList()), filters: []*filter{
		wordFilter("role", "role", "only keys of this role", nil, tenancy.Roles()...), {flag: "name", param: "name", help: "only keys of this name"},
		generatorFilter("only keys of this"), agentFilter("only keys of this"), searchFilter("name"),
	}}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the keys that you may see, newest first", Args: atMost(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.read(cmd, args); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			q, err := l.choice(cmd.Context(), c)
			if err != nil {
				return err
			}
			if !all {
				q = with(q, "state", tenancy.UsableNow)
			}
			chosen, err := c.CredentialsBy(cmd.Context(), q)
			if err != nil {
				return fmt.Errorf("list credentials: %w", err)
			}
			return a.showCredentials(cmd, &o, chosen.Items, chosen.Items, chosen.Rest)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that have ended too")
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

// showCredentials shows list; data is what json and yaml show.
func (a *app) showCredentials(cmd *cobra.Command, o *output, list []client.Credential, data any, rest int) error {
	v := view{data: data, rest: rest}
	for _, n := range list {
		v.names = append(v.names, "credential/"+n.ID)
	}
	v.table = func(w io.Writer, wide bool) error {
		g := render.Grid{Columns: render.Columns("ID", "NAME", "ROLE", "KEY", "STATE", "ENDS", "LAST USED", "AGE")}
		for _, n := range list {
			prefix := "-"
			if n.Prefix != nil {
				prefix = *n.Prefix
			}
			g.Add(render.Texts(n.ID, n.Name, n.Role, prefix, n.State, a.when(ends(n)), a.when(n.LastUsedAt), a.when(&n.CreatedAt))...)
		}
		return g.Write(w, wide, a.env.Terminal.Out, o.bare)
	}
	return a.show(cmd, o, v)
}

// ends is when a key ends, nil if nothing ends it yet.
func ends(c client.Credential) *time.Time {
	if c.RevokedAt != nil && (c.ExpiresAt == nil || c.RevokedAt.Before(*c.ExpiresAt)) {
		return c.RevokedAt
	}
	return c.ExpiresAt
}

// when says how long ago t was, or how far it is.
func (a *app) when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	if now := a.env.Now(); t.After(now) {
		return "in " + render.Age(*t, &now)
	}
	return render.Age(a.env.Now(), t) + " ago"
}

func (a *app) credentialsCreate() *cobra.Command {
	var o output
	var role, generator, agent string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key and show it once",
		Example: `  brokkr credentials create dashboard --role viewer --expires-in 2160h
  brokkr credentials create ci-2 --generator ci`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRole(cmd, role); err != nil {
				return err
			}
			if ttl < 0 {
				return usagef(cmd, "--expires-in must not be negative")
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			n := client.NewCredential{Name: args[0], Role: role}
			if generator != "" {
				g, err := findGenerator(cmd.Context(), c, generator)
				if err != nil {
					return err
				}
				n.GeneratorID, n.Role = g.ID, orRole(role, tenancy.RoleGenerator)
			}
			if agent != "" {
				v, err := findAgent(cmd.Context(), c, agent)
				if err != nil {
					return err
				}
				n.AgentID, n.Role = v.ID, orRole(role, tenancy.RoleAgent)
			}
			if ttl > 0 {
				end := a.env.Now().Add(ttl).UTC()
				n.ExpiresAt = &end
			}
			made, err := c.CreateCredential(cmd.Context(), n)
			if err != nil {
				return fmt.Errorf("create credential %s: %w", args[0], err)
			}
			return a.showCredentialPAK(cmd, &o, made, "created")
		},
	}
	roleFlag(cmd, &role, "admin, operator or viewer; with --generator or --agent it need not be said")
	f := cmd.Flags()
	f.StringVar(&generator, "generator", "", "name or id of the generator whose key it is")
	f.StringVar(&agent, "agent", "", "name or id of the agent whose key it is")
	f.DurationVar(&ttl, "expires-in", 0, "when it ends, for example 2160h (90 days); 0: never")
	cmd.MarkFlagsMutuallyExclusive("generator", "agent")
	o.flag(cmd)
	return cmd
}

func orRole(given string, otherwise tenancy.Role) string {
	if given == "" {
		return string(otherwise)
	}
	return given
}

func (a *app) showCredentialPAK(cmd *cobra.Command, o *output, made client.CredentialPAK, done string) error {
	if f, err := o.format(cmd); err == nil && f == render.Name {
		a.progress("PAK (shown once): %s", made.PAK)
	}
	return a.show(cmd, o, view{data: made, names: []string{"credential/" + made.Credential.ID}, table: func(w io.Writer, _ bool) error {
		end := "never"
		if e := ends(made.Credential); e != nil {
			end = e.Format(time.RFC3339)
		}
		_, err := fmt.Fprintf(w, "credential/%s %s (%s %s, ends: %s)\nPAK (shown once): %s\n",
			made.Credential.ID, done, made.Credential.Role, render.Clean(made.Credential.Name), end, made.PAK)
		return err
	}})
}

func (a *app) credentialsRotate() *cobra.Command {
	var o output
	var grace time.Duration
	cmd := &cobra.Command{
		Use:     "rotate ID",
		Short:   "Make a key in the place of another",
		Example: "  brokkr credentials rotate 33333333-3333-4333-8333-333333333333 --grace 1h",
		Args:    exactly("ID"),
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
			made, err := c.RotateCredential(cmd.Context(), args[0], grace)
			if err != nil {
				return rotateError(err, "credential "+args[0])
			}
			return a.showCredentialPAK(cmd, &o, made, "made in the place of credential/"+args[0])
		},
	}
	graceFlag(cmd, &grace)
	o.flag(cmd)
	return cmd
}

func graceFlag(cmd *cobra.Command, grace *time.Duration) {
	cmd.Flags().DurationVar(grace, "grace", 0, "how long the former key stays usable beside the new one, for example 1h; at most 168h")
}

func checkGrace(cmd *cobra.Command, grace time.Duration) error {
	if err := tenancy.CheckGrace(grace); err != nil {
		return usagef(cmd, "--grace %s is not between 0 and %s", grace, tenancy.MaxGrace)
	}
	return nil
}

func (a *app) credentialsRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a key at once, everywhere", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := c.RevokeCredential(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("revoke credential %s: %w", args[0], err)
			}
			a.said("credential/%s revoked", args[0])
			return nil
		},
	}
}
