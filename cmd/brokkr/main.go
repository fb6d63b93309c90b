// Command brokkr is the user's command line of Brokkr. It speaks to a broker's HTTP API and to nothing else.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/command"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, command.System(version), os.Args[1:])
	stop()
	os.Exit(code)
}
