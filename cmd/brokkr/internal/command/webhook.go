package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

func (a *app) webhook() *cobra.Command {
	cmd := &cobra.Command{
		Use: "webhook", Short: "Tell HTTP endpoints what happens, and see what became of it",
		Long: `A webhook is a subscription: events of the types that it names are sent to its endpoint, signed. WEBHOOK is a name or an id.

  brokkr webhook create ops --url-file url.txt --event 'deployment.*'
  brokkr webhook test ops
  brokkr webhook deliveries ops --status dead`,
	}
	cmd.AddCommand(
		a.getList("list [NAME]", nil, "List webhooks", &listing{orders: sortsOf(webhook.List()), scoped: true, filters: []*filter{
			yesNo("enabled", "enabled", "only those that are enabled, or are not"), searchFilter("name"),
		}}, a.listWebhooks, a.completeWebhooks),
		a.webhookGet(), a.webhookCreate(), a.webhookUpdate(), a.webhookDelete(), a.webhookTest(), a.webhookDeliveries(), a.webhookRedeliver(), a.webhookEventTypes())
	return group(cmd)
}

func (a *app) completeWebhooks(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, args, prefix, webhookNames)
}

func webhookNames(ctx context.Context, c *client.Client) (book, error) {
	all, err := c.Webhooks(ctx)
	b := book{}
	for _, w := range all {
		b[w.ID] = w.Name
	}
	return b, err
}

func findWebhook(ctx context.Context, c *client.Client, ref string) (client.Webhook, error) {
	var found []client.Webhook
	if isID(ref) {
		w, err := c.Webhook(ctx, strings.ToLower(ref))
		if err == nil || !client.IsStatus(err, http.StatusNotFound) {
			return w, err
		}
	} else {
		all, err := c.Webhooks(ctx)
		if err != nil {
			return client.Webhook{}, err
		}
		found = only(all, func(w client.Webhook) bool { return w.Name == ref })
	}
	w, err := one("webhook", ref, found, func(w client.Webhook) string { return "webhook " + w.ID })
	if len(found) == 0 {
		err = hint(fmt.Errorf("webhook %q not found", ref), "brokkr webhook list shows all of them")
	}
	return w, err
}

func (a *app) listWebhooks(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	if ref != "" {
		q = with(q, "name", ref)
	}
	chosen, err := c.WebhooksBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	all := inOrder(q, chosen.Items, func(w client.Webhook) string { return w.Name })
	v := a.webhookView(all, all, o)
	v.rest = chosen.Rest
	return v, nil
}

func (a *app) webhookView(data any, all []client.Webhook, o *output) view {
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("NAME", "EVENTS", "ENABLED", "SENT BY", "AGE", "+FILTERS", "+RETRIES", "+TIMEOUT", "+ID")}
	for _, w := range all {
		v.names = append(v.names, "webhook/"+w.Name)
		enabled, by := "yes", "broker"
		if !w.Enabled {
			enabled = "no"
		}
		if len(w.TargetLabels) > 0 {
			by = "agents with " + strings.Join(w.TargetLabels, ",")
		}
		g.Add(render.Texts(w.Name, strings.Join(w.EventTypes, ","), enabled, by, render.Age(a.env.Now(), &w.CreatedAt),
			orNone(webhookFilters(w.Filters)), strconv.Itoa(w.MaxRetries), strconv.FormatInt(w.TimeoutSeconds, 10)+"s", w.ID)...)
	}
	v.table = a.grid(g, o, "no webhooks: brokkr webhook create NAME --url-file FILE --event TYPE")
	return v
}

func webhookFilters(f *client.WebhookFilters) string {
	var parts []string
	if f != nil && f.AgentID != nil {
		parts = append(parts, "agent="+*f.AgentID)
	}
	if f != nil && f.StackID != nil {
		parts = append(parts, "stack="+*f.StackID)
	}
	return strings.Join(parts, ",")
}

func (a *app) webhookGet() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "get WEBHOOK", Short: "Show a webhook; its URL, authorization and secret are never shown", Args: exactly("WEBHOOK"), ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			w, err := findWebhook(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.show(cmd, &o, a.webhookView(w, []client.Webhook{w}, &o))
		},
	}
	o.flag(cmd)
	return cmd
}

func (a *app) webhookDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete WEBHOOK", Short: "Delete a webhook with its deliveries, those too that are still to be made", Args: exactly("WEBHOOK"),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			w, err := findWebhook(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := a.sure(cmd, &deleteOptions{yes: yes}, fmt.Sprintf("Delete webhook/%s with its deliveries?", render.Clean(w.Name))); err != nil {
				return err
			}
			if err := c.DeleteWebhook(cmd.Context(), w.ID); err != nil {
				return fmt.Errorf("delete webhook %s: %w", args[0], err)
			}
			a.said("webhook/%s deleted", w.Name)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) webhookTest() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "test WEBHOOK", Short: "Send a test event now and say what the receiver did; it fails if the receiver did not take it", Args: exactly("WEBHOOK"),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			w, err := findWebhook(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			res, err := c.TestWebhook(cmd.Context(), w.ID)
			if err != nil {
				err = fmt.Errorf("test webhook %s: %w", args[0], err)
				if client.IsCode(err, "webhook_test_failed") {
					err = hint(err, "look at the receiver, or give the webhook another endpoint: brokkr webhook update %s --url-file FILE", w.ID)
				}
				return err
			}
			return a.show(cmd, &o, view{data: res, names: []string{"webhook/" + w.Name}, table: func(out io.Writer, _ bool) error {
				status := "an agent asked it"
				if res.StatusCode != nil {
					status = "status " + strconv.Itoa(*res.StatusCode)
				}
				_, err := fmt.Fprintf(out, "webhook/%s: %s (%s)\n", w.Name, render.Clean(res.Message), status)
				return err
			}})
		},
	}
	o.flag(cmd)
	return cmd
}

func (a *app) webhookEventTypes() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "event-types", Short: "List the types of events that can be subscribed to", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := c.WebhookEventTypes(cmd.Context())
			if err != nil {
				return fmt.Errorf("list event types: %w", err)
			}
			v := view{data: all}
			g := &render.Grid{Columns: render.Columns("EVENT")}
			for _, t := range all {
				v.names = append(v.names, "event-type/"+t)
				g.Add(render.Texts(t)...)
			}
			v.table = a.grid(g, &o, "the broker has no events to subscribe to")
			return a.show(cmd, &o, v)
		},
	}
	o.flag(cmd)
	return cmd
}
