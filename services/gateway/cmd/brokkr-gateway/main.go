// brokkr-gateway is the edge that agents talk to.
package main

import (
	"os"

	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/gateway/internal/wiring"
)

var version = "dev" // set by the linker

func main() {
	p := process.Program{Name: "brokkr-gateway", About: "is the edge that agents talk to.", Version: version, Run: wiring.Main}
	os.Exit(p.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
