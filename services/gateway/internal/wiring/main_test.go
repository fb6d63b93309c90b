package wiring_test

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/services/gateway/internal/wiring"
)

func TestAStartThatCannotSucceedSaysWhy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	database := testenv.Postgres(t)
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"no database": {nil, "configuration: no database: set DATABASE_URL"},
		"absent":      {[]string{"BROKKR__SECRETS__KEYS=plaintext", "DATABASE_URL=postgres://u@127.0.0.1:1/x"}, "cannot reach PostgreSQL at 127.0.0.1:1"},
		"setting":     {[]string{"BROKKR__GATEWAY__ADR=x"}, "configuration: gateway.adr (BROKKR__GATEWAY__ADR) is not a setting; gateway has "},
		"several":     {[]string{"BROKKR__GATEWAY__ADDR=", "LOG_LEVEL=loud"}, "configuration: log.level is \"loud\", not debug, info, warn or error\nno database: "},
		"others too":  {[]string{"BROKKR__AGENT__PAK=x", "BROKKR__API__ADDR=x", "BROKKR__BROKER__STATE_DIR=x", "BROKKR__LIMITS__BODY=1"}, "configuration: no database: "},
		"redis":       {[]string{"REDIS_URL=localhost:6379"}, "configuration: redis.url is not a redis:// or rediss:// URL"},
		"taken port":  {[]string{"DATABASE_URL=" + database, "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=off", "BROKKR__GATEWAY__ADDR=" + taken.Addr().String()}, "gateway (gateway.addr): address " + taken.Addr().String() + " is in use"},
		"taken admin": {[]string{"DATABASE_URL=" + database, "BROKKR__SECRETS__KEYS=plaintext", "BROKKR__ADMIN__ADDR=" + taken.Addr().String()}, "admin (admin.addr): address " + taken.Addr().String() + " is in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			err := wiring.Main(t.Context(), "1.2.3", tt.environ, &logs)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that begins with %q", err, tt.want)
			}
		})
	}
}
