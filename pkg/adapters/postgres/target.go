package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// target is the database that a dsn names.
type target struct {
	dsn    string // with what we set; secret
	config pq.Config
}

// newTarget reads dsn and adds what every connection of ours has. What dsn says itself stands.
func newTarget(dsn string, opts Options) (target, error) {
	given, err := pq.NewConfig(dsn)
	if err != nil {
		return target{}, badDSN()
	}
	params := map[string]string{
		"application_name":                    opts.ApplicationName,
		"connect_timeout":                     strconv.Itoa(seconds(opts.ConnectTimeout)),
		"statement_timeout":                   strconv.FormatInt(opts.StatementTimeout.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": strconv.FormatInt(2*opts.StatementTimeout.Milliseconds(), 10),
		"timezone":                            "UTC",
		"binary_parameters":                   "yes", // one round trip a statement instead of two
		"random_page_cost":                    "1.1", // what we look up is in memory: small tables are not worth reading whole
	}
	if given.SSLMode == "" {
		params["sslmode"] = string(pq.SSLModePrefer) // as every other client of libpq's family does
	}
	full, err := withParams(dsn, params)
	if err != nil {
		return target{}, err
	}
	config, err := pq.NewConfig(full)
	if err != nil {
		return target{}, badDSN()
	}
	return target{dsn: full, config: config}, nil
}

// badDSN does not wrap the parser's error: it may quote the password.
func badDSN() error {
	return fault.New(fault.Invalid, "invalid_database_url",
		"the database URL cannot be read; it looks like postgres://user:password@host:5432/database?sslmode=require")
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// withParams adds connection parameters that dsn does not set itself.
func withParams(dsn string, params map[string]string) (string, error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		u, err := url.Parse(dsn)
		if err != nil {
			return "", badDSN()
		}
		q := u.Query()
		for k, v := range params {
			if !q.Has(k) {
				q.Set(k, v)
			}
		}
		u.RawQuery = q.Encode()
		return u.String(), nil
	}
	var b strings.Builder
	for k, v := range params {
		fmt.Fprintf(&b, "%s='%s' ", k, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v))
	}
	return b.String() + dsn, nil // of two, the later one counts
}

// String names the database without user and password.
func (t target) String() string {
	host := t.config.Host
	if t.config.Hostaddr.IsValid() {
		host = t.config.Hostaddr.String()
	}
	name := t.config.Database
	if name == "" {
		name = t.config.User
	}
	return fmt.Sprintf("%s, database %q", net.JoinHostPort(host, strconv.Itoa(int(t.config.Port))), name)
}

// unreachable says in one line why the database cannot be used.
func (t target) unreachable(err error) error {
	reason := err.Error()
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		reason = "no answer in time"
	}
	reason, _, _ = strings.Cut(reason, "\n")
	return fault.Newf(fault.Unavailable, unavailable, "cannot reach PostgreSQL at %s: %s", t, reason).Because(err)
}
