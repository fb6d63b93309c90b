package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/config"
)

type part struct {
	Proxy bool     `koanf:"proxy_admin"`
	Nets  []string `koanf:"nets"`
}

type settings struct {
	Server struct {
		Addr   string        `koanf:"addr"`
		Wait   time.Duration `koanf:"wait"`
		part   `koanf:",squash"`
		Size   int64   `koanf:"size"`
		Share  float64 `koanf:"share"`
		Inside string
	} `koanf:"server"`
	Database struct {
		URL config.Secret `koanf:"url"`
	} `koanf:"database"`
}

func (s *settings) Validate() error {
	var p config.Problems
	p.Add(s.Server.Addr == "bad", "server.addr", "is bad")
	return p.Err()
}

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
			if err := config.Load(&s, config.Source{Environ: tt.environ, Flags: tt.flags, Aliases: map[string]string{"ADDR": "server.addr"}, Foreign: []string{"other"}}); err != nil {
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
	err := config.Load(&s, config.Source{Environ: []string{"BROKKR__SERVER__PROXY_ADMIN=true", "BROKKR__SERVER__NETS=10.0.0.0/8, 192.0.2.0/24", "BROKKR__DATABASE__URL=postgres://u:p@h/d?a=b=c"}})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Server.Proxy || strings.Join(s.Server.Nets, "+") != "10.0.0.0/8+192.0.2.0/24" || s.Database.URL.Reveal() != "postgres://u:p@h/d?a=b=c" {
		t.Errorf("got %+v with %q, want true, two networks and the whole URL", s.Server, s.Database.URL.Reveal())
	}
}

func TestErrorsNameTheirSource(t *testing.T) {
	t.Parallel()
	file := func(name, content string) []string { return []string{"BROKKR_CONFIG_FILE=" + write(t, name, content)} }
	for name, tt := range map[string]struct {
		environ []string
		want    []string // one a line of the error
	}{
		"NoFile":         {[]string{"BROKKR_CONFIG_FILE=/does/not/exist.yaml"}, []string{"read the configuration file /does/not/exist.yaml (from BROKKR_CONFIG_FILE): no such file or directory"}},
		"Folder":         {[]string{"BROKKR_CONFIG_FILE=/"}, []string{"file / (from BROKKR_CONFIG_FILE): is a directory"}},
		"BadYAML":        {file("c.yaml", "server: [\n"), []string{"c.yaml (from BROKKR_CONFIG_FILE): yaml: line 1"}},
		"BadTOML":        {file("c.toml", "[server\n"), []string{"c.toml (from BROKKR_CONFIG_FILE): "}},
		"NoTable":        {file("c.yaml", "just a text\n"), []string{"c.yaml (from BROKKR_CONFIG_FILE): "}},
		"Duration":       {[]string{"BROKKR__SERVER__WAIT=soon"}, []string{`configuration: server.wait (BROKKR__SERVER__WAIT) is "soon", not a duration such as 30s`}},
		"NoUnit":         {file("c.yaml", "server: {wait: 30}\n"), []string{`c.yaml) is "30", not a duration such as 30s`}},
		"Bool":           {[]string{"BROKKR__SERVER__PROXY_ADMIN=maybe"}, []string{`is "maybe", not true or false`}},
		"Number":         {[]string{"BROKKR__SERVER__SIZE=1k"}, []string{`is "1k", not a whole number`}},
		"Share":          {[]string{"BROKKR__SERVER__SHARE=half"}, []string{`is "half", not a number`}},
		"Text":           {file("c.yaml", "server: {addr: [1]}\n"), []string{`is "[1]", not a text`}},
		"Secret":         {file("c.yaml", "database: {url: [canary]}\n"), []string{"c.yaml) is not a text"}},
		"Alias":          {[]string{"SIZE=x"}, []string{`server.size (SIZE) is "x", not a whole number`}},
		"UnknownKey":     {[]string{"BROKKR__SERVER__ADR=x"}, []string{"configuration: server.adr (BROKKR__SERVER__ADR) is not a setting; server has addr, wait, proxy_admin, nets, size, share"}},
		"UnknownSection": {file("c.toml", "[databse]\nurl = \"canary\"\n"), []string{"databse.url (", "c.toml) is not a setting; the sections are server, database"}},
		"NoSection":      {file("c.yaml", "addr: x\n"), []string{"addr (", "is not a setting; the sections are server, database"}},
		"SectionAsKey":   {[]string{"BROKKR__DATABASE=canary"}, []string{"database (BROKKR__DATABASE) is a section, not a setting; it has url"}},
		"Deeper":         {file("c.yaml", "server: {addr: {port: 1}}\n"), []string{"server.addr.port (", "is not a setting; server has addr"}},
		"AllAtOnce": {append(file("c.yaml", "server: {size: big}\n"), "BROKKR__SERVER__WAIT=soon", "BROKKR__ODD__KEY=1", "BROKKR__SERVER__ADDR=bad"),
			[]string{"configuration: server.wait", "server.size", "odd.key", "server.addr is bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s settings
			err := config.Load(&s, config.Source{Environ: tt.environ, Aliases: map[string]string{"SIZE": "server.size"}, Foreign: []string{"other"}})
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows a secret: %v", err)
			}
			rest := err.Error()
			for _, w := range tt.want {
				_, after, found := strings.Cut(rest, w)
				if !found {
					t.Errorf("got %q, want it to say, in this order, %q", err, tt.want)
					break
				}
				rest = after
			}
		})
	}
}

