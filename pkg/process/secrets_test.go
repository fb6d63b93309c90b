package process_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/process"
)

// open opens a process on dsn, runs nothing, and closes it. It returns its log.
func open(t *testing.T, dsn string, s process.Secrets, use func(*process.Process)) (string, error) {
	t.Helper()
	c := process.Defaults(process.Off)
	c.Database.URL, c.Secrets = config.Secret(dsn), s
	var logs bytes.Buffer
	p, err := process.Open(t.Context(), "brokkr-x", "1.2.3", c, &logs)
	if err == nil {
		use(p)
		err = p.Store.Close()
	}
	return logs.String(), err
}

func TestKeysAreTakenFromSettingOrFileAndHaveToFit(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	k1, k2 := seal.Generate("k1"), seal.Generate("k2")
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("# the present one first\n\n"+k2+"\n  "+k1+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var usage map[string]int64
	put := func(content string) func(*process.Process) {
		return func(p *process.Process) {
			if _, err := p.Store.Blobs().Put(t.Context(), []byte(content)); err != nil {
				t.Error(err)
			}
			var err error
			if usage, err = p.Store.Secrets().Usage(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	log, err := open(t, dsn, process.Secrets{Keys: process.Plaintext}, put("a"))
	if err != nil || !strings.Contains(log, "manifests are stored readable") || usage[""] != 1 {
		t.Errorf("plaintext: %v, usage %v, log %s", err, usage, log)
	}
	if _, err = open(t, dsn, process.Secrets{Keys: config.Secret(k1)}, put("b")); err != nil || usage["k1"] != 1 {
		t.Errorf("by setting: %v, usage %v", err, usage)
	}
	if _, err = open(t, dsn, process.Secrets{KeysFile: file}, put("c")); err != nil || usage["k2"] != 1 {
		t.Errorf("by file: %v, usage %v", err, usage)
	}
	for want, s := range map[string]process.Secrets{
		"sealed with the key k1, which was not given (secrets.keys: keep former keys behind": {Keys: config.Secret(k2)},
		"sealed with the key k1, k2, which was not given":                                    {Keys: process.Plaintext},
		"another one than the k1 that sealed":                                                {Keys: config.Secret(seal.Generate("k1"))},
		"the keys of " + os.DevNull + " (secrets.keys_file) cannot be used: there is no key": {KeysFile: os.DevNull},
	} {
		if _, err := open(t, dsn, s, func(*process.Process) { t.Error("opened") }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestBothWaysToGiveKeysAreRefused(t *testing.T) {
	t.Parallel()
	c := process.Defaults(process.Off)
	c.Secrets = process.Secrets{Keys: config.Secret(seal.Generate("k1")), KeysFile: "f"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "secrets.keys_file is set, and so is secrets.keys") {
		t.Errorf("got %v", err)
	}
}
