// brokkr-scheduler decides which clusters run which stacks.
package main

import (
	"os"

	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/scheduler/internal/wiring"
)

var version = "dev" // set by the linker

func main() {
	p := process.Program{Name: "brokkr-scheduler", About: "decides which clusters run which stacks.", Version: version, Run: wiring.Main}
	os.Exit(p.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
