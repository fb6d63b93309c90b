// brokkr-broker is the whole control plane in one process, with commands to set it up.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/command"
	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := lifecycle.Signals(context.Background())
	err := command.New(version, os.Environ(), os.Getenv).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "brokkr-broker:", err)
		os.Exit(1)
	}
}
