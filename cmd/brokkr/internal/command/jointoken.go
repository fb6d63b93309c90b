package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/join"
)

func (a *app) joinToken() *cobra.Command {
	cmd := &cobra.Command{
		Use: "join-token", Short: "Make, list and revoke tokens by which agents join by themselves",
		Long: `A join token makes agents: one that is started with it joins the broker, gets a key of its own and keeps that in its cluster.
Nobody carries a key to each cluster. A token ends after a while and after its uses.

  brokkr join-token create fleet --uses 20 --expires-in 24h --label prod --generator ci
  BROKKR__AGENT__JOIN_TOKEN=... BROKKR__AGENT__BROKER_URL=http://broker:3000 brokkr-agent start --name edge-1 --cluster-name edge-1`,
	}
	cmd.AddCommand(a.joinTokenCreate(), a.joinTokenList(), a.joinTokenRevoke())
	return group(cmd)
}

type joinTokenOptions struct {
	uses                int
	ttl                 time.Duration
	labels, annotations []string
	generators          []string
	activate            bool
	brokerURL           string
	out                 output
}

func (a *app) joinTokenCreate() *cobra.Command {
	o := &joinTokenOptions{}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a join token, show it once and the command that uses it",
		Example: `  brokkr join-token create edge-1
  brokkr join-token create fleet --uses 20 --expires-in 24h --label prod --annotation region=eu --generator ci -o json | jq -r .token`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runJoinTokenCreate(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.uses, "uses", 1, "how many agents may join by it")
	f.DurationVar(&o.ttl, "expires-in", join.DefaultTTL, "when it ends, for example 24h; at most 8760h (a year)")
	f.StringArrayVar(&o.labels, "label", nil, "label of every agent that joins (repeatable)")
	f.StringArrayVar(&o.annotations, "annotation", nil, "annotation key=value of every agent that joins (repeatable)")
	f.StringArrayVar(&o.generators, "generator", []string{adminGenerator}, "generator, by name or id, whose stacks the agents take (repeatable)")
	f.BoolVar(&o.activate, "activate", true, "let the agents take stacks at once")
	f.StringVar(&o.brokerURL, "broker-url", "", "the broker's URL as the clusters see it, for the command that is shown (default: the one in use)")
	o.out.flag(cmd)
	return cmd
}

func (a *app) runJoinTokenCreate(cmd *cobra.Command, name string, o *joinTokenOptions) error {
	switch {
	case o.uses < 1 || o.uses > join.MaxUses:
		return usagef(cmd, "--uses %d is not 1 to %d", o.uses, join.MaxUses)
	case o.ttl < time.Second || o.ttl > join.MaxTTL || o.ttl%time.Second != 0:
		return usagef(cmd, "--expires-in %s is not whole seconds, from 1s to %s", o.ttl, join.MaxTTL)
	}
	if _, err := o.out.format(cmd); err != nil {
		return err
	}
	if err := parseLabels(cmd, o.labels); err != nil {
		return err
	}
	annotations, err := annotationsOf(cmd, o.annotations)
	if err != nil {
		return err
	}
	n := client.NewJoinToken{Name: name, MaxUses: o.uses, TTLSeconds: int64(o.ttl / time.Second), Labels: o.labels, Annotations: annotations, Activate: &o.activate}
	c, err := a.connect()
	if err != nil {
		return err
	}
	if o.brokerURL, err = agentsBroker(cmd, c, o.brokerURL); err != nil {
		return err
	}
	if n.GeneratorIDs, err = generatorIDs(cmd.Context(), c, o.generators); err != nil {
		return err
	}
	made, err := c.CreateJoinToken(cmd.Context(), n)
	if err != nil {
		err = fmt.Errorf("create join token %s: %w", name, err)
		if client.IsTemporary(err) {
			err = hint(err, "it may have been made all the same: look with brokkr join-token list, revoke it, and make another")
		}
		return err
	}
	return a.showJoinToken(cmd, o, made)
}

