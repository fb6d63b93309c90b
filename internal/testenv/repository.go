package testenv

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Repository returns the root of this checkout, as Go finds it from the folder that a test runs in.
func Repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/colliery-io/brokkr").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
