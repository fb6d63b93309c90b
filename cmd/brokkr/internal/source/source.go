// Package source turns what `apply -f` names (a file, a folder, a kustomization, a chart, standard input) into a bundle.
package source

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/colliery-io/brokkr/pkg/bundle"
	"github.com/colliery-io/brokkr/pkg/client"
)

// Stdin is the name of standard input.
const Stdin = "-"

// Read reads and checks the bundle that path names. Errors name the file, the document in it and the line.
func Read(path string, stdin io.Reader) (client.Bundle, error) {
	if path == Stdin {
		return readStdin(stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return client.Bundle{}, fmt.Errorf("read the manifests: %w", err)
	}
	if !info.IsDir() {
		if isKustomization(filepath.Base(path)) {
			return kustomize(filepath.Dir(path))
		}
		return client.ReadBundle(path)
	}
	kustomization, err := findKustomization(path)
	if err != nil {
		return client.Bundle{}, err
	}
	if kustomization != "" {
		return kustomize(path)
	}
	return client.ReadBundle(path)
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
