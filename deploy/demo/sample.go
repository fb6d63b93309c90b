package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What the sample's manifests have where the demo changes them.
const (
	sampleName     = "metadata:\n  name: hello\n"
	sampleImage    = "nginx-unprivileged:1.29-alpine"
	misspeltImage  = "nginx-unprivileged:1.29-alpnie"
	samplePod      = "  template:\n    metadata:\n"
	simulatedFault = samplePod + "      annotations: {kubecluster/phase: imagepull} # for simulated nodes, which pull nothing\n"
)

// manifests writes the sample into a folder of this name, in the demo's namespace and with texts replaced (old, new, ...), and returns
// the name.
func (d *demo) manifests(name string, replace ...string) (string, error) {
	dir := filepath.Join(d.dir, name)
	if err := os.CopyFS(dir, os.DirFS(exampleDir)); err != nil {
		return "", fmt.Errorf("copy %s: %w", exampleDir, err)
	}
	replace = append([]string{sampleName, sampleName + "  namespace: " + namespace + "\n"}, replace...)
	for i := 0; i < len(replace); i += 2 {
		if err := rewrite(dir, replace[i], replace[i+1]); err != nil {
			return "", err
		}
	}
	return name, nil
}

// rewrite replaces one text in the manifests of a folder; it has to be somewhere.
func rewrite(dir, old, text string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	changed := false
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("change the sample: %w", err)
		}
		if !strings.Contains(string(b), old) {
			continue
		}
		changed = true
		if err := os.WriteFile(f, []byte(strings.ReplaceAll(string(b), old, text)), 0o600); err != nil {
			return fmt.Errorf("change the sample: %w", err)
		}
	}
	if !changed {
		return fmt.Errorf("%q is nowhere in %s", old, dir)
	}
	return nil
}

// broken writes a revision whose image cannot be pulled.
func (d *demo) broken(name string) (string, error) {
	return d.manifests(name, firstPage, brokenPage, sampleImage, misspeltImage, samplePod, simulatedFault)
}

func (d *demo) expectPage(ctx context.Context, c *cluster, text string) error {
	return d.procs.until(ctx, changeLimit, fmt.Sprintf("the page %q in %s", text, c.name), func(ctx context.Context) (bool, error) {
		page, err := c.page(ctx)
		return strings.Contains(page, text), err
	})
}
