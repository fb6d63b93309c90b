// Package config loads a service's configuration struct: flag > environment > file > default.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Prefix of the environment variables: BROKKR__SECTION__KEY sets section.key.
const Prefix = "BROKKR__"

// FileVariable names the environment variable that holds the path of a YAML or TOML file.
const FileVariable = "BROKKR_CONFIG_FILE"

const redacted = "***"

// Secret is a text that never shows itself.
type Secret string

// String redacts.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString redacts.
func (s Secret) GoString() string { return s.String() }

// MarshalText redacts.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Validator is a configuration that checks itself; it reports all problems at once (errors.Join).
type Validator interface{ Validate() error }

// Source says where values come from, besides the struct's present values (the defaults).
type Source struct {
	Environ []string          // os.Environ()
	Aliases map[string]string // plain environment names and the key that they set, e.g. DATABASE_URL: database.url
	Flags   map[string]any    // keys that flags set
}

// Load fills the struct that dst points to (tags `koanf:"name"`) and validates it. Keys that dst does not
// have are ignored: one file and one environment may serve several services.
func Load(dst Validator, src Source) error {
	k := koanf.New(".")
	env := map[string]string{}
	for _, kv := range src.Environ {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	if path := env[FileVariable]; path != "" {
		parser := koanf.Parser(yaml.Parser())
		if strings.EqualFold(filepath.Ext(path), ".toml") {
			parser = toml.Parser()
		}
		if err := k.Load(file.Provider(path), parser); err != nil {
			return fmt.Errorf("read the configuration file %s (from %s): %w", path, FileVariable, err)
		}
	}
	values := map[string]any{}
	for name, key := range src.Aliases {
		if v := env[name]; v != "" {
			values[key] = v
		}
	}
	for name, v := range env {
		if rest, ok := strings.CutPrefix(name, Prefix); ok {
			values[strings.ToLower(strings.ReplaceAll(rest, "__", "."))] = v
		}
	}
	for key, v := range src.Flags {
		values[key] = v
	}
	if err := k.Load(confmap.Provider(values, "."), nil); err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	decoding := &mapstructure.DecoderConfig{
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.StringToTimeDurationHookFunc(),
			mapstructure.StringToSliceHookFunc(","), // the environment has no lists
			mapstructure.TextUnmarshallerHookFunc(),
		),
		WeaklyTypedInput: true,
	}
	if err := k.UnmarshalWithConf("", dst, koanf.UnmarshalConf{Tag: "koanf", DecoderConfig: decoding}); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := dst.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// Effective returns the configuration as one line of JSON for the log, secrets redacted.
func Effective(c any) string {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Sprintf("(not shown: %v)", err)
	}
	return string(b)
}

// Problems collects what Validate finds.
type Problems []error

// Add notes a problem with key if bad.
func (p *Problems) Add(bad bool, key, format string, args ...any) {
	if bad {
		*p = append(*p, fmt.Errorf("%s %s", key, fmt.Sprintf(format, args...)))
	}
}

// Err joins the problems; nil if there are none.
func (p Problems) Err() error { return errors.Join(p...) }

// StateDir returns the folder for a user's state of the product: $XDG_STATE_HOME/brokkr or ~/.local/state/brokkr.
func StateDir() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "brokkr"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's home for the state folder: %w", err)
	}
	return filepath.Join(home, ".local", "state", "brokkr"), nil
}
