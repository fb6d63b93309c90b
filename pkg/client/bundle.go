package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/colliery-io/brokkr/pkg/bundle"
)

const separator = "\n---\n"

// Bundle is content that may be published: checked, in the bytes that every client of Brokkr would make of the same files.
type Bundle struct {
	Content []byte
	Objects []bundle.Object
	From    string // where it comes from, for messages
}

// Checksum returns the lower-case hex SHA-256 of the content; a broker computes the same of what it stores.
func (b Bundle) Checksum() string {
	sum := sha256.Sum256(b.Content)
	return hex.EncodeToString(sum[:])
}

// Part is one piece of a bundle, such as a file, with the name by which messages call it.
type Part struct {
	Name string
	Text string
}

func (p Part) trimmed() string { return strings.TrimRightFunc(p.Text, unicode.IsSpace) }

// ReadBundle reads the bundle that path names: a file, or a folder of which it takes the *.yaml and *.yml files by the
// bytes of their names, but nothing in folders below. Errors name the file, the document in it and the line, and repeat no
// value of the manifests.
func ReadBundle(path string) (Bundle, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Bundle{}, fmt.Errorf("read the manifests: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = manifests(path); err != nil {
			return Bundle{}, err
		}
		if len(files) == 0 {
			return Bundle{}, fmt.Errorf("%s holds no *.yaml or *.yml file (folders below it are not read)", path)
		}
	}
	parts, err := readFiles(files)
	if err != nil {
		return Bundle{}, err
	}
	return NewBundle(path, parts...)
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

func readFiles(files []string) ([]Part, error) {
	limit, total := bundle.DefaultLimits().Bytes, int64(0)
	parts := make([]Part, 0, len(files))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read the manifests: %w", err)
		}
		if total += int64(len(text)); total > limit {
			return nil, fmt.Errorf("%s: the bundle has more than %d bytes, which is the most that it may have", f, limit)
		}
		parts = append(parts, Part{Name: f, Text: string(text)})
	}
	return parts, nil
}

// join is the published rule: each part without white space at its end, joined by a document separator, and one
// newline at the end.
func join(parts []Part) []byte {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.trimmed()
	}
	return []byte(strings.Join(texts, separator) + "\n")
}

// NewBundle makes a bundle of parts, in their order, by the rule that all clients of Brokkr share. It checks each part
// alone, so that places in errors are those of the part, then what only shows in the whole; a bundle without an object is
// an error. From is what messages about the whole call it.
func NewBundle(from string, parts ...Part) (Bundle, error) {
	limits := bundle.DefaultLimits()
	type place struct {
		name           string
		document, line int
	}
	seen := map[bundle.Key]place{}
	for _, p := range parts {
		objects, err := bundle.Parse([]byte(p.trimmed()), limits)
		if err != nil {
			return Bundle{}, fmt.Errorf("%s: %w", p.Name, err)
		}
		for _, o := range objects {
			if first, dup := seen[o.Key()]; dup {
				return Bundle{}, fmt.Errorf("%s: document %d, line %d: %s appears twice: first in %s, document %d, line %d",
					p.Name, o.Document, o.Line, o.Key(), first.name, first.document, first.line)
			}
			seen[o.Key()] = place{p.Name, o.Document, o.Line}
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
		return Bundle{}, fmt.Errorf("%s: %w", from, ErrNoObjects)
	}
	return Bundle{Content: content, Objects: objects, From: from}, nil
}

// ErrNoObjects means that manifests hold no object. An empty bundle is never published by accident; to take a stack away,
// delete it.
var ErrNoObjects = errors.New("there is no Kubernetes object in it; to take a stack away, delete the stack")
