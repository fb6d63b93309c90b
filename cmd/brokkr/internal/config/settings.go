package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Names of the environment variables that override the file.
const (
	EnvURL     = "BROKKR_URL"
	EnvPAK     = "BROKKR_PAK"
	EnvContext = "BROKKR_CONTEXT"

	EnvCAFile   = "BROKKR_CA_FILE"
	EnvInsecure = "BROKKR_INSECURE_SKIP_VERIFY"
)

// Flags are the settings from the command's line; empty ones were not given.
type Flags struct {
	URL, PAK, Context string
	CAFile            string
	Insecure          bool
}

// Settings are what a command uses, and where each came from (for error texts).
type Settings struct {
	URL, URLFrom string
	PAK          Secret
	PAKFrom      string
	Context      string // empty: none
	// Withheld is the broker for which the context's key is, where the URL is that of another one: no key is used then.
	Withheld string

	CAFile, CAFileFrom string // authorities of the broker's certificate; empty: those of the system
	Insecure           bool   // any certificate is good
}

// Trust takes over whom flags and environment trust; where they say nothing, known does, which is the context of the URL.
func (s *Settings) Trust(known Context, flags Flags, getenv func(string) string) error {
	s.Insecure = known.Insecure
	if known.CAFile != "" {
		s.CAFile, s.CAFileFrom = known.CAFile, fmt.Sprintf("context %q", known.Name)
	}
	if f := getenv(EnvCAFile); f != "" {
		s.CAFile, s.CAFileFrom, s.Insecure = f, EnvCAFile, false
	}
	if text := getenv(EnvInsecure); text != "" {
		insecure, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%s is %q, not true or false", EnvInsecure, text)
		}
		s.Insecure = insecure
	}
	if flags.CAFile != "" {
		s.CAFile, s.CAFileFrom, s.Insecure = flags.CAFile, "--ca-file", false
	}
	s.Insecure = s.Insecure || flags.Insecure
	return nil
}

// Resolve decides: a flag wins over the environment, that over the context, that over the default URL. The key of a context goes to
// its own broker alone. Naming a context that does not exist is an error.
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
	var known Context // of another broker than the context's it says nothing
	if c, ok := f.Get(s.Context); ok && sameBroker(c.URL, s.URL) {
		known = c
	} else if ok {
		s.PAK, s.PAKFrom, s.Withheld = "", "", c.URL
	}
	if p := getenv(EnvPAK); p != "" {
		s.PAK, s.PAKFrom = Secret(p), EnvPAK
	}
	if flags.PAK != "" {
		s.PAK, s.PAKFrom = Secret(flags.PAK), "--pak"
	}
	if s.PAK != "" {
		s.Withheld = ""
	}
	return s, s.Trust(known, flags, getenv)
}

// sameBroker reports whether two URLs lead to one broker as far as they tell: how a host is written and what clients add to a URL
// make no difference.
func sameBroker(x, y string) bool { return plainURL(x) == plainURL(y) }

func plainURL(s string) string {
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
		u.Host = strings.TrimSuffix(u.Host, port)
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v1")
	return u.String()
}
