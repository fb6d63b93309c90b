// Package config loads a service's configuration struct: flag > environment > file > default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

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

// Lines is a list of texts that may have commas in them: in the environment they stand on a line each.
type Lines []string

// Validator is a configuration that checks itself; it reports all problems at once (errors.Join).
type Validator interface{ Validate() error }

// Source says where values come from, besides the struct's present values (the defaults).
type Source struct {
	Environ []string          // os.Environ()
	Aliases map[string]string // plain environment names and the key that they set, e.g. DATABASE_URL: database.url
	Flags   map[string]any    // keys that flags set
	// Foreign are sections and keys of other programs: one file and one environment may serve several.
	Foreign []string
}

// Load fills the struct that dst points to (tags `koanf:"name"`) and validates it. All problems are reported at once, one
// a line, each with its key and the file or variable that it stands in: values of another type, keys that neither dst
// nor another program has, and what Validate finds.
func Load(dst Validator, src Source) error {
	k, from, err := read(src)
	if err != nil {
		return err
	}
	var problems Problems
	known := settings(reflect.ValueOf(dst), "")
	for _, s := range known {
		value := k.Get(s.key)
		if _, deeper := value.(map[string]any); value == nil || deeper { // nothing, or keys below: unknown ones
			continue
		}
		if err := decode(value, s.value); err != nil {
			problems = append(problems, fmt.Errorf("%s (%s) %w", s.key, from[s.key], err))
		}
	}
	keys := k.Keys()
	sort.Strings(keys)
	for _, key := range keys {
		if !slices.ContainsFunc(known, func(s setting) bool { return s.key == key }) && !foreign(key, src.Foreign) && !empty(k.Get(key)) {
			problems = append(problems, fmt.Errorf("%s (%s) %w", key, from[key], unknown(key, known)))
		}
	}
	if err := dst.Validate(); err != nil {
		problems = append(problems, err)
	}
	if err := problems.Err(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// read merges what src names. from tells for each key which file, variable or flag has it.
func read(src Source) (k *koanf.Koanf, from map[string]string, err error) {
	k, from = koanf.New("."), map[string]string{}
	env := map[string]string{}
	for _, kv := range src.Environ {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	if path := env[FileVariable]; path != "" {
		if err := readFile(k, path); err != nil {
			return nil, nil, err
		}
		for _, key := range k.Keys() {
			from[key] = path
		}
	}
	values := map[string]any{}
	set := func(key string, value any, origin string) { values[key], from[key] = value, origin }
	for name, key := range src.Aliases {
		if v := env[name]; v != "" {
			set(key, v, name)
		}
	}
	for name, v := range env {
		if rest, ok := strings.CutPrefix(name, Prefix); ok {
			set(strings.ToLower(strings.ReplaceAll(rest, "__", ".")), v, name)
		}
	}
	for key, v := range src.Flags {
		set(key, v, "a flag")
	}
	if err := k.Load(confmap.Provider(values, "."), nil); err != nil {
		return nil, nil, fmt.Errorf("read the environment: %w", err)
	}
	return k, from, nil
}

func readFile(k *koanf.Koanf, path string) error {
	parser := koanf.Parser(yaml.Parser())
	if strings.EqualFold(filepath.Ext(path), ".toml") {
		parser = toml.Parser()
	}
	err := k.Load(file.Provider(path), parser)
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path is said already
	}
	if err != nil {
		return fmt.Errorf("read the configuration file %s (from %s): %w", path, FileVariable, err)
	}
	return nil
}

// decode sets dst, a leaf of the configuration, to value. Its error ends a sentence that began with the key.
func decode(value any, dst reflect.Value) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: dst.Addr().Interface(), WeaklyTypedInput: true, ZeroFields: true, DecodeHook: mapstructure.DecodeHookFuncType(hook),
	})
	if err != nil {
		return err
	}
	if d.Decode(value) == nil {
		return nil
	}
	kind := "a text"
	switch dst.Interface().(type) {
	case Secret:
		return errors.New("is not a text") // the value stays unsaid
	case time.Duration:
		kind = "a duration such as 30s"
	case bool:
		kind = "true or false"
	case int, int64:
		kind = "a whole number"
	case float64:
		kind = "a number"
	case []string, Lines:
		kind = "a list of texts"
	}
	return fmt.Errorf("is %q, not %s", fmt.Sprint(value), kind)
}

// hook reads durations with their unit, and lists from a text with commas: the environment has no lists.
func hook(_, to reflect.Type, data any) (any, error) {
	text, isText := data.(string)
	switch {
	case to == reflect.TypeFor[time.Duration]() && isText:
		return time.ParseDuration(text)
	case to == reflect.TypeFor[time.Duration]():
		return nil, errors.New("no unit")
	case to.Kind() == reflect.Slice && isText:
		out, between := []string{}, ","
		if to == reflect.TypeFor[Lines]() {
			between = "\n"
		}
		for part := range strings.SplitSeq(text, between) {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
		return out, nil
	}
	return data, nil
}

func foreign(key string, others []string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return key == o || strings.HasPrefix(key, o+".") })
}

// empty reports a section of a file that has nothing in it.
func empty(value any) bool {
	m, isMap := value.(map[string]any)
	return value == nil || (isMap && len(m) == 0)
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
