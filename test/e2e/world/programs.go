// Package world sets up what a journey needs: the product's processes as separate programs, real servers around them,
// two clusters, and clients that look at all of it from outside.
package world

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/colliery-io/brokkr/internal/testenv"
)

// Programs are the paths of the programs under test.
type Programs struct {
	API, Gateway, Scheduler, Agent, CLI, Broker string
}

// BuildPrograms compiles the product into dir, all programs in one go.
func BuildPrograms(ctx context.Context, dir string) (Programs, error) {
	root, err := testenv.Repository(ctx)
	if err != nil {
		return Programs{}, err
	}
	args := []string{"build", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, pkg := range []string{"services/api/cmd/brokkr-api", "services/gateway/cmd/brokkr-gateway",
		"services/scheduler/cmd/brokkr-scheduler", "services/agent/cmd/brokkr-agent", "cmd/brokkr", "cmd/brokkr-broker"} {
		args = append(args, "./"+pkg)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	return Programs{API: in("brokkr-api"), Gateway: in("brokkr-gateway"), Scheduler: in("brokkr-scheduler"),
		Agent: in("brokkr-agent"), CLI: in("brokkr"), Broker: in("brokkr-broker")}, nil
}
