package testenv

import (
	"io"
	"net"
	"strings"
	"testing"
)

// BadStarts starts a server, whose own settings are in this section, in every way that cannot succeed, and fails the test unless
// it ends with an error whose first line says why.
func BadStarts(t *testing.T, main Server, section string) {
	t.Helper()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port, nobody := taken.Addr().String(), Nobody(t)
	upper := "BROKKR__" + strings.ToUpper(section) + "__"
	works := []string{"DATABASE_URL=" + Postgres(t), "BROKKR__SECRETS__KEYS=plaintext", upper + "ADDR=127.0.0.1:0", "BROKKR__ADMIN__ADDR=off"}
	others := []string{"BROKKR__AGENT__PAK=x", "BROKKR__BROKER__STATE_DIR=x"}
	for _, s := range []string{"API", "GATEWAY", "SCHEDULER"} {
		others = append(others, "BROKKR__"+s+"__ADDR=:1")
	}
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"no database":      {nil, "configuration: no database: set DATABASE_URL"},
		"no database URL":  {append(works, "DATABASE_URL=garbage"), "the database URL cannot be read; it looks like postgres://"},
		"absent server":    {append(works, "DATABASE_URL=postgres://u@"+nobody+"/x"), "cannot reach PostgreSQL at " + nobody},
		"no keys":          {append(works, "BROKKR__SECRETS__KEYS="), "no key to seal manifests at rest: set BROKKR__SECRETS__KEYS"},
		"setting":          {[]string{upper + "ADR=x"}, "configuration: " + section + ".adr (" + upper + "ADR) is not a setting; " + section + " has "},
		"several":          {[]string{upper + "ADDR=", "LOG_LEVEL=loud"}, "configuration: log.level is \"loud\", not debug, info, warn or error\nno database: "},
		"others' settings": {others, "configuration: no database: "},
		"redis":            {append(works, "REDIS_URL=localhost:6379"), "configuration: redis.url is not a redis:// or rediss:// URL"},
		"absent file":      {[]string{"BROKKR_CONFIG_FILE=/no/such/file.yaml"}, "read the configuration file /no/such/file.yaml (from BROKKR_CONFIG_FILE): no such file"},
		"taken port":       {append(works, upper+"ADDR="+port), section + " (" + section + ".addr): address " + port + " is in use by another process"},
		"taken admin port": {append(works, "BROKKR__ADMIN__ADDR="+port), "admin (admin.addr): address " + port + " is in use by another process"},
		"no address":       {append(works, upper+"ADDR=here"), section + " (" + section + ".addr): cannot listen on \"here\", give host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := main(t.Context(), "1.2.3", c.environ, io.Discard); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want an error that begins with %q", err, c.want)
			}
		})
	}
}
