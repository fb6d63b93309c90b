// Package command is the agent's command line.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/services/agent/internal/wiring"
)

const name = "brokkr-agent"

const help = `brokkr-agent keeps the cluster that it lives in equal to what the broker assigns to it.

Usage:
  brokkr-agent start [--kubeconfig PATH] [--join-token TOKEN] [--name NAME] [--cluster-name CLUSTER]
                         run until SIGINT or SIGTERM
  brokkr-agent check [--kubeconfig PATH] [--wait DURATION]
                         tell whether an agent with this configuration has what it needs and is at work; joins and changes nothing
  brokkr-agent version   print the version

The cluster is that of --kubeconfig, else of KUBECONFIG, else the one whose pod this is, else that of ~/.kube/config.
Settings are read from the environment, BROKKR__SECTION__KEY, and from the file that BROKKR_CONFIG_FILE names. Required:
  BROKKR__AGENT__BROKER_URL   where the broker is, such as http://localhost:3000
  BROKKR__AGENT__PAK          the key that ` + "`brokkr agent create`" + ` printed; or, to join by itself:
  BROKKR__AGENT__JOIN_TOKEN   what ` + "`brokkr join-token create`" + ` printed; better here than as --join-token, which process lists show.
                              With --name and --cluster-name (BROKKR__AGENT__NAME, BROKKR__AGENT__CLUSTER_NAME) the agent joins
                              at its first start and keeps its key in a Secret of its namespace, which later starts use.
docs/configuration.md lists all.
`

// The exit statuses.
const (
	exitFine  = 0
	exitError = 1
	exitUsage = 2
)

// Main runs the command that args name, those behind the program's own name, and returns the exit status.
func Main(version string, args, environ []string, out, errs io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errs, help)
		return exitUsage
	}
	switch args[0] {
	case "start":
		return start(version, args[1:], environ, out, errs)
	case "check":
		return check(version, args[1:], environ, out, errs)
	case "version", "--version":
		fmt.Fprintln(out, name, version)
		return exitFine
	case "help", "--help", "-h":
		fmt.Fprint(out, help)
		return exitFine
	default:
		return usage(errs, "%q is not a command", args[0])
	}
}

func usage(errs io.Writer, format string, args ...any) int {
	fmt.Fprintf(errs, "%s: %s; see %s --help\n", name, fmt.Sprintf(format, args...), name)
	return exitUsage
}

func start(version string, args, environ []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	given := map[string]*string{}
	for name, key := range map[string]string{"kubeconfig": "agent.kubeconfig", "join-token": "agent.join_token", "name": "agent.name", "cluster-name": "agent.cluster_name"} {
		given[key] = flags.String(name, "", "")
	}
	if status, ok := parse(flags, args, out, errs); !ok {
		return status
	}
	set := map[string]any{}
	for key, value := range given {
		if *value != "" {
			set[key] = *value
		}
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	if err := wiring.Main(ctx, version, environ, set, errs); err != nil {
		fmt.Fprintf(errs, "%s: %v\n", name, err)
		return exitError
	}
	return exitFine
}

// parse reads the flags of a command that takes nothing else; if the command is not to be run, it returns the exit status and false.
func parse(flags *flag.FlagSet, args []string, out, errs io.Writer) (int, bool) {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, help)
		return exitFine, false
	case err != nil:
		return usage(errs, "%v", err), false
	case flags.NArg() > 0:
		return usage(errs, "%s takes no argument %q", flags.Name(), flags.Arg(0)), false
	}
	return exitFine, true
}

// check is given a minute, if nothing else is said: an agent that was just installed has to join first.
func check(version string, args, environ []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "")
	wait := flags.Duration("wait", time.Minute, "")
	if status, ok := parse(flags, args, out, errs); !ok {
		return status
	}
	set := map[string]any{}
	if *kubeconfig != "" {
		set["agent.kubeconfig"] = *kubeconfig
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	if err := wiring.Check(ctx, version, environ, set, out); err != nil {
		fmt.Fprintf(errs, "%s: %v\n", name, err)
		return exitError
	}
	return exitFine
}
