package config

import (
	"fmt"
	"strings"
)

// Names of the environment variables that override the file.
const (
	EnvURL     = "BROKKR_URL"
	EnvPAK     = "BROKKR_PAK"
	EnvContext = "BROKKR_CONTEXT"
)

// Flags are the settings from the command's line; empty ones were not given.
type Flags struct {
	URL, PAK, Context string
}

// Settings are what a command uses, and where each came from (for error texts).
type Settings struct {
	URL, URLFrom string
	PAK          Secret
	PAKFrom      string
	Context      string // empty: none
}

// Resolve decides: a flag wins over the environment, that over the context, that over the default URL. Naming a
// context that does not exist is an error.
func Resolve(f File, flags Flags, getenv func(string) string) (Settings, error) {
	s := Settings{URL: DefaultURL, URLFrom: "the default"}
	name, named := f.CurrentContext, false
	for _, n := range []string{getenv(EnvContext), flags.Context} {
		if n != "" {
			name, named = n, true
		}
	}
	if c, ok := f.Get(name); ok {
		from := fmt.Sprintf("context %q", name)
		s = Settings{URL: c.URL, URLFrom: from, PAK: c.PAK, PAKFrom: from, Context: name}
	} else if named {
		known := "there is none yet: brokkr login --context " + name
		if names := f.Names(); len(names) > 0 {
			known = "known are " + strings.Join(names, ", ")
		}
		return Settings{}, fmt.Errorf("context %q does not exist; %s", name, known)
	}
	if u := getenv(EnvURL); u != "" {
		s.URL, s.URLFrom = u, EnvURL
	}
	if flags.URL != "" {
		s.URL, s.URLFrom = flags.URL, "--url"
	}
	if p := getenv(EnvPAK); p != "" {
		s.PAK, s.PAKFrom = Secret(p), EnvPAK
	}
	if flags.PAK != "" {
		s.PAK, s.PAKFrom = Secret(flags.PAK), "--pak"
	}
	return s, nil
}
