// Package command holds the commands of the brokkr command line. Data goes to standard output, progress and errors
// go to standard error; the exit status is 0 for success, 1 for failure, 2 for a command that was written wrongly and
// 130 after an interrupt. Of diff 1 means that there are differences, and 2 that it could not be found out.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	ExitOK          = 0
	ExitError       = 1
	ExitDiffers     = 1 // of diff
	ExitTrouble     = 2 // of diff, in place of ExitError
	ExitUsage       = 2
	ExitInterrupted = 130
)

// Env is the world as commands see it.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Terminal Terminal
	Build    Build
	// Poll is the pause between two looks while a command waits.
	Poll time.Duration
	// Sleep waits between the attempts of one request; nil means a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Terminal says which streams are a person's terminal.
type Terminal struct {
	In, Out, Err bool
	// ReadSecret reads a line without showing it; needed when In is set.
	ReadSecret func() (string, error)
}

// Build is the version of this program.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Run runs the command that args name and returns the exit status.
func Run(ctx context.Context, env Env, args []string) int {
	a := &app{env: env}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		a.progress("interrupted")
		return ExitInterrupted
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.error != nil {
			a.report(exit.error)
		}
		return exit.status
	}
	a.report(err)
	var usage *usageError
	if errors.As(err, &usage) {
		return ExitUsage
	}
	return ExitError
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "brokkr",
		Short: "Publish Kubernetes manifests to many clusters and see where they are",
		Long: `brokkr talks to a Brokkr broker: it publishes manifests as stacks, shows in which clusters they run and why, and
manages agents and generators. Log in once, then apply:

  brokkr login --url http://localhost:3000
  brokkr apply -f ./manifests --stack hello --label prod --wait
  brokkr status hello`,
		Version:       a.env.Build.Version, // as --version, which asks no broker
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetIn(a.env.In)
	root.SetOut(a.env.Out)
	root.SetErr(a.env.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd, "%v", err)
	})
	f := root.PersistentFlags()
	f.StringVar(&a.flags.URL, "url", "", "the broker's URL (env BROKKR_URL)")
	f.StringVar(&a.flags.PAK, "pak", "", "the key to use (env BROKKR_PAK, which does not show in process lists)")
	f.StringVar(&a.flags.Context, "context", "", "the login to use (env BROKKR_CONTEXT)")
	f.StringVar(&a.flags.CAFile, "ca-file", "", "certificates (PEM) of the authorities to trust with the broker's (env BROKKR_CA_FILE)")
	f.BoolVar(&a.flags.Insecure, "insecure-skip-verify", false, "trust any certificate: whoever is in between reads the key (env BROKKR_INSECURE_SKIP_VERIFY)")
	f.DurationVar(&a.requestTimeout, "request-timeout", 30*time.Second, "how long to wait for the answer to one request; 0 waits for ever")
	root.AddCommand(a.login(), a.contexts(), a.apply(), a.diff(), a.get(), a.describe(), a.status(), a.logs(), a.events(), a.placement(), a.explain(), a.plan(), a.policy(), a.rollout(), a.stack(), a.template(),
		a.agent(), a.generator(), a.registration(), a.credentials(), a.webhook(), a.audit(), a.admin(), a.delete(), a.version(), a.waitFor(), a.diagnose(), a.doctor(), a.supportBundle(),
		a.joinToken(), a.workOrder(), a.fleet(), a.cordon(), a.uncordon(), a.drain(), a.taint())
	group(root)
	root.InitDefaultCompletionCmd()
	for _, sub := range root.Commands() {
		if sub.Name() == "completion" {
			group(sub)
		}
	}
	strict(root)
	return root
}

// strict makes every complaint about arguments, cobra's own too, a usage error.
func strict(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var usage *usageError
			if err != nil && !errors.As(err, &usage) {
				return usagef(cmd, "%v", err)
			}
			return err
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// group makes cmd one that only holds others: alone it shows its help, with an unknown word it says so.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		msg := fmt.Sprintf("unknown command %q", args[0])
		for cmd.SuggestionsMinimumDistance = 1; cmd.SuggestionsMinimumDistance <= 2; cmd.SuggestionsMinimumDistance++ {
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				msg += fmt.Sprintf("; did you mean %q?", near[0])
				break
			}
		}
		return usagef(cmd, "%s", msg)
	}
	return cmd
}

// exactly takes one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef(cmd, "%s is missing", names[len(args)])
		case len(args) > len(names):
			return usagef(cmd, "unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// atMost takes up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef(cmd, "unexpected argument %q", args[n])
		}
		return nil
	}
}
