// brokkr-gateway is the edge that agents talk to.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/services/gateway/internal/wiring"
)

var version = "dev" //nolint:gochecknoglobals // set by the linker

func main() {
	ctx, stop := lifecycle.Signals(context.Background())
	defer stop()
	if err := wiring.Main(ctx, version, os.Environ(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "brokkr-gateway:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}
