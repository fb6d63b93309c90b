package source

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/pkg/client"
)

func isKustomization(base string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), base)
}

// findKustomization returns the kustomization file of a folder, or nothing.
func findKustomization(dir string) (string, error) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read the kustomization: %w", err)
		}
	}
	return "", nil
}

// kustomize builds the kustomization in dir, from local files only and without plugins.
func kustomize(dir string) (client.Bundle, error) {
	if err := (&localCheck{seen: map[string]bool{}}).dir(dir); err != nil {
		return client.Bundle{}, err
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return client.Bundle{}, fmt.Errorf("build the kustomization %s: %w", dir, err)
	}
	text, err := built.AsYaml()
	if err != nil {
		return client.Bundle{}, fmt.Errorf("write the kustomization %s: %w", dir, err)
	}
	return client.NewBundle(dir, client.Part{Name: "kustomize build " + dir, Text: string(text)})
}

// localCheck refuses kustomizations that would fetch something: what is published must be what lies here, and a
// manifest must not make the command line call out. Kustomize has no switch for it.
type localCheck struct{ seen map[string]bool }

func (l *localCheck) dir(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("read the kustomization: %w", err)
	}
	if l.seen[abs] {
		return nil // kustomize names cycles better than we would
	}
	l.seen[abs] = true
	file, err := findKustomization(dir)
	if err != nil {
		return err
	}
	if file == "" {
		return fmt.Errorf("%s has no kustomization.yaml", dir)
	}
	return l.file(file)
}

// file checks a kustomization or the configuration of a built-in transformer or generator.
func (l *localCheck) file(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("read the kustomization: %w", err)
	}
	if l.seen[abs] {
		return nil
	}
	l.seen[abs] = true
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the kustomization: %w", err)
	}
	return l.text(path, string(text))
}

func (l *localCheck) text(path, text string) error {
	for document := range strings.SplitSeq(text, "\n---") {
		var doc map[string]any
		if yaml.Unmarshal([]byte(document), &doc) != nil {
			continue // kustomize will say what is wrong with it
		}
		if err := l.document(path, doc); err != nil {
			return err
		}
	}
	return nil
}

func (l *localCheck) document(path string, doc map[string]any) error {
	for key, value := range doc {
		plugin := false
		switch strings.ToLower(key) { // kustomize does not mind the case either
		case "resources", "bases", "components":
		case "generators", "transformers", "validators":
			plugin = true
		default:
			continue
		}
		for _, entry := range stringsOf(value) {
			if err := l.entry(path, key, entry, plugin); err != nil {
				return err
			}
		}
	}
	return l.values(path, doc)
}

// entry checks one reference to a file or folder; a file of plugin configuration may refer to more.
func (l *localCheck) entry(path, key, entry string, plugin bool) error {
	if plugin && strings.Contains(entry, "\n") {
		return l.text(path, entry)
	}
	if looksRemote(entry) { // even if a folder of that name is here: kustomize would not look
		return remote(path, key, entry)
	}
	target := entry
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), entry)
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("%s: %s names %q, which is neither a file nor a folder here: %w", path, key, entry, err)
	}
	if info.IsDir() {
		return l.dir(target)
	}
	if plugin {
		return l.file(target)
	}
	return nil
}

// values refuses URLs wherever kustomize would read a file by name.
func (l *localCheck) values(path string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if slices.Contains(pathKeys(), strings.ToLower(key)) {
				for _, s := range stringsOf(value) {
					_, file, _ := strings.Cut(s, "=") // files: [key=path]
					if isURL(s) || isURL(file) {
						return remote(path, key, s)
					}
				}
			}
			if err := l.values(path, value); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range v {
			if err := l.values(path, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// pathKeys returns the fields under which kustomize reads files by name, in lower case.
func pathKeys() []string {
	return []string{"path", "paths", "files", "env", "envs", "crds", "configurations", "patchesstrategicmerge"}
}

// isURL reports whether kustomize would fetch s where it expects a file.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// looksRemote reports whether kustomize would fetch s or clone it where it expects a file or a folder.
func looksRemote(s string) bool {
	if isURL(s) {
		return true
	}
	if strings.Contains(s, "\n") {
		return false
	}
	s = strings.ToLower(strings.TrimSpace(s))
	user, _, at := strings.Cut(s, "@")
	return strings.Contains(s, "://") || strings.HasPrefix(s, "git::") || strings.HasPrefix(s, "github.com") ||
		(at && !strings.ContainsAny(user, "./\\"))
}

func remote(path, key, entry string) error {
	return fmt.Errorf("%s: %s names %q, which lies elsewhere; brokkr builds from local files only: fetch it first and name the local copy", path, key, entry)
}

// stringsOf returns the string or the strings of a list in v.
func stringsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	default:
		return nil
	}
}
