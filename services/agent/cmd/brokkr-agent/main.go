// brokkr-agent keeps the cluster that it lives in equal to what the broker assigns to it.
package main

import (
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/colliery-io/brokkr/services/agent/internal/command"
)

var version = "dev" //nolint:gochecknoglobals // set by the linker

func main() {
	klog.SetLogger(logr.Discard()) // what client-go has to say comes as errors too, which are logged in our form
	os.Exit(command.Main(version, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
