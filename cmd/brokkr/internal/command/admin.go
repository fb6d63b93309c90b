package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) admin() *cobra.Command {
	cmd := &cobra.Command{Use: "admin", Short: "Tend to the broker itself"}
	cmd.AddCommand(a.adminReload())
	return group(cmd)
}

func (a *app) adminReload() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let the broker read its configuration file again",
		Long: `Lets the process that answers (the broker, or one replica of the api) read its configuration file again. What may change
while it runs is in force from then on; what needs a restart is named. A file that is not valid changes nothing. Other processes
(gateways, schedulers, other replicas) reload when they get the signal SIGHUP.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.ReloadConfig(cmd.Context())
			if err != nil {
				return fmt.Errorf("reload the broker's configuration: %w", err)
			}
			if err := a.show(cmd, &o, reloadView(r)); err != nil {
				return err
			}
			if !r.Success {
				return hint(errors.New("the broker did not reload its configuration: "+messageOf(r)), "mend the file on the broker's machine, then try again")
			}
			if len(r.NeedsRestart) > 0 {
				a.progress("needs a restart of the broker: %s", strings.Join(r.NeedsRestart, ", "))
			}
			return nil
		},
	}
	o.flag(cmd)
	return cmd
}

func messageOf(r client.ConfigReload) string {
	if r.Message == nil {
		return "it does not say why"
	}
	return *r.Message
}

func reloadView(r client.ConfigReload) view {
	v := view{data: r}
	for _, c := range r.Changes {
		v.names = append(v.names, "setting/"+c.Key)
	}
	v.table = func(w io.Writer, _ bool) error {
		text := ""
		for _, c := range r.Changes {
			text += fmt.Sprintf("%s: %s -> %s\n", c.Key, c.Old, c.New)
		}
		if r.Success && text == "" {
			text = "nothing that may change while it runs has changed\n"
		}
		_, err := io.WriteString(w, text)
		return err
	}
	return v
}
