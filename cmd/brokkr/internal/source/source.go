// Package source turns what `apply -f` names (a file, a folder, a kustomization, standard input) into a bundle. The
// rule for a folder is the published one, byte for byte, so that every client of Brokkr computes the same checksum
// of the same folder.
package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/colliery-io/brokkr/pkg/bundle"
)

// Stdin is the name of standard input.
const Stdin = "-"

const separator = "\n---\n"

// Bundle is what would be published.
type Bundle struct {
	Content []byte
	Objects []bundle.Object
	From    string // for messages
}

// Checksum returns the lower-case hex SHA-256 of the content.
func (b Bundle) Checksum() string {
	sum := sha256.Sum256(b.Content)
	return hex.EncodeToString(sum[:])
}

// part is one piece of a bundle with the name that the user knows it by.
type part struct {
	name string
	text string
}

func (p part) trimmed() string { return strings.TrimRightFunc(p.text, unicode.IsSpace) }

// Read reads and checks the bundle that path names. Errors name the file, the document in it and the line.
func Read(path string, stdin io.Reader) (Bundle, error) {
	parts, err := read(path, stdin)
	if err != nil {
		return Bundle{}, err
	}
	return assemble(path, parts)
}

func read(path string, stdin io.Reader) ([]part, error) {
	if path == Stdin {
		limit := bundle.DefaultLimits().Bytes
		text, err := io.ReadAll(io.LimitReader(stdin, limit+1))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		if int64(len(text)) > limit {
			return nil, fmt.Errorf("standard input has more than %d bytes, which is the most that a bundle may have", limit)
		}
		return []part{{name: "standard input", text: string(text)}}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the manifests: %w", err)
	}
	if !info.IsDir() {
		if isKustomization(filepath.Base(path)) {
			return kustomize(filepath.Dir(path))
		}
		return readFiles([]string{path})
	}
	kustomization, err := findKustomization(path)
	if err != nil {
		return nil, err
	}
	if kustomization != "" {
		return kustomize(path)
	}
	files, err := manifests(path)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no *.yaml or *.yml file (folders below it are not read)", path)
	}
	return readFiles(files)
}

// manifests returns the top-level *.yaml and *.yml files of a folder, sorted by name.
func manifests(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the manifests: %w", err)
	}
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		ext := filepath.Ext(e.Name())
		if (ext != ".yaml" && ext != ".yml") || ext == e.Name() { // ".yaml" is a name without an extension
			continue
		}
		info, err := os.Stat(path) // a link counts as what it points to
		if err != nil {
			return nil, fmt.Errorf("read the manifests: %w", err)
		}
		if info.Mode().IsRegular() {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	return files, nil
}

func readFiles(files []string) ([]part, error) {
	limit, total := bundle.DefaultLimits().Bytes, int64(0)
	parts := make([]part, 0, len(files))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read the manifests: %w", err)
		}
		if total += int64(len(text)); total > limit {
			return nil, fmt.Errorf("%s: the bundle has more than %d bytes, which is the most that it may have", f, limit)
		}
		parts = append(parts, part{name: f, text: string(text)})
	}
	return parts, nil
}

// join is the published rule: each part without white space at its end, joined by a document separator, and one
// newline at the end.
func join(parts []part) []byte {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.trimmed()
	}
	return []byte(strings.Join(texts, separator) + "\n")
}

// assemble checks each part alone, so that places in errors are those of its file, then what only shows in the whole.
func assemble(from string, parts []part) (Bundle, error) {
	limits := bundle.DefaultLimits()
	type place struct {
		name           string
		document, line int
	}
	seen := map[bundle.Key]place{}
	for _, p := range parts {
		objects, err := bundle.Parse([]byte(p.trimmed()), limits)
		if err != nil {
			return Bundle{}, fmt.Errorf("%s: %w", p.name, err)
		}
		for _, o := range objects {
			if first, dup := seen[o.Key()]; dup {
				return Bundle{}, fmt.Errorf("%s: document %d, line %d: %s appears twice: first in %s, document %d, line %d",
					p.name, o.Document, o.Line, o.Key(), first.name, first.document, first.line)
			}
			seen[o.Key()] = place{p.name, o.Document, o.Line}
		}
	}
	content := join(parts)
	objects, err := bundle.Parse(content, limits)
	if err != nil {
		return Bundle{}, fmt.Errorf("%s: %w", from, err)
	}
	if len(objects) != len(seen) {
		// A file that opens a document it does not close would swallow the next file's first one.
		return Bundle{}, fmt.Errorf("%s: the files hold %d objects, but joined they hold %d; end each file's last document", from, len(seen), len(objects))
	}
	if len(objects) == 0 {
		return Bundle{}, errors.New(from + ": there is no Kubernetes object in it; to take a stack away use brokkr delete stack")
	}
	return Bundle{Content: content, Objects: objects, From: from}, nil
}
