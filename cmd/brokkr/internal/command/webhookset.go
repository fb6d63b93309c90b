package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/cmd/brokkr/internal/source"
	"github.com/colliery-io/brokkr/pkg/client"
)

// webhookFlags say what a webhook is to be. Secrets can be read from files, so that they stand in no history.
type webhookFlags struct {
	url, urlFile, auth, authFile, secretFile string
	events, labels                           []string
	agent, stack                             string
	retries                                  int
	timeout                                  time.Duration
}

func (w *webhookFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&w.url, "endpoint", "", "URL that events are sent to; shells keep it in their history, --url-file does not")
	f.StringVar(&w.urlFile, "url-file", "", "file with the URL that events are sent to, or - for standard input")
	f.StringVar(&w.auth, "auth-header", "", "value of the header Authorization, such as 'Bearer x'; '' for none")
	f.StringVar(&w.authFile, "auth-header-file", "", "file with the value of the header Authorization, or - for standard input")
	f.StringVar(&w.secretFile, "signing-secret-file", "", "file with a signing secret of your own, or - for standard input")
	f.StringSliceVar(&w.events, "event", nil, "type of event, a family such as 'deployment.*', or '*' (repeatable); see brokkr webhook event-types")
	f.StringVar(&w.agent, "agent", "", "only events of this agent, by name or id; '' for all")
	f.StringVar(&w.stack, "stack", "", "only events of this stack, by name or id; '' for all")
	f.StringSliceVar(&w.labels, "target-label", nil, "let an agent with this label send the events; with all of them, if there are more (repeatable); '' for the broker")
	f.IntVar(&w.retries, "max-retries", 0, "how often a failed delivery is tried again, from 0 to 100 (default 5 for a new webhook)")
	f.DurationVar(&w.timeout, "timeout", 0, "how long the receiver may take, from 1s to 300s (default 30s for a new webhook)")
}

// secrets reads what may come from files.
func (w *webhookFlags) secrets(cmd *cobra.Command, stdin io.Reader) (client.WebhookChange, error) {
	var out client.WebhookChange
	if cmd.Flags().Changed("endpoint") {
		out.URL = &w.url
	}
	if cmd.Flags().Changed("auth-header") {
		out.AuthHeader = &w.auth
	}
	fromStdin := ""
	for _, s := range []struct {
		flag, path string
		to         **string
	}{{"url-file", w.urlFile, &out.URL}, {"auth-header-file", w.authFile, &out.AuthHeader}, {"signing-secret-file", w.secretFile, &out.SigningSecret}} {
		if !cmd.Flags().Changed(s.flag) {
			continue
		}
		if s.path == source.Stdin {
			if fromStdin != "" {
				return out, usagef(cmd, "only one of --%s and --%s can read standard input", fromStdin, s.flag)
			}
			fromStdin = s.flag
		}
		text, err := readLine(s.path, stdin)
		if err != nil {
			return out, fmt.Errorf("read --%s: %w", s.flag, err)
		}
		*s.to = &text
	}
	return out, nil
}

// maxSecretFile is far above what a broker takes, in bytes.
const maxSecretFile = 64 << 10

// readLine returns the only line of a file, without the space around it. Its errors do not repeat it.
func readLine(path string, stdin io.Reader) (string, error) {
	name, from := "standard input", stdin
	if path != source.Stdin {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // it was only read
		name, from = path, f
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxSecretFile+1))
	text := strings.TrimSpace(string(raw))
	switch {
	case err != nil:
		return "", err
	case len(raw) > maxSecretFile:
		return "", fmt.Errorf("%s has more than %d bytes", name, maxSecretFile)
	case text == "":
		return "", fmt.Errorf("%s is empty", name)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("%s has more than one line", name)
	}
	return text, nil
}

// check refuses what was written wrongly, before anything is read or asked.
func (w *webhookFlags) check(cmd *cobra.Command) error {
	for _, pair := range [][2]string{{"endpoint", "url-file"}, {"auth-header", "auth-header-file"}, {"enable", "disable"}, {"rotate-signing-secret", "signing-secret-file"}} {
		if cmd.Flags().Changed(pair[0]) && cmd.Flags().Changed(pair[1]) {
			return usagef(cmd, "give either --%s or --%s", pair[0], pair[1])
		}
	}
	if cmd.Flags().Changed("timeout") && w.timeout%time.Second != 0 {
		return usagef(cmd, "--timeout %s is not in whole seconds", w.timeout)
	}
	if cmd.Flags().Changed("event") && len(given(w.events)) == 0 {
		return usagef(cmd, "--event is empty; '*' is for all events")
	}
	return nil
}

// given leaves out what is empty.
func given(all []string) []string {
	return only(all, func(s string) bool { return s != "" })
}

// rest puts into out what is no secret. former is what filters are changed of; nil for a new webhook.
func (w *webhookFlags) rest(ctx context.Context, cmd *cobra.Command, c *client.Client, out *client.WebhookChange, former *client.WebhookFilters) error {
	changed := cmd.Flags().Changed
	out.EventTypes = given(w.events)
	if changed("target-label") {
		labels := append([]string{}, given(w.labels)...)
		out.TargetLabels = &labels
	}
	if changed("max-retries") {
		out.MaxRetries = &w.retries
	}
	if changed("timeout") {
		seconds := int64(w.timeout / time.Second)
		out.TimeoutSeconds = &seconds
	}
	if !changed("agent") && !changed("stack") {
		return nil
	}
	filters := client.WebhookFilters{}
	if former != nil {
		filters = *former
	}
	if changed("agent") {
		filters.AgentID = nil
		if w.agent != "" {
			g, err := findAgent(ctx, c, w.agent)
			if err != nil {
				return err
			}
			filters.AgentID = &g.ID
		}
	}
	if changed("stack") {
		filters.StackID = nil
		if w.stack != "" {
			s, err := findStack(ctx, c, w.stack)
			if err != nil {
				return err
			}
			filters.StackID = &s.ID
		}
	}
	out.Filters = &filters
	return nil
}

