package command_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/command"
	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// run runs one command line and returns what it printed and how it ended.
func run(ctx context.Context, environ []string, args ...string) (out, errs string, err error) {
	var o, e bytes.Buffer
	cmd := command.New("1.2.3", environ, func(string) string { return "" })
	cmd.SetArgs(args)
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	err = cmd.ExecuteContext(ctx)
	return o.String(), e.String(), err
}

func wantError(t *testing.T, environ []string, args, want string) {
	t.Helper()
	out, _, err := run(t.Context(), environ, strings.Fields(args)...)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%s: got %v, want an error that begins with %q", args, err, want)
	}
	if out != "" {
		t.Errorf("%s: printed %q in spite of the error", args, out)
	}
}

func TestWhatIsWrongIsSaidBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("gateway: {proxy_admn: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const absent = "DATABASE_URL=postgres://u:canary@127.0.0.1:1/x"
	cannotReach := `cannot reach PostgreSQL at 127.0.0.1:1, database "x": `
	for name, tt := range map[string]struct {
		environ    []string
		args, want string
	}{
		"flag":             {nil, "serve --adr :1", "unknown flag: --adr; see brokkr-broker serve --help"},
		"command":          {nil, "srve", `unknown command "srve" for "brokkr-broker"`},
		"argument":         {nil, "serve now", `unknown command "now" for "brokkr-broker serve"`},
		"required flag":    {nil, "create agent --name a", `required flag(s) "cluster-name" not set`},
		"policy":           {nil, "create generator --name g --registration-policy none", `--registration-policy is "none", not open, approval or closed`},
		"setting":          {[]string{"BROKKR_CONFIG_FILE=" + file, absent}, "serve", "configuration: gateway.proxy_admn (" + file + ") is not a setting; gateway has proxy_admin"},
		"value":            {[]string{"BROKKR__LIMITS__TIMEOUT=30", absent}, "serve", `configuration: limits.timeout (BROKKR__LIMITS__TIMEOUT) is "30", not a duration such as 30s`},
		"value by flag":    {[]string{absent}, "serve --admin-addr=", "configuration: admin.addr is empty"},
		"serve, absent":    {[]string{absent, "BROKKR__SECRETS__KEYS=plaintext"}, "serve", cannotReach},
		"serve, no key":    {[]string{absent}, "serve", "no key to seal manifests at rest: set BROKKR__SECRETS__KEYS (secrets.keys)"},
		"no keys file":     {[]string{absent, "BROKKR__SECRETS__KEYS_FILE=/nonexistent"}, "serve", "read the keys of /nonexistent (secrets.keys_file): no such file"},
		"bad key":          {[]string{absent, "BROKKR__SECRETS__KEYS=k1:canary"}, "serve", "configuration: secrets.keys cannot be used: key k1 is not 32 bytes in base64"},
		"create, absent":   {[]string{absent}, "create stack --name s", cannotReach},
		"rotate, absent":   {[]string{absent}, "rotate admin", cannotReach},
		"migrate, absent":  {[]string{absent}, "migrate", cannotReach},
		"URL":              {[]string{"DATABASE_URL=canary"}, "migrate", "the database URL cannot be read; it looks like postgres://user:password@host:5432/database"},
		"state folder":     {nil, "serve --state-dir " + file, "private database in " + file + " (broker.state_dir): "},
		"state folder too": {[]string{"BROKKR__BROKER__STATE_DIR=" + file}, "create stack --name s", "private database in " + file + " (broker.state_dir): "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, tt.environ, tt.args, tt.want)
			if _, logs, err := run(t.Context(), tt.environ, strings.Fields(tt.args)...); strings.Contains(logs+fmt.Sprint(err), "canary") {
				t.Errorf("the password is shown: %v\n%s", err, logs)
			}
		})
	}
}

