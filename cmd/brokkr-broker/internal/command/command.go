// Package command holds the commands of brokkr-broker: the server, and what an operator does directly on the store.
package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/settings"
)

// app is what the commands share.
type app struct {
	version string
	environ []string
	getenv  func(string) string
	flags   map[string]any // configuration keys that flags set
}

// New returns the root command. It prints neither errors nor usage after a failure: its caller has the last line.
func New(version string, environ []string, getenv func(string) string) *cobra.Command {
	a := &app{version: version, environ: environ, getenv: getenv, flags: map[string]any{}}
	root := &cobra.Command{
		Use:   "brokkr-broker",
		Short: "The Brokkr control plane in one process",
		Long: `Runs api, gateway and scheduler in one process, and sets them up.

Without DATABASE_URL a private PostgreSQL is started from the installed programs, with its data in the state folder.
Every setting of docs/configuration.md is read from flags, then BROKKR__SECTION__KEY, then the file that
BROKKR_CONFIG_FILE names.`,
		Version:       version, // as --version, which all programs have
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	a.setting(root, "state-dir", "broker.state_dir", "folder of the private PostgreSQL, where DATABASE_URL is not set")
	root.AddCommand(a.serve(), a.migrate(), a.create(), a.rotate(), a.generatePAK(), a.generateKey(), a.keys(), a.versionCommand())
	return root
}

// setting adds a flag that sets a configuration key for the command and those below it.
func (a *app) setting(cmd *cobra.Command, flag, key, usage string) {
	cmd.PersistentFlags().Func(flag, usage, func(v string) error {
		a.flags[key] = v
		return nil
	})
}

func (a *app) settings() (*settings.Settings, error) {
	return settings.Load(a.environ, a.getenv, a.flags)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "brokkr-broker", a.version)
		return err
	}}
}