func TestKeysOfOtherProgramsAreIgnored(t *testing.T) {
	t.Parallel()
	var s settings
	path := write(t, "c.yaml", "other: {x: {y: 1}}\nserver: {port: 1, addr: a, wait: }\ndatabase:\n")
	s.Server.Wait = time.Second
	if err := config.Load(&s, config.Source{Environ: []string{"BROKKR_CONFIG_FILE=" + path, "BROKKR__OTHER__Z=1"}, Foreign: []string{"other", "server.port"}}); err != nil {
		t.Fatal(err)
	}
	if s.Server.Addr != "a" || s.Server.Wait != time.Second {
		t.Errorf("got %+v, want the own key read and an empty one left at its default", s.Server)
	}
	err := config.Load(&s, config.Source{Environ: []string{"BROKKR__SERVER__PORTS=1", "BROKKR__OTHERS=1"}, Foreign: []string{"other", "server.port"}})
	if err == nil || !strings.Contains(err.Error(), "server.ports") || !strings.Contains(err.Error(), "others") {
		t.Errorf("got %v, want both keys refused: they only begin alike", err)
	}
}

// logged returns what the configuration looks like in the process's log.
func logged(s *settings) string {
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("starting", "configuration", config.Effective(s))
	return out.String()
}

func TestEffectiveIsWrittenAsAUserWrites(t *testing.T) {
	t.Parallel()
	var s settings
	s.Server.Addr, s.Server.Nets, s.Server.Size, s.Server.Share, s.Server.Inside, s.Database.URL = ":1", []string{"a", "b"}, 3, 0.5, "not a setting", "canary"
	for wait, text := range map[time.Duration]string{
		0: "0s", 30 * time.Second: "30s", 10 * time.Minute: "10m", 24 * time.Hour: "24h", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m", 250 * time.Millisecond: "250ms", time.Hour + time.Second: "1h0m1s",
	} {
		s.Server.Wait = wait
		want := `"configuration":{"server.addr":":1","server.wait":"` + text + `","server.proxy_admin":false,"server.nets":"a,b","server.size":3,"server.share":0.5,"database.url":"***"}}`
		if got := logged(&s); !strings.HasSuffix(strings.TrimSpace(got), want) {
			t.Errorf("got %s, want it to end in %s", got, want)
		}
		// What is shown is what can be written.
		var again settings
		if err := config.Load(&again, config.Source{Environ: []string{"BROKKR__SERVER__WAIT=" + text}}); err != nil || again.Server.Wait != wait {
			t.Errorf("%s: read as %s (%v), want %s", text, again.Server.Wait, err, wait)
		}
	}
	if got, want := config.Keys(&s), []string{"server.addr", "server.wait", "server.proxy_admin", "server.nets", "server.size", "server.share", "database.url"}; !slices.Equal(got, want) {
		t.Errorf("keys: got %v, want %v", got, want)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	var s settings
	s.Database.URL = "canary"
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"String": s.Database.URL.String(), "Effective": logged(&s), "JSON": string(asJSON),
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s), "%q": fmt.Sprintf("%q", s.Database.URL),
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
