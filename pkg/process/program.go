package process

import (
	"context"
	"fmt"
	"io"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
)

// Program is a server that takes its whole configuration from the environment and the file that is named there.
type Program struct {
	Name    string
	About   string // what it does, in one sentence
	Version string
	Run     func(ctx context.Context, version string, environ []string, logs io.Writer) error
}

// The exit statuses of a Program.
const (
	exitFine  = 0
	exitError = 1
	exitUsage = 2
)

// Main runs the program until SIGINT or SIGTERM and returns its exit status. args are those behind its name.
func (p Program) Main(args, environ []string, out, errs io.Writer) int {
	if len(args) > 0 {
		return p.answer(args[0], out, errs)
	}
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	if err := p.Run(ctx, p.Version, environ, errs); err != nil {
		fmt.Fprintf(errs, "%s: %v\n", p.Name, err)
		return exitError
	}
	return exitFine
}

func (p Program) answer(arg string, out, errs io.Writer) int {
	switch arg {
	case "version", "--version":
		fmt.Fprintln(out, p.Name, p.Version)
		return exitFine
	case "help", "--help", "-h":
		fmt.Fprintf(out, "%s %s\n\nIt takes no arguments. Its settings are read from the environment, BROKKR__SECTION__KEY, and from the file that\n"+
			"BROKKR_CONFIG_FILE names; DATABASE_URL is required. docs/configuration.md lists all.\n", p.Name, p.About)
		return exitFine
	default:
		fmt.Fprintf(errs, "%s: %q is not understood: there are no arguments but version and --help; settings are BROKKR__SECTION__KEY in the environment\n", p.Name, arg)
		return exitUsage
	}
}
