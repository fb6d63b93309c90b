// Package source turns what `apply -f` names (a file, a folder, a kustomization, a chart, standard input) into a bundle.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/helmchart"
	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/client"
)

// Stdin is the name of standard input.
const Stdin = "-"

// Options are what a bundle depends on besides the files.
type Options struct {
	Stdin io.Reader
	Chart helmchart.Options
	// ForCharts names an option that was given and that only a chart can heed; empty if there is none.
	ForCharts string
}

// Manifests are a bundle, and what whoever asked for it must know.
type Manifests struct {
	client.Bundle
	Notices []string
}

// ErrNoRelease means that a chart is to be rendered and its release has no name.
var ErrNoRelease = errors.New("the chart's release needs a name")

// Read reads and checks the bundle that path names. Errors name the file, the document in it and the line.
func Read(path string, o Options) (Manifests, error) {
	kind, dir, err := classify(path)
	if err != nil {
		return Manifests{}, err
	}
	if kind != aChart && o.ForCharts != "" {
		if kind == standardInput {
			path = "standard input"
		}
		return Manifests{}, fmt.Errorf("%s is no Helm chart, and %s is for charts alone", path, o.ForCharts)
	}
	var b client.Bundle
	switch kind {
	case aChart:
		if o.Chart.Release == "" {
			return Manifests{}, fmt.Errorf("%s: %w", dir, ErrNoRelease)
		}
		r, err := helmchart.Render(dir, o.Chart)
		return Manifests{r.Bundle, r.Notices}, err
	case aKustomization:
		b, err = kustomize(dir)
	case standardInput:
		b, err = readStdin(o.Stdin)
	default:
		b, err = client.ReadBundle(path)
	}
	return Manifests{Bundle: b}, err
}

type kind int

const (
	plain kind = iota
	standardInput
	aKustomization
	aChart
)

// classify says what path is, and in which folder a kustomization or chart lies.
func classify(path string) (kind, string, error) {
	if path == Stdin {
		return standardInput, "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return plain, "", fmt.Errorf("read the manifests: %w", err)
	}
	if !info.IsDir() {
		dir, base := filepath.Split(path)
		switch {
		case isKustomization(base):
			return aKustomization, filepath.Clean(dir), nil
		case base == helmchart.File:
			return aChart, filepath.Clean(dir), nil
		case filepath.Ext(base) == ".tgz":
			return plain, "", fmt.Errorf("%s is a packed chart; unpack it (tar xzf) and name its folder", path)
		}
		return plain, "", nil
	}
	kustomization, err := findKustomization(path)
	if err != nil {
		return plain, "", err
	}
	chart := filepath.Join(path, helmchart.File)
	_, err = os.Stat(chart)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return plain, "", fmt.Errorf("read the chart: %w", err)
	case err == nil && kustomization != "":
		return plain, "", fmt.Errorf("%s holds both a kustomization and a chart; name the one that is meant: %s or %s", path, kustomization, chart)
	case err == nil:
		return aChart, path, nil
	case kustomization != "":
		return aKustomization, path, nil
	}
	return plain, "", nil
}

func readStdin(stdin io.Reader) (client.Bundle, error) {
	limit := bundle.DefaultLimits().Bytes
	text, err := io.ReadAll(io.LimitReader(stdin, limit+1))
	if err != nil {
		return client.Bundle{}, fmt.Errorf("read standard input: %w", err)
	}
	if int64(len(text)) > limit {
		return client.Bundle{}, fmt.Errorf("standard input has more than %d bytes, which is the most that a bundle may have", limit)
	}
	return client.NewBundle(Stdin, client.Part{Name: "standard input", Text: string(text)})
}
