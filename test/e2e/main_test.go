// Package e2e holds journeys across the product's separate processes, real servers and two real clusters. Run them from
// the root: make e2e.
package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// programs are built once for all journeys.
var programs world.Programs

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(testenv.EnvKubeconfigs) == "" {
		return m.Run() // the journeys say what is missing
	}
	dir, err := os.MkdirTemp("", "brokkr-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		programs, err = world.BuildPrograms(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