func (a *app) webhookCreate() *cobra.Command {
	var o output
	var f webhookFlags
	var disabled bool
	cmd := &cobra.Command{
		Use: "create NAME --url-file FILE --event TYPE", Short: "Subscribe an endpoint to events, and show the signing secret once",
		Long: `Subscribes an endpoint to events. The secret that signs them is made by the broker and shown once; with --signing-secret-file it is
yours. Endpoint and authorization can come from files or standard input, so that they stand neither in the shell's history nor in the
list of processes. (--url is the broker's URL, here as everywhere.)`,
		Example: "  brokkr webhook create ops --url-file url.txt --event 'deployment.*' --event stack.deleted\n" +
			"  pass hooks/ops | brokkr webhook create ops --endpoint https://ops.example.com/brokkr --auth-header-file - --event '*'",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("endpoint") && !cmd.Flags().Changed("url-file") {
				return usagef(cmd, "say where events go with --url-file or --endpoint (--url is the broker's)")
			}
			if !cmd.Flags().Changed("event") {
				return usagef(cmd, "say which events with --event; brokkr webhook event-types lists them")
			}
			if err := f.check(cmd); err != nil {
				return err
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			change, err := f.secrets(cmd, a.env.In)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := f.rest(cmd.Context(), cmd, c, &change, nil); err != nil {
				return err
			}
			change.Name = &args[0]
			if disabled {
				change.Enabled = new(bool)
			}
			w, err := c.CreateWebhook(cmd.Context(), change)
			if err != nil {
				return createWebhookError(err, args[0])
			}
			return a.showWebhook(cmd, &o, w, "created")
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "send nothing until brokkr webhook update NAME --enable")
	o.flag(cmd)
	return cmd
}

func createWebhookError(err error, name string) error {
	lost := client.IsTemporary(err)
	err = fmt.Errorf("create webhook %s: %w", name, err)
	if lost {
		return hint(err, "brokkr webhook list %s; if it was made all the same, brokkr webhook update %s --rotate-signing-secret shows a secret for it", name, name)
	}
	return err
}

// showWebhook says what was done, with the signing secret if the broker has made one.
func (a *app) showWebhook(cmd *cobra.Command, o *output, w client.Webhook, done string) error {
	if f, err := o.format(cmd); err == nil && f == render.Name && w.SigningSecret != "" {
		a.progress("signing secret (shown once): %s", w.SigningSecret)
	}
	return a.show(cmd, o, view{data: w, names: []string{"webhook/" + w.Name}, table: func(out io.Writer, _ bool) error {
		text := fmt.Sprintf("webhook/%s %s (id %s)\n", w.Name, done, w.ID)
		if w.SigningSecret != "" {
			text += fmt.Sprintf("signing secret (shown once): %s\n", w.SigningSecret)
		}
		_, err := io.WriteString(out, text)
		return err
	}})
}

// saysWhatIsNew reports whether a flag was given that changes something.
func saysWhatIsNew(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{
		"endpoint", "url-file", "auth-header", "auth-header-file", "signing-secret-file", "event", "agent", "stack", "target-label",
		"max-retries", "timeout", "name", "enable", "disable", "rotate-signing-secret",
	}, cmd.Flags().Changed)
}

func (a *app) webhookUpdate() *cobra.Command {
	var o output
	var f webhookFlags
	var name string
	var enable, disable, rotate bool
	cmd := &cobra.Command{
		Use: "update WEBHOOK", Short: "Change a webhook; what is not given stays", Args: exactly("WEBHOOK"), ValidArgsFunction: a.completeWebhooks,
		Example: "  brokkr webhook update ops --rotate-signing-secret\n  brokkr webhook update ops --event '*' --stack ''",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !saysWhatIsNew(cmd) {
				return usagef(cmd, "say what is new, for example --event, --url-file, --disable or --rotate-signing-secret")
			}
			if err := f.check(cmd); err != nil {
				return err
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			change, err := f.secrets(cmd, a.env.In)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("name") {
				change.Name = &name
			}
			if cmd.Flags().Changed("enable") || cmd.Flags().Changed("disable") {
				on := enable || cmd.Flags().Changed("disable") && !disable
				change.Enabled = &on
			}
			change.RotateSigningSecret = rotate
			c, err := a.connect()
			if err != nil {
				return err
			}
			former, err := findWebhook(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := f.rest(cmd.Context(), cmd, c, &change, former.Filters); err != nil {
				return err
			}
			w, err := c.UpdateWebhook(cmd.Context(), former.ID, change)
			if err != nil {
				lost := rotate && client.IsTemporary(err)
				err = fmt.Errorf("update webhook %s: %w", args[0], err)
				if lost {
					return hint(fmt.Errorf("%w; its old signing secret may have ended", err), "rotate again")
				}
				return err
			}
			return a.showWebhook(cmd, &o, w, "updated")
		},
	}
	f.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&name, "name", "", "what it is called from now on")
	fs.BoolVar(&enable, "enable", false, "send events")
	fs.BoolVar(&disable, "disable", false, "send nothing until it is enabled again")
	fs.BoolVar(&rotate, "rotate-signing-secret", false, "have a new signing secret made, and show it once; the old one ends at once")
	o.flag(cmd)
	return cmd
}