// showJoinToken shows a token for the only time, with the exact next command.
func (a *app) showJoinToken(cmd *cobra.Command, o *joinTokenOptions, made client.JoinTokenSecret) error {
	if f, err := o.out.format(cmd); err == nil && f == render.Name {
		a.progress("join token (shown once): %s", made.Token)
	}
	return a.show(cmd, &o.out, view{data: made, names: []string{"join-token/" + made.JoinToken.ID}, table: func(w io.Writer, _ bool) error {
		_, err := fmt.Fprintf(w, `join-token/%s created (%s, uses: %d, ends: %s)
join token (shown once): %s

start an agent with it:
  BROKKR__AGENT__JOIN_TOKEN=%s BROKKR__AGENT__BROKER_URL=%s brokkr-agent start --name NAME --cluster-name CLUSTER
`, made.JoinToken.ID, render.Clean(made.JoinToken.Name), made.JoinToken.MaxUses, made.JoinToken.ExpiresAt.Format(time.RFC3339), made.Token, made.Token, o.brokerURL)
		return err
	}})
}

func (a *app) joinTokenList() *cobra.Command {
	var o output
	var all bool
	l := &listing{orders: sortsOf(join.List()), filters: []*filter{{flag: "name", param: "name", help: "only tokens of this name"}, searchFilter("name")}}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the join tokens that are usable, newest first", Args: atMost(0),
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
				q = with(q, "state", join.UsableNow)
			}
			chosen, err := c.JoinTokensBy(cmd.Context(), q)
			if err != nil {
				return fmt.Errorf("list join tokens: %w", err)
			}
			return a.showJoinTokens(cmd, &o, chosen)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that have ended or are used up too")
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

func (a *app) showJoinTokens(cmd *cobra.Command, o *output, chosen client.Chosen[client.JoinToken]) error {
	list := chosen.Items
	v := view{data: list, rest: chosen.Rest}
	g := &render.Grid{Columns: render.Columns("ID", "NAME", "STATE", "USES", "ENDS", "LAST USED", "AGE", "+LABELS", "+ANNOTATIONS", "+GENERATORS", "+ACTIVE")}
	for _, t := range list {
		v.names = append(v.names, "join-token/"+t.ID)
		end := t.ExpiresAt
		if t.RevokedAt != nil && t.RevokedAt.Before(end) {
			end = *t.RevokedAt
		}
		marks := make([]string, 0, len(t.Annotations))
		for k, value := range t.Annotations {
			marks = append(marks, k+"="+value)
		}
		g.Add(render.Texts(t.ID, t.Name, t.State, strconv.Itoa(t.Uses)+"/"+strconv.Itoa(t.MaxUses), a.when(&end), a.when(t.LastUsedAt), a.when(&t.CreatedAt),
			orNone(strings.Join(t.Labels, ",")), orNone(strings.Join(sorted(marks, func(s string) string { return s }), ",")),
			orNone(strings.Join(t.GeneratorIDs, ",")), pick(t.Activate, "yes", "no"))...)
	}
	v.table = a.grid(g, o, "no join tokens: brokkr join-token create NAME")
	return a.show(cmd, o, v)
}

func (a *app) joinTokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME|ID", Short: "End a join token at once; agents that have joined by it stay", Args: exactly("NAME|ID"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return a.complete(cmd, args, prefix, usableJoinTokens)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := findJoinToken(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.RevokeJoinToken(cmd.Context(), t.ID); err != nil {
				return fmt.Errorf("revoke join token %s: %w", args[0], err)
			}
			a.said("join-token/%s revoked", t.ID)
			return nil
		},
	}
}

func usableJoinTokens(ctx context.Context, c *client.Client) (book, error) {
	all, err := c.JoinTokens(ctx)
	b := book{}
	for _, t := range all {
		if t.State == join.UsableNow {
			b[t.ID] = t.Name
		}
	}
	return b, err
}

// findJoinToken returns the token with this id, or the only usable one of this name.
func findJoinToken(ctx context.Context, c *client.Client, ref string) (client.JoinToken, error) {
	var found []client.JoinToken
	if isID(ref) {
		t, err := c.JoinToken(ctx, strings.ToLower(ref))
		if err == nil || !client.IsStatus(err, http.StatusNotFound) {
			return t, err
		}
	} else {
		all, err := c.JoinTokens(ctx)
		if err != nil {
			return client.JoinToken{}, fmt.Errorf("list join tokens: %w", err)
		}
		found = only(all, func(t client.JoinToken) bool { return t.Name == ref && t.State == join.UsableNow })
	}
	t, err := one("join token", ref, found, func(t client.JoinToken) string { return "join token " + t.ID })
	if len(found) == 0 {
		err = hint(fmt.Errorf("join token %q not found among the usable ones", ref), "brokkr join-token list --all shows all of them")
	}
	return t, err
}
