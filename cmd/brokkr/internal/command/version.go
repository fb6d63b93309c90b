package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) version() *cobra.Command {
	var o output
	var clientOnly bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program and of the broker",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			result := struct {
				Client Build           `json:"client"`
				Server *client.Version `json:"server,omitempty"`
				URL    string          `json:"url,omitempty"`
			}{Client: a.env.Build}
			var unanswered error
			if !clientOnly {
				var server client.Version
				if server, result.URL, unanswered = a.serverVersion(cmd); unanswered == nil {
					result.Server = &server
				}
			}
			err := a.show(cmd, &o, view{data: result, names: []string{"version/" + a.env.Build.Version}, table: func(w io.Writer, _ bool) error {
				if _, err := fmt.Fprintf(w, "client: %s\n", describeVersion(a.env.Build.Version, a.env.Build.Commit, a.env.Build.Go)); err != nil || result.Server == nil {
					return err
				}
				_, err := fmt.Fprintf(w, "server: %s at %s\n", describeVersion(result.Server.Version, result.Server.Commit, result.Server.Go), result.URL)
				return err
			}})
			if err != nil {
				return err
			}
			return unanswered
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "ask no broker")
	o.flag(cmd)
	return cmd
}

// serverVersion asks the broker; that needs no key.
func (a *app) serverVersion(cmd *cobra.Command) (client.Version, string, error) {
	if err := a.resolve(); err != nil {
		return client.Version{}, "", err
	}
	c, err := a.client()
	if err != nil {
		return client.Version{}, "", err
	}
	v, err := c.Version(cmd.Context())
	return v, c.URL(), err
}

func describeVersion(version, commit, goVersion string) string {
	s := orUnknown(version)
	if commit != "" {
		s += ", commit " + commit
	}
	if goVersion != "" {
		s += ", " + goVersion
	}
	return s
}
