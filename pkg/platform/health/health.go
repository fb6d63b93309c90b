// Package health answers /healthz, /readyz and /health from a set of component checks.
package health

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Check says whether a component answers. Everybody may read what is shown: an error that could tell where the component is,
// or as whom it is used, is Private.
type Check struct {
	Name     string
	Reason   string // shown by /readyz when the check fails, e.g. "database unavailable"
	Required bool   // readiness depends on it
	Private  bool   // /health shows Reason, too; the error is logged when the component begins to fail
	Probe    func(ctx context.Context) error
}

// Limits of a round of checks.
const (
	probeTimeout = 750 * time.Millisecond
	cacheFor     = 2 * time.Second
)

// Checker runs checks, at most one round at a time, and remembers the outcome for two seconds.
type Checker struct {
	version  string
	log      *slog.Logger
	started  time.Time
	checks   []Check
	mu       sync.Mutex
	at       time.Time
	last     []Component
	draining bool
}

// Component is the outcome of one check.
type Component struct {
	Name      string     `json:"name"`
	Status    string     `json:"status"` // ok | failing
	Required  bool       `json:"required"`
	LatencyMS float64    `json:"latency_ms"`
	Error     string     `json:"error,omitempty"`
	LastError string     `json:"last_error,omitempty"`
	FailedAt  *time.Time `json:"last_failed_at,omitempty"`
	reason    string
	cause     error
}

// New returns a checker. It logs when a component begins to fail and when it works again, as seen by those who ask.
func New(version string, log *slog.Logger, checks ...Check) *Checker {
	return &Checker{version: version, log: log, started: time.Now(), checks: checks}
}

// Drain makes /readyz say no from now on, so that balancers send nothing new.
func (c *Checker) Drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
}

// Components returns the outcome of the last round, or of a new one if that is too old.
func (c *Checker) Components(ctx context.Context) []Component {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < cacheFor {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	out := make([]Component, len(c.checks))
	var wg sync.WaitGroup
	for i, k := range c.checks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out[i] = probe(ctx, k)
		}()
	}
	wg.Wait()
	for i := range out {
		if out[i].Error != "" {
			now := time.Now().UTC()
			out[i].LastError, out[i].FailedAt = out[i].Error, &now
		} else if i < len(c.last) {
			out[i].LastError, out[i].FailedAt = c.last[i].LastError, c.last[i].FailedAt
		}
	}
	c.tell(ctx, out)
	c.last, c.at = out, time.Now()
	return out
}

// tell logs what has changed since the last round.
func (c *Checker) tell(ctx context.Context, now []Component) {
	for i, k := range now {
		failed := i < len(c.last) && c.last[i].Error != ""
		level := slog.LevelInfo
		if k.Required {
			level = slog.LevelWarn
		}
		switch {
		case k.Error != "" && !failed:
			c.log.Log(ctx, level, "a component fails", "check", k.Name, "error", k.cause.Error())
		case k.Error == "" && failed:
			c.log.Log(ctx, level, "a component works again", "check", k.Name, "failed_at", c.last[i].FailedAt)
		}
	}
}

func probe(ctx context.Context, k Check) Component {
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- k.Probe(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	out := Component{Name: k.Name, Status: "ok", Required: k.Required, LatencyMS: float64(time.Since(start).Microseconds()) / 1000, reason: k.Reason}
	if err != nil {
		out.Status, out.Error, out.cause = "failing", err.Error(), err
		if k.Private {
			out.Error = k.Reason
		}
	}
	return out
}

// Live answers 200 OK while the process lives.
func (c *Checker) Live(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "OK") }

// Ready answers 200 Ready, or 503 with the reason.
func (c *Checker) Ready(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	draining := c.draining
	c.mu.Unlock()
	if draining {
		again(w)
		text(w, http.StatusServiceUnavailable, "shutting down")
		return
	}
	for _, k := range c.Components(r.Context()) {
		if k.Required && k.Error != "" {
			again(w)
			text(w, http.StatusServiceUnavailable, k.reason)
			return
		}
	}
	text(w, http.StatusOK, "Ready")
}

// Detail answers with every component as JSON; 503 if a required one fails.
func (c *Checker) Detail(w http.ResponseWriter, r *http.Request) {
	status, code := "ok", http.StatusOK
	parts := c.Components(r.Context())
	for _, k := range parts {
		switch {
		case k.Error != "" && k.Required:
			status, code = "failing", http.StatusServiceUnavailable
		case k.Error != "" && status == "ok":
			status = "degraded"
		}
	}
	if code == http.StatusServiceUnavailable {
		again(w)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"status": status, "version": c.version, "uptime_seconds": int64(time.Since(c.started).Seconds()),
		"time": time.Now().UTC(), "components": parts,
	})
}

// again says when to ask again: an answer is remembered for so long.
func again(w http.ResponseWriter) { w.Header().Set("Retry-After", "2") }

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
