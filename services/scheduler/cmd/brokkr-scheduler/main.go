// brokkr-scheduler decides which clusters run which stacks.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/services/scheduler/internal/wiring"
)

var version = "dev" //nolint:gochecknoglobals // set by the linker

func main() {
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	if err := wiring.Main(ctx, version, os.Environ(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "brokkr-scheduler:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}
