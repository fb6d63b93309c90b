package process_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/pkg/process"
)

func TestADatabaseThatCannotBeUsedIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u:canary@127.0.0.1:1/fleet": `cannot reach PostgreSQL at 127.0.0.1:1, database "fleet": dial tcp 127.0.0.1:1: connect: connection refused (check the server, and database.url: DATABASE_URL)`,
		"mysql://u:canary@127.0.0.1:1/fleet":    `the database URL cannot be read; it looks like postgres://user:password@host:5432/database?sslmode=require (check the server, and database.url: DATABASE_URL)`,
	} {
		c := process.Defaults(process.Off)
		c.Database.URL = config.Secret(dsn)
		c.Secrets.Keys = process.Plaintext
		var logs bytes.Buffer
		_, err := process.Open(t.Context(), "brokkr-x", "1.2.3", c, &logs)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if strings.Contains(logs.String(), "canary") {
			t.Errorf("the log shows the password: %s", &logs)
		}
	}
	other := errors.New("a migration is wrong")
	if got := process.AboutDatabase(other); got != other { //nolint:errorlint // it stays the same value
		t.Errorf("got %v, want what is no matter of configuration left as it is", got)
	}
	if process.AboutDatabase(nil) != nil {
		t.Error("no error became one")
	}
	if err := process.AboutDatabase(fault.New(fault.Unavailable, "unavailable", "away")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want its kind kept", err)
	}
}
