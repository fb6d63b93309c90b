package command

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/webhook"
)

func (a *app) webhookDeliveries() *cobra.Command {
	var o output
	l := &listing{orders: sortsOf(webhook.DeliveryList()), scoped: true, limit: 50, filters: []*filter{
		wordFilter("status", "status", "only those that are", nil, webhook.Statuses()...), {flag: "event", param: "event_type", help: "only those of this type of event, such as deployment.failed"},
	}}
	cmd := &cobra.Command{
		Use: "deliveries [WEBHOOK]", Short: "List deliveries, of one webhook or of all, newest first", Args: atMost(1), ValidArgsFunction: a.completeWebhooks,
		Example: "  brokkr webhook deliveries --status dead\n  brokkr webhook deliveries ops --event deployment.failed -o wide",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.read(cmd, args); err != nil {
				return err
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			q, err := l.choice(ctx, c)
			if err != nil {
				return err
			}
			var names book
			of := q
			if len(args) == 1 {
				w, err := findWebhook(ctx, c, args[0])
				if err != nil {
					return err
				}
				of, names = with(q, "subscription_id", w.ID), book{w.ID: w.Name}
			} else if names, err = webhookNames(ctx, c); err != nil {
				return err
			}
			chosen, err := c.DeliveriesBy(ctx, of)
			if err != nil {
				return fmt.Errorf("list deliveries: %w", err)
			}
			v := a.deliveryView(chosen.Items, chosen.Items, names, &o)
			v.rest = chosen.Rest
			return a.show(cmd, &o, a.orNothing(q, v))
		},
	}
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

func (a *app) deliveryView(data any, all []client.WebhookDelivery, names book, o *output) view {
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("DELIVERY", "WEBHOOK", "EVENT", "STATUS", "ATTEMPTS", "AGE", "+NEXT", "+AGENT", "+EVENT ID", "ERROR")}
	for _, d := range all {
		v.names = append(v.names, "delivery/"+d.ID)
		next := render.None
		if d.NextRetryAt != nil {
			next = "due"
			if wait := d.NextRetryAt.Sub(a.env.Now()); wait > 0 {
				next = "in " + render.Duration(wait)
			}
		}
		g.Add(render.Text(d.ID), render.Text(names.name(d.SubscriptionID)), render.Text(d.EventType),
			render.Cell{Text: d.Status, Tone: deliveryTone(d.Status)}, render.Text(strconv.Itoa(d.Attempts)),
			render.Text(render.Age(a.env.Now(), &d.CreatedAt)), render.Text(next), render.Text(orNone(deref(d.AcquiredBy))), render.Text(d.EventID),
			render.Text(orNone(deref(d.LastError))))
	}
	v.table = a.grid(g, o, "no deliveries")
	return v
}

func deliveryTone(status string) render.Tone {
	switch webhook.Status(status) {
	case webhook.Success:
		return render.Good
	case webhook.Failed:
		return render.Busy
	case webhook.Dead:
		return render.Bad
	case webhook.Pending, webhook.Acquired:
		return render.Plain
	default:
		return render.Plain
	}
}

func (a *app) webhookRedeliver() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "redeliver DELIVERY", Short: "Deliver again, as if it had never been tried; the receiver knows it by the event's id", Args: exactly("DELIVERY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isID(args[0]) {
				return usagef(cmd, "%q is no id of a delivery; brokkr webhook deliveries lists them", args[0])
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			d, err := c.RedeliverWebhook(cmd.Context(), args[0])
			if err != nil {
				err = fmt.Errorf("redeliver %s: %w", args[0], err)
				switch {
				case client.IsStatus(err, http.StatusNotFound):
					return hint(err, "brokkr webhook deliveries lists those that are kept")
				case client.IsCode(err, "delivery_in_progress"):
					return hint(err, "again when the attempt has ended; brokkr webhook deliveries shows how")
				case client.IsCode(err, "webhook_disabled"):
					return hint(err, "brokkr webhook update WEBHOOK --enable")
				}
				return err
			}
			if o.value == "" {
				a.said("delivery/%s is pending again (%s)", d.ID, d.EventType)
				return nil
			}
			return a.show(cmd, &o, a.deliveryView(d, []client.WebhookDelivery{d}, book{}, &o))
		},
	}
	o.flag(cmd)
	return cmd
}