func TestGeneratePAKAndVersion(t *testing.T) {
	t.Parallel()
	out, _, err := run(t.Context(), nil, "generate-pak")
	fields := strings.Fields(out)
	if err != nil || len(fields) != 4 {
		t.Fatalf("got %q, %v, want a key and its hash", out, err)
	}
	key, err := pak.Parse(fields[1])
	if err != nil || key.Hash() != fields[3] {
		t.Errorf("got %q (%v), want a key with its own hash", out, err)
	}
	out, _, err = run(t.Context(), nil, "generate-key")
	if _, bad := seal.Parse([]string{out}); err != nil || bad != nil || !strings.HasPrefix(out, "k2") {
		t.Errorf("got %q, %v, %v, want a key", out, err, bad)
	}
	if _, _, err := run(t.Context(), nil, "generate-key", "--id", "a b"); err == nil || !strings.HasPrefix(err.Error(), "--id: ") {
		t.Errorf("a bad id: %v", err)
	}
	for _, ask := range []string{"version", "--version"} {
		if out, _, err := run(t.Context(), nil, ask); err != nil || out != "brokkr-broker 1.2.3\n" {
			t.Errorf("%s: got %q, %v", ask, out, err)
		}
	}
}

func TestCommandsOnTheStore(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + testenv.Postgres(t), "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=off"}
	if out, _, err := run(t.Context(), environ, "migrate"); err != nil || out != "the schema is up to date\n" {
		t.Fatalf("migrate: %q, %v", out, err)
	}
	out, first, err := run(t.Context(), environ, "create", "generator", "--name", "ci")
	if err != nil || !strings.Contains(first, "The admin's PAK, shown this once") || !strings.Contains(out, "generator ci created") {
		t.Fatalf("create: %q, %q, %v, want the generator, and the admin's PAK of a new database", out, first, err)
	}
	for args, want := range map[string]string{
		"create stack --name web --generator ci": "stack web created", "create agent --name a --cluster-name c --label env:prod": "agent a of cluster c created",
		"rotate admin": "the admin has a new PAK", "keys": "KEY   VALUES\n", "rotate generator --name ci": "generator ci has a new PAK",
	} {
		if out, again, err := run(t.Context(), environ, strings.Fields(args)...); err != nil || !strings.Contains(out, want) || strings.Contains(again, "shown this once") {
			t.Errorf("%s: %q, %q, %v, want %q", args, out, again, err, want)
		}
	}
	for scheme, more := range map[string][]string{"http": nil, "https": {"BROKKR__BROKER__TLS_CERT=/c.pem", "BROKKR__BROKER__TLS_KEY=/k.pem"}} {
		out, _, err := run(t.Context(), append(more, environ...), "create", "agent", "--name", scheme, "--cluster-name", "c")
		if want := "BROKKR__AGENT__BROKER_URL=" + scheme + "://"; err != nil || !strings.Contains(out, want) {
			t.Errorf("how to start an agent of a broker with %s: %q, %v, want %s", scheme, out, err, want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for args, want := range map[string]string{
		"create generator --name ci":                          "create generator ci: it exists already",
		"create stack --name web --generator ci":              "create stack web: it exists already",
		"create stack --name x --generator nobody":            "create stack x: generator nobody is not there",
		"create agent --name b --cluster-name c --label=\x01": "create agent b: the label contains white space",
		"rotate agent --name b --cluster-name c":              "rotate the PAK of agent b: agent b in c is not there",
		"rotate generator --name nobody":                      "rotate the PAK of generator nobody: generator nobody is not there",
		"serve --addr " + taken.Addr().String():               "broker (--addr): address " + taken.Addr().String() + " is in use",
		"serve --addr nonsense":                               `broker (--addr): cannot listen on "nonsense"`,
	} {
		wantError(t, environ, args, want)
	}
	wantError(t, append(environ, "BROKKR__BROKER__PAK_HASH=zz"), "serve --addr 127.0.0.1:0", "the preset PAK hash (broker.pak_hash) is not 64 hexadecimal digits")
}
