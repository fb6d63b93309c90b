package api

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/config"
	"github.com/colliery-io/brokkr/services/api/internal/dispatch"
)

// Webhooks configures the delivery of webhooks.
type Webhooks struct {
	AllowNetworks   []string      `koanf:"allow_networks"`   // CIDRs that may be called though they are not public
	Workers         int           `koanf:"workers"`          // calls at a time of a replica
	PerSubscription int           `koanf:"per_subscription"` // calls at a time of one subscription
	Keep            time.Duration `koanf:"keep"`             // how long deliveries are kept
}

// WebhookDefaults returns the configuration that is used where nothing else is said.
func WebhookDefaults() Webhooks {
	return Webhooks{Workers: 1024, PerSubscription: 16, Keep: 7 * 24 * time.Hour}
}

// Validate reports every value that cannot work.
func (w Webhooks) Validate() error {
	var p config.Problems
	for _, s := range w.AllowNetworks {
		_, err := netip.ParsePrefix(s)
		p.Add(err != nil, "webhooks.allow_networks", "has %q, which is not a CIDR such as 10.0.0.0/8", s)
	}
	p.Add(w.Workers < 1 || w.Workers > 10_000, "webhooks.workers", "is %d, not between 1 and 10000", w.Workers)
	p.Add(w.PerSubscription < 1 || w.PerSubscription > 1000, "webhooks.per_subscription", "is %d, not between 1 and 1000", w.PerSubscription)
	p.Add(w.Keep < time.Hour, "webhooks.keep", "is %s, less than 1h", w.Keep)
	return p.Err()
}

// Networks returns AllowNetworks for the sender that goes into Deps.
func (w Webhooks) Networks() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range w.AllowNetworks {
		if p, err := netip.ParsePrefix(s); err == nil { // Validate has refused others
			out = append(out, p)
		}
	}
	return out
}

func (w Webhooks) orDefaults() Webhooks {
	d := WebhookDefaults()
	if w.Workers == 0 {
		w.Workers = d.Workers
	}
	if w.PerSubscription == 0 {
		w.PerSubscription = d.PerSubscription
	}
	if w.Keep == 0 {
		w.Keep = d.Keep
	}
	return w
}

// addWebhooks builds what delivers; Run runs it.
func (s *Service) addWebhooks(d Deps) error {
	if d.Sender == nil {
		return fault.New(fault.Internal, "internal_error", "the api needs a sender of webhooks")
	}
	w := d.Webhooks.orDefaults()
	if err := w.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host's name: %w", err)
	}
	log := d.Telemetry.Log.With("component", "webhooks")
	metrics := dispatch.NewMetrics(d.Telemetry.Registry)
	fanout := &dispatch.Fanout{
		Store: d.Store, Wakeups: d.Wakeups, Holder: host + "/" + uuid.NewString(), Keep: w.Keep, Now: d.Clock, Log: log, Metrics: metrics,
	}
	dispatcher := &dispatch.Dispatcher{
		Store: d.Store, Wakeups: d.Wakeups, Sender: d.Sender, Workers: w.Workers, Each: w.PerSubscription, Now: d.Clock,
		Jitter: rand.Float64, Log: log, Metrics: metrics, //nolint:gosec // jitter
	}
	s.parts = append(s.parts, part{"webhook deliveries", dispatcher.Run}, part{"webhook queues", fanout.Run})
	return nil
}

// part is something that runs beside requests.
type part struct {
	name string
	run  func(ctx context.Context) error
}
