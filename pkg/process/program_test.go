package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/process"
)

func TestArguments(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]struct {
		status    int
		out, errs string
	}{
		"version": {0, "brokkr-x 1.2.3\n", ""}, "--version": {0, "brokkr-x 1.2.3\n", ""},
		"--help": {0, "BROKKR_CONFIG_FILE", ""}, "-h": {0, "brokkr-x does things.", ""}, "help": {0, "docs/configuration.md", ""},
		"--adr": {2, "", `brokkr-x: "--adr" is not understood`}, "serve": {2, "", `"serve" is not understood`},
	} {
		var out, errs bytes.Buffer
		p := process.Program{Name: "brokkr-x", About: "does things.", Version: "1.2.3", Run: func(context.Context, string, []string, io.Writer) error {
			t.Errorf("%s: the program ran", arg)
			return nil
		}}
		status := p.Main([]string{arg}, nil, &out, &errs)
		if status != want.status || !strings.Contains(out.String(), want.out) || !strings.Contains(errs.String(), want.errs) || (want.errs == "") != (errs.Len() == 0) {
			t.Errorf("%s: got %d, %q, %q, want %+v", arg, status, &out, &errs, want)
		}
	}
}

func TestAnErrorIsOneLineAndAStatus(t *testing.T) {
	t.Parallel()
	for err, status := range map[error]int{nil: 0, errors.New("broken"): 1} {
		var out, errs bytes.Buffer
		p := process.Program{Name: "brokkr-x", Version: "1.2.3", Run: func(ctx context.Context, version string, environ []string, _ io.Writer) error {
			if ctx.Err() != nil || version != "1.2.3" || len(environ) != 1 {
				t.Errorf("got %v, %q, %v, want a live context, the version and the environment", ctx.Err(), version, environ)
			}
			return err
		}}
		want := ""
		if err != nil {
			want = fmt.Sprintf("brokkr-x: %v\n", err)
		}
		if got := p.Main(nil, []string{"A=b"}, &out, &errs); got != status || errs.String() != want || out.Len() != 0 {
			t.Errorf("%v: got %d and %q, want %d and %q", err, got, &errs, status, want)
		}
	}
}

func TestCommonConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*process.Common){
		`log.level is "loud", not debug, info, warn or error`:                                func(c *process.Common) { c.Log.Level = "loud" },
		`log.format is "xml", not json or text`:                                              func(c *process.Common) { c.Log.Format = "xml" },
		`otlp.sample is 2, not above 0 and at most 1`:                                        func(c *process.Common) { c.OTLP.Sample = 2 },
		`otlp.endpoint is "collector:4318", not an http:// or https:// URL`:                  func(c *process.Common) { c.OTLP.Endpoint = "collector:4318" },
		`redis.url is not a redis:// or rediss:// URL`:                                       func(c *process.Common) { c.Redis.URL = "localhost:6379" },
		"redis.prefix is \"a:b\", not 1 to 64 letters, digits, dots, dashes and underscores": func(c *process.Common) { c.Redis.Prefix = "a:b" },
		`redis.prefix is "", not 1 to 64`:                                                    func(c *process.Common) { c.Redis.Prefix = "" },
		"database.max_connections is 3, not between 4 and 1000":                              func(c *process.Common) { c.Database.MaxConnections = 3 },
		"database.max_connections is 1001, not between 4 and 1000":                           func(c *process.Common) { c.Database.MaxConnections = 1001 },
		`admin.addr is empty; give host:port or "off"`:                                       func(c *process.Common) { c.Admin.Addr = "" },
		"telemetry.retention is 7h0m0s, not between 1m and 6h0m0s":                           func(c *process.Common) { c.Telemetry.Retention = 7 * time.Hour },
		"log.level is \"\", not debug, info, warn or error\nadmin.addr is empty; give":       func(c *process.Common) { c.Log.Level, c.Admin.Addr = "", "" },
		`redis.ca_file is set, and redis.url is no rediss:// URL`:                            func(c *process.Common) { c.Redis.URL, c.Redis.CAFile = "redis://h", "ca.crt" },
	} {
		c := process.Defaults("127.0.0.1:0")
		if err := c.Validate(); err != nil {
			t.Fatalf("the defaults: %v", err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	c := process.Defaults("")
	if err := c.CheckDatabase(); err == nil || !strings.Contains(err.Error(), "set DATABASE_URL") {
		t.Errorf("no database: got %v, want how to give one", err)
	}
}
