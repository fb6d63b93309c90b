package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/config"
)

func env(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func TestPath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"XDG":         {map[string]string{"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/brokkr/config.yaml"},
		"Home":        {map[string]string{"HOME": "/h"}, "/h/.config/brokkr/config.yaml"},
		"RelativeXDG": {map[string]string{"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/h/.config/brokkr/config.yaml"},
	} {
		got, err := config.Path(env(tt.env))
		if err != nil || got != tt.want {
			t.Errorf("%s: Path() = %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "brokkr", "config.yaml")
	if f, _, err := config.Load(path); err != nil || len(f.Contexts) != 0 {
		t.Fatalf("Load of no file = %v, %v; want an empty one", f, err)
	}
	want := config.File{CurrentContext: "prod"}.
		With(config.Context{Name: "prod", URL: "https://p", PAK: "brokkr_a"}).
		With(config.Context{Name: "dev", URL: "http://d", PAK: "brokkr_b"}).
		With(config.Context{Name: "prod", URL: "https://p2", PAK: "brokkr_c"})
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
	got, open, err := config.Load(path)
	if err != nil || open {
		t.Fatalf("Load = open %v, %v", open, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if c, _ := got.Get("prod"); c.URL != "https://p2" {
		t.Errorf("With did not replace: %v", c.URL)
	}
	if left := got.Without("prod"); left.CurrentContext != "" || len(left.Contexts) != 1 {
		t.Errorf("Without = %v", left.Names())
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left in the folder, %v; want 1", len(files), err)
	}
}

func TestSaveMendsMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("contexts: []\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, open, err := config.Load(path)
	if err != nil || !open {
		t.Fatalf("Load = open %v, %v; want it to be noticed", open, err)
	}
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, open, err = config.Load(path); err != nil || open {
		t.Errorf("after Save: open %v, %v", open, err)
	}
}

func TestLoadBadFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	for name, text := range map[string]string{"unknown field": "contxts: []\n", "syntax": "contexts: [\n", "value": "contexts: brokkr_BRaaaaaa_secret\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := config.Load(path)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error = %v; want one that names the file and no value", name, err)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	file := config.File{CurrentContext: "prod"}.
		With(config.Context{Name: "prod", URL: "https://prod", PAK: "p"}).
		With(config.Context{Name: "dev", URL: "https://dev", PAK: "d"})
	for name, tt := range map[string]struct {
		file  config.File
		flags config.Flags
		env   map[string]string
		want  config.Settings
	}{
		"Nothing":     {config.File{}, config.Flags{}, nil, config.Settings{URL: "http://localhost:3000", URLFrom: "the default"}},
		"Current":     {file, config.Flags{}, nil, config.Settings{URL: "https://prod", URLFrom: `context "prod"`, PAK: "p", PAKFrom: `context "prod"`, Context: "prod"}},
		"EnvContext":  {file, config.Flags{}, map[string]string{"BROKKR_CONTEXT": "dev"}, config.Settings{URL: "https://dev", URLFrom: `context "dev"`, PAK: "d", PAKFrom: `context "dev"`, Context: "dev"}},
		"FlagContext": {file, config.Flags{Context: "prod"}, map[string]string{"BROKKR_CONTEXT": "dev"}, config.Settings{URL: "https://prod", URLFrom: `context "prod"`, PAK: "p", PAKFrom: `context "prod"`, Context: "prod"}},
		"Env":         {file, config.Flags{}, map[string]string{"BROKKR_URL": "http://e", "BROKKR_PAK": "e"}, config.Settings{URL: "http://e", URLFrom: "BROKKR_URL", PAK: "e", PAKFrom: "BROKKR_PAK", Context: "prod"}},
		"Flags":       {file, config.Flags{URL: "http://f", PAK: "f"}, map[string]string{"BROKKR_URL": "http://e", "BROKKR_PAK": "e"}, config.Settings{URL: "http://f", URLFrom: "--url", PAK: "f", PAKFrom: "--pak", Context: "prod"}},
		"OtherByEnv":  {file, config.Flags{}, map[string]string{"BROKKR_URL": "http://e"}, config.Settings{URL: "http://e", URLFrom: "BROKKR_URL", Context: "prod", Withheld: "https://prod"}},
		"OtherByFlag": {file, config.Flags{URL: "http://f", Context: "dev"}, nil, config.Settings{URL: "http://f", URLFrom: "--url", Context: "dev", Withheld: "https://dev"}},
		"OtherScheme": {file, config.Flags{URL: "http://prod"}, nil, config.Settings{URL: "http://prod", URLFrom: "--url", Context: "prod", Withheld: "https://prod"}},
		"OtherPort":   {file, config.Flags{URL: "https://prod:8443"}, nil, config.Settings{URL: "https://prod:8443", URLFrom: "--url", Context: "prod", Withheld: "https://prod"}},
		"OtherPath":   {file, config.Flags{URL: "https://prod/b"}, nil, config.Settings{URL: "https://prod/b", URLFrom: "--url", Context: "prod", Withheld: "https://prod"}},
		"SameURL":     {file, config.Flags{URL: "HTTPS://Prod:443/api/v1/"}, nil, config.Settings{URL: "HTTPS://Prod:443/api/v1/", URLFrom: "--url", PAK: "p", PAKFrom: `context "prod"`, Context: "prod"}},
	} {
		got, err := config.Resolve(tt.file, tt.flags, env(tt.env))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
	if _, err := config.Resolve(file, config.Flags{Context: "nope"}, env(nil)); err == nil || !strings.Contains(err.Error(), "dev, prod") {
		t.Errorf("unknown context: %v; want the known ones named", err)
	}
	if s := fmt.Sprintf("%v %+v %#v", file, file, config.Secret("hunter2")); strings.Contains(s, "hunter2") {
		t.Errorf("a secret was printed: %s", s)
	}
}
