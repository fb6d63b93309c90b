package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/config"
)

type settings struct {
	Server struct {
		Addr  string        `koanf:"addr"`
		Wait  time.Duration `koanf:"wait"`
		Proxy bool          `koanf:"proxy_admin"`
		Nets  []string      `koanf:"nets"`
	} `koanf:"server"`
	Database struct {
		URL config.Secret `koanf:"url"`
	} `koanf:"database"`
	invalid error
}

func (s *settings) Validate() error { return s.invalid }

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	t.Parallel()
	yaml := write(t, "c.yaml", "server: {addr: file, wait: 3s}\nother: {x: 1}\n")
	toml := write(t, "c.toml", "[server]\naddr = \"file\"\nwait = \"3s\"\n")
	for name, tt := range map[string]struct {
		environ []string
		flags   map[string]any
		addr    string
		wait    time.Duration
	}{
		"Default":     {nil, nil, "default", time.Second},
		"YAML":        {[]string{"BROKKR_CONFIG_FILE=" + yaml}, nil, "file", 3 * time.Second},
		"TOML":        {[]string{"BROKKR_CONFIG_FILE=" + toml}, nil, "file", 3 * time.Second},
		"Environment": {[]string{"BROKKR_CONFIG_FILE=" + yaml, "BROKKR__SERVER__ADDR=env", "BROKKR__OTHER__KEY=1"}, nil, "env", 3 * time.Second},
		"Alias":       {[]string{"ADDR=alias"}, nil, "alias", time.Second},
		"AliasLoses":  {[]string{"ADDR=alias", "BROKKR__SERVER__ADDR=env"}, nil, "env", time.Second},
		"Flag":        {[]string{"BROKKR_CONFIG_FILE=" + yaml, "BROKKR__SERVER__ADDR=env"}, map[string]any{"server.addr": "flag"}, "flag", 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s settings
			s.Server.Addr, s.Server.Wait = "default", time.Second
			if err := config.Load(&s, config.Source{Environ: tt.environ, Flags: tt.flags, Aliases: map[string]string{"ADDR": "server.addr"}}); err != nil {
				t.Fatal(err)
			}
			if s.Server.Addr != tt.addr || s.Server.Wait != tt.wait {
				t.Errorf("got %q and %s, want %q and %s", s.Server.Addr, s.Server.Wait, tt.addr, tt.wait)
			}
		})
	}
}

func TestTypesFromTheEnvironment(t *testing.T) {
	t.Parallel()
	var s settings
	err := config.Load(&s, config.Source{Environ: []string{"BROKKR__SERVER__PROXY_ADMIN=true", "BROKKR__SERVER__NETS=10.0.0.0/8,192.0.2.0/24", "BROKKR__DATABASE__URL=postgres://u:p@h/d?a=b=c"}})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Server.Proxy || len(s.Server.Nets) != 2 || s.Database.URL.Reveal() != "postgres://u:p@h/d?a=b=c" {
		t.Errorf("got %+v with %q, want true, two networks and the whole URL", s.Server, s.Database.URL.Reveal())
	}
}

func TestErrorsNameTheirSource(t *testing.T) {
	t.Parallel()
	bad := errors.New("server.addr is odd")
	for name, tt := range map[string]struct {
		s       settings
		environ []string
		want    []string
	}{
		"NoFile":   {settings{}, []string{"BROKKR_CONFIG_FILE=/does/not/exist.yaml"}, []string{"/does/not/exist.yaml", "BROKKR_CONFIG_FILE"}},
		"BadFile":  {settings{}, []string{"BROKKR_CONFIG_FILE=" + write(t, "c.yaml", "server: [")}, []string{"c.yaml"}},
		"BadType":  {settings{}, []string{"BROKKR__SERVER__WAIT=soon"}, []string{"configuration", "server.wait"}},
		"Validate": {settings{invalid: bad}, nil, []string{"configuration: server.addr is odd"}},
	} {
		err := config.Load(&tt.s, config.Source{Environ: tt.environ})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(w)) {
				t.Errorf("%s: got %q, want it to name %q", name, err, w)
			}
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	var s settings
	s.Database.URL = "canary"
	for what, text := range map[string]string{
		"String": s.Database.URL.String(), "Effective": config.Effective(&s), "%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s), "%q": fmt.Sprintf("%q", s.Database.URL),
	} {
		if strings.Contains(text, "canary") {
			t.Errorf("%s shows the secret: %s", what, text)
		}
		if !strings.Contains(text, "***") {
			t.Errorf("%s does not say that there is one: %s", what, text)
		}
	}
	if got := config.Secret("").String(); got != "" {
		t.Errorf("no secret: got %q, want nothing", got)
	}
}

func TestProblemsAreReportedTogether(t *testing.T) {
	t.Parallel()
	var p config.Problems
	if p.Err() != nil {
		t.Error("no problem is an error")
	}
	p.Add(false, "a", "is fine")
	p.Add(true, "b", "is %d", 1)
	p.Add(true, "c", "is odd")
	if got := p.Err().Error(); got != "b is 1\nc is odd" {
		t.Errorf("got %q, want both problems", got)
	}
}

func TestStateDir(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("XDG_STATE_HOME", "/state")
	if got, err := config.StateDir(); err != nil || got != "/state/brokkr" {
		t.Errorf("got %q, %v, want /state/brokkr", got, err)
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "/home/u")
	if got, err := config.StateDir(); err != nil || got != "/home/u/.local/state/brokkr" {
		t.Errorf("got %q, %v, want the one under home", got, err)
	}
}
