// brokkr-api serves the public REST API to people and producers.
package main

import (
	"os"

	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/api/internal/wiring"
)

var version = "dev" // set by the linker

func main() {
	p := process.Program{Name: "brokkr-api", About: "serves the public REST API to people and producers.", Version: version, Run: wiring.Main}
	os.Exit(p.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
