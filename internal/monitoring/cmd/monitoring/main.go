// Command monitoring writes deploy/grafana/*.json, the rules of deploy/prometheus and docs/metrics.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/colliery-io/brokkr/internal/monitoring"
)

func main() {
	files, err := monitoring.Files()
	if err == nil {
		err = write("deploy", files)
	}
	var metrics []monitoring.Defined
	if err == nil {
		metrics, err = monitoring.Code(".")
	}
	if err == nil {
		err = write("docs", map[string][]byte{"metrics.md": monitoring.Reference(metrics)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

func write(dir string, files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // everybody may read it
			return err
		}
	}
	return nil
}
