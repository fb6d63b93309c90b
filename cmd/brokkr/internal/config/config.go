// Package config keeps the command line's contexts (a broker's URL and a PAK under a name) in the user's
// configuration folder, and decides which URL and PAK a command uses.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// DefaultURL is where an all-in-one broker on this machine listens.
const DefaultURL = "http://localhost:3000"

// DefaultContext is the name of a context that nobody named.
const DefaultContext = "default"

// Secret is a PAK. It prints as ***.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Context is one broker and the credential for it.
type Context struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	PAK  Secret `json:"pak"`
	// CAFile holds the authorities of the broker's certificate; empty: those of the system.
	CAFile   string `json:"ca-file,omitempty"`
	Insecure bool   `json:"insecure-skip-verify,omitempty"` // any certificate is good
}

// File is the configuration file's content.
type File struct {
	CurrentContext string    `json:"current-context,omitempty"`
	Contexts       []Context `json:"contexts,omitempty"`
}

// Path returns where the file lies: $XDG_CONFIG_HOME/brokkr/config.yaml, by default below ~/.config.
func Path(getenv func(string) string) (string, error) {
	dir := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // a relative one is to be ignored, says the XDG specification
		home := getenv("HOME")
		if home == "" {
			var err error
			if home, err = os.UserHomeDir(); err != nil {
				return "", fmt.Errorf("find the configuration folder: set XDG_CONFIG_HOME or HOME: %w", err)
			}
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "brokkr", "config.yaml"), nil
}

// Load reads the file at path; one that does not exist is empty. Open says that others may read it.
func Load(path string) (f File, open bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, false, nil
	}
	if err != nil {
		return File{}, false, fmt.Errorf("read the configuration: %w", err)
	}
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		return File{}, false, fmt.Errorf("read the configuration %s: %w", path, withoutValues(err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return File{}, false, fmt.Errorf("read the configuration: %w", err)
	}
	return f, info.Mode().Perm()&0o077 != 0, nil
}

// withoutValues cuts what a YAML error quotes of the file, which may be a key.
func withoutValues(err error) error {
	msg, _, _ := strings.Cut(err.Error(), "`")
	return errors.New(strings.TrimSpace(msg))
}

// Save writes the file as a whole, readable by its owner only.
func (f File) Save(path string) error {
	text, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode the configuration: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the configuration folder: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".config-*.yaml") // mode 0600
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the configuration: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

// Get returns the context with this name.
func (f File) Get(name string) (Context, bool) {
	i := slices.IndexFunc(f.Contexts, func(c Context) bool { return c.Name == name })
	if i < 0 {
		return Context{}, false
	}
	return f.Contexts[i], true
}

// Names returns the names of all contexts, as they stand in the file.
func (f File) Names() []string {
	names := make([]string, 0, len(f.Contexts))
	for _, c := range f.Contexts {
		names = append(names, c.Name)
	}
	return names
}

// With returns f with c added or replaced.
func (f File) With(c Context) File {
	current := f.CurrentContext
	f = f.Without(c.Name)
	f.CurrentContext = current
	f.Contexts = append(f.Contexts, c)
	slices.SortFunc(f.Contexts, func(a, b Context) int { return strings.Compare(a.Name, b.Name) })
	return f
}

// Without returns f without the context with this name; if that was the current one there is none then.
func (f File) Without(name string) File {
	f.Contexts = slices.DeleteFunc(slices.Clone(f.Contexts), func(c Context) bool { return c.Name == name })
	if f.CurrentContext == name {
		f.CurrentContext = ""
	}
	return f
}
