// brokkr-api serves the public REST API to people and producers.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/services/api/internal/wiring"
)

var version = "dev" //nolint:gochecknoglobals // set by the linker

func main() {
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	if err := wiring.Main(ctx, version, os.Environ(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "brokkr-api:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}
