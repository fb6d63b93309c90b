package arch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Package is one node of the import graph. Imports are those of its shipped files, tests left out.
type Package struct {
	Path     string
	Standard bool
	Imports  []string
}

// Graph is the import graph of a module with everything it links, by import path.
type Graph struct {
	Module   string
	Packages map[string]Package
}

// Load asks the go command for the graph of the module in dir.
func Load(ctx context.Context, dir string) (Graph, error) {
	module, err := run(ctx, dir, "list", "-m")
	if err != nil {
		return Graph{}, err
	}
	out, err := run(ctx, dir, "list", "-deps", "-json=ImportPath,Standard,Imports", "./...")
	if err != nil {
		return Graph{}, err
	}
	g := Graph{Module: strings.TrimSpace(string(module)), Packages: map[string]Package{}}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct {
			ImportPath string
			Standard   bool
			Imports    []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return Graph{}, fmt.Errorf("read the answer of go list: %w", err)
		}
		g.Packages[p.ImportPath] = Package{Path: p.ImportPath, Standard: p.Standard, Imports: p.Imports}
	}
}

func run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// The rules are about the module that ships, whatever workspace lies around it.
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// own returns the module's own packages, sorted.
func (g Graph) own() []Package {
	var out []Package
	for _, p := range g.Packages {
		if p.Path == g.Module || strings.HasPrefix(p.Path, g.Module+"/") {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// name is how rules spell a path: the module's own packages begin with "./".
func (g Graph) name(path string) string {
	if rest, ok := strings.CutPrefix(path, g.Module+"/"); ok {
		return "./" + rest
	}
	return path
}

// chains returns for each package that from links the shortest way of imports to it, from itself on.
func (g Graph) chains(from string) map[string][]string {
	out := map[string][]string{from: {from}}
	queue := []string{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range g.Packages[at].Imports {
			if _, seen := out[next]; !seen {
				out[next] = append(slices.Clone(out[at]), next)
				queue = append(queue, next)
			}
		}
	}
	return out
}
