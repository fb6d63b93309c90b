// Command brokkr is the user's command line of Brokkr. It speaks to a broker's HTTP API and to nothing else.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/command"
)

var version = "dev" // set by the linker

func main() {
	// Libraries have something to say at times, such as Helm's of values that do not fit together; commands speak for themselves.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, command.System(version), os.Args[1:])
	stop()
	os.Exit(code)
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
