// Package redis keeps signals and target states in Redis. Redis is a cache here: whatever it loses, and for as long as
// it is away, only latency suffers. So every call is bounded in time, and a server that does not answer is left alone
// for a moment instead of making each caller wait for it.
package redis

import (
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// answerWithin bounds how long one round trip may take, connecting included, unless the URL says otherwise (read_timeout).
const answerWithin = 250 * time.Millisecond

// defaultPrefix begins every key and channel of the product.
const defaultPrefix = "brokkr:"

// Open returns a client for a redis://, rediss:// or unix:// URL, with short timeouts where the URL sets none. It does
// not connect: a Redis that is away now may come later. A URL that is none is Invalid, without repeating it, since it may
// hold a password. The client dials anew as needed and may be used concurrently.
//
// caFile holds in PEM the authorities of which one has to have made the certificate of a rediss:// server, as it is now; empty: those
// that the system trusts. A file that holds none is Invalid.
//
// Open silences the log that the driver keeps for the whole process, which knows no levels and no fields; what matters
// comes back as errors.
func Open(rawURL, caFile string) (*goredis.Client, error) {
	o, err := goredis.ParseURL(rawURL)
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		return nil, fault.New(fault.Invalid, "invalid_redis_url", "the Redis URL is not valid (redis://[user:password@]host:port/db)").Because(err)
	}
	if caFile != "" && o.TLSConfig != nil {
		if o.TLSConfig.RootCAs, err = authorities(caFile); err != nil {
			return nil, err
		}
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = answerWithin
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = o.ReadTimeout
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = o.ReadTimeout
	}
	if o.PoolTimeout == 0 {
		o.PoolTimeout = o.ReadTimeout
	}
	// A second attempt would double every bound; the callers know what to do without an answer.
	if o.MaxRetries == 0 {
		o.MaxRetries = -1
	}
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	logging.Disable()
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return goredis.NewClient(o), nil
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // named by the operator
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "invalid_redis_ca", "redis.ca_file cannot be read: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fault.Newf(fault.Invalid, "invalid_redis_ca", "redis.ca_file %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// Option changes the defaults of NewSignals, NewTargetCache, NewLive and NewChannels.
type Option func(*settings)

type settings struct {
	prefix string
	keys   *seal.Keyring
}

// WithPrefix replaces "brokkr:", with which every key and channel begins. Products that share a Redis need different ones.
func WithPrefix(prefix string) Option { return func(s *settings) { s.prefix = prefix } }

// WithKeys makes a TargetCache stamp what it stores and believe nothing without a stamp: whoever can write to Redis, but has no key,
// cannot make agents remove or apply anything. Without keys (nil) what is there is believed.
func WithKeys(keys *seal.Keyring) Option { return func(s *settings) { s.keys = keys } }

func with(options []Option) settings {
	s := settings{prefix: defaultPrefix}
	for _, o := range options {
		o(&s)
	}
	return s
}
