package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// leaseServer is as much of an API server as one lease needs, in memory, so that hours of it pass in no time.
type leaseServer struct {
	mu      sync.Mutex
	object  map[string]any
	version int
	down    error  // what every request fails with
	hangs   bool   // no request is answered
	refuses int    // status of every answer, if not 0
	before  func() // called once, before the next write
	reads   int    // of the lease
	written int    // requests for anything else
}

func (s *leaseServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs {
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
		return nil, r.Context().Err()
	}
	if s.down != nil {
		return nil, s.down
	}
	code, answer := 200, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}}
	if strings.Contains(r.URL.Path, "/leases") {
		code, answer = s.serve(r)
	} else {
		s.written++
	}
	body, err := json.Marshal(answer)
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, err
}

func (s *leaseServer) serve(r *http.Request) (int, map[string]any) {
	status := func(code int, reason metav1.StatusReason) (int, map[string]any) {
		return code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": string(reason), "code": code, "message": string(reason)}
	}
	if s.refuses != 0 {
		return status(s.refuses, map[int]metav1.StatusReason{403: metav1.StatusReasonForbidden, 401: metav1.StatusReasonUnauthorized}[s.refuses])
	}
	if r.Method == http.MethodGet {
		s.reads++
		if s.object == nil {
			return status(404, metav1.StatusReasonNotFound)
		}
		return 200, s.object
	}
	var u unstructured.Unstructured
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
		return status(400, metav1.StatusReasonBadRequest)
	}
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	switch {
	case r.Method == http.MethodPost && s.object != nil:
		return status(409, metav1.StatusReasonAlreadyExists)
	case r.Method == http.MethodPut && u.GetResourceVersion() != strconv.Itoa(s.version):
		return status(409, metav1.StatusReasonConflict)
	}
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.object = u.Object
	return 200, s.object
}

// set changes the server, or what it stores, between requests.
func (s *leaseServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *leaseServer) spec() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec, _, _ := unstructured.NestedMap(s.object, "spec") // a copy; nil before there is any
	return spec
}

// contender is a lease that runs, and what it was told.
type contender struct {
	lease *Lease
	log   *bytes.Buffer
	stop  context.CancelFunc
	ended chan error

	mu     sync.Mutex
	state  LeaseState
	holder string
	told   int
}

func (s *leaseServer) enter(t *testing.T, boot string) *contender {
	t.Helper()
	return s.enterBy(t, boot, s)
}

// enterBy has what a contender asks go another way to the server.
func (s *leaseServer) enterBy(t *testing.T, boot string, way http.RoundTripper) *contender {
	t.Helper()
	c := &contender{log: &bytes.Buffer{}, ended: make(chan error, 1)}
	k, err := New(&rest.Config{Host: "https://api.test", Transport: way, QPS: -1}, Options{Agent: "a", Namespace: "n", Log: slog.New(slog.NewTextHandler(c.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	c.lease = k.Lease(boot, func(state LeaseState, holder string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state, c.holder = state, holder
		c.told++
	})
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() { c.ended <- c.lease.Run(ctx) }()
	return c
}

func (c *contender) want(t *testing.T, what string, state LeaseState, told int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != state || c.told != told {
		t.Fatalf("%s: got state %d after %d changes, want %d after %d", what, c.state, c.told, state, told)
	}
}

func (c *contender) leave(t *testing.T) {
	t.Helper()
	c.stop()
	if err := <-c.ended; err != nil {
		t.Fatalf("lease: %v", err)
	}
}

// elsewhere names a process of another machine.
const elsewhere = "far_0000_1_1_1_boot"

func (s *leaseServer) heldBy(holder string, renewed time.Time) {
	s.set(func() { s.store(holder, renewed) })
}

// store writes a holder. The lock is held.
func (s *leaseServer) store(holder string, renewed time.Time) {
	s.version++
	u := unstructured.Unstructured{Object: map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": "brokkr-agent-a"}, "spec": map[string]any{
		"holderIdentity": holder, "renewTime": renewed.UTC().Format(microTime), "leaseTransitions": int64(7)}}}
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.object = u.Object
}

func TestLeaseIsRenewedAndGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &leaseServer{}
		c := s.enter(t, "one")
		synctest.Wait()
		c.want(t, "at first", LeaseHeld, 1)
		first := s.spec()
		time.Sleep(10 * time.Minute)
		c.want(t, "after a while", LeaseHeld, 1)
		now := s.spec()
		renewed, err := time.Parse(microTime, now["renewTime"].(string))
		if age := time.Since(renewed); err != nil || age > leaseRenew {
			t.Errorf("renewed: got %v ago (%v), want at most %v", age, err, leaseRenew)
		}
		if now["acquireTime"] != first["acquireTime"] || now["leaseTransitions"] != int64(1) || now["leaseDurationSeconds"] != int64(15) {
			t.Errorf("lease: got %v after %v, want the same term", now, first)
		}
		c.leave(t)
		if got := s.spec()["holderIdentity"]; got != "" {
			t.Errorf("holder after the end: got %v, want none", got)
		}
	})
}

func TestLeaseOfAnotherExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &leaseServer{}
		s.heldBy(elsewhere, time.Now().Add(-24*time.Hour)) // its clock says nothing
		c := s.enter(t, "one")
		synctest.Wait()
		c.want(t, "at first", LeaseOther, 1)
		if c.holder != elsewhere {
			t.Errorf("holder: got %q, want %q", c.holder, elsewhere)
		}
		for range 100 { // it lives
			time.Sleep(leaseDuration - time.Second)
			s.heldBy(elsewhere, time.Now())
		}
		c.want(t, "while the other renews", LeaseOther, 1)
		time.Sleep(leaseDuration - time.Second)
		c.want(t, "just before it expires", LeaseOther, 1)
		time.Sleep(1 + 3*leaseRetry)
		c.want(t, "when it has expired", LeaseHeld, 2)
		if got := s.spec()["leaseTransitions"]; got != int64(8) {
			t.Errorf("transitions: got %v, want 8", got)
		}
		s.heldBy("other_0000_1_1_1_boot", time.Now())
		time.Sleep(leaseRenew + time.Second)
		c.want(t, "when another took it", LeaseOther, 3)
		s.heldBy("third_0000_1_1_1_boot", time.Now())
		time.Sleep(2 * leaseRetry)
		c.want(t, "when a third took it", LeaseOther, 4)
		if !strings.HasPrefix(c.holder, "third") {
			t.Errorf("holder: got %q, want the third", c.holder)
		}
		c.leave(t)
		if got := s.spec()["holderIdentity"]; got != "third_0000_1_1_1_boot" {
			t.Errorf("holder after the end of one that did not hold it: got %v", got)
		}
	})
}

// TestLeaseOutlivesTheAPIServer keeps the state while the API server is away, in whatever way.
func TestLeaseOutlivesTheAPIServer(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*leaseServer){
		"refuses connections": func(s *leaseServer) { s.down = syscall.ECONNREFUSED },
		"does not answer":     func(s *leaseServer) { s.hangs = true },
		"is overloaded":       func(s *leaseServer) { s.refuses = 500 },
		"knows nobody":        func(s *leaseServer) { s.refuses = 401 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &leaseServer{}
				holding := s.enter(t, "one")
				synctest.Wait()
				holding.want(t, "at first", LeaseHeld, 1)
				s.set(func() { away(s) })
				late := s.enter(t, "two")
				time.Sleep(10 * time.Minute)
				holding.want(t, "while it is away", LeaseHeld, 1)
				late.want(t, "one that came meanwhile", LeaseUnknown, 0)
				s.set(func() { s.down, s.hangs, s.refuses = nil, false, 0 })
				time.Sleep(2 * leaseRenew)
				holding.want(t, "when it is back", LeaseHeld, 1)
				late.want(t, "the other, when it is back", LeaseOther, 1)
				if n := strings.Count(holding.log.String(), "level=WARN"); n != 1 {
					t.Errorf("log: got %d warnings, want one:\n%s", n, holding.log)
				}
				holding.leave(t)
				time.Sleep(2 * leaseRetry)
				late.want(t, "when the holder has left", LeaseHeld, 2)
				late.leave(t)
			})
		})
	}
}

func TestLeaseEndsInTimeWithoutTheAPIServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &leaseServer{}
		c := s.enter(t, "one")
		synctest.Wait()
		s.set(func() { s.hangs = true })
		began := time.Now()
		c.leave(t)
		if took := time.Since(began); took > leaseRelease {
			t.Errorf("leaving took %v, want at most %v", took, leaseRelease)
		}
	})
}

func TestLeaseIsForbidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &leaseServer{refuses: 403}
		c := s.enter(t, "one")
		err := <-c.ended
		if !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "leases.coordination.k8s.io") || !strings.Contains(err.Error(), "namespace n") {
			t.Fatalf("lease: got %v, want Forbidden that says what to grant", err)
		}
		c.stop()
	})
}

// TestLeaseConflictLooksAgainAtOnce has another take the lease in the midst of a renewal: it is not believed to be held
// for another round.
func TestLeaseConflictLooksAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &leaseServer{}
		c := s.enter(t, "one")
		synctest.Wait()
		var taken time.Time
		s.set(func() {
			s.before = func() {
				taken = time.Now()
				s.store(elsewhere, taken)
			}
		})
		time.Sleep(leaseRenew + leaseRetry)
		synctest.Wait()
		c.want(t, "a moment after another took it", LeaseOther, 2)
		if since := time.Since(taken); since > leaseRetry {
			t.Errorf("it took %v to see that another took it, want at most %v", since, leaseRetry)
		}
		c.leave(t)
	})
}

func TestDeadHolderIsSeen(t *testing.T) {
	t.Parallel()
	self := thisProcess("boot")
	if self.machine == "" || self.space == "" || self.started == "" {
		t.Skip("this system does not tell what is needed")
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*process)) string {
		p := self
		p.boot = "other"
		change(&p)
		return p.String()
	}
	for name, c := range map[string]struct {
		holder string
		dead   bool
	}{
		"this process":                    {with(func(*process) {}), false},
		"the parent":                      {with(func(p *process) { p.pid = os.Getppid(); p.started = startOf(p.pid) }), false},
		"one of init's":                   {with(func(p *process) { p.pid = 1; p.started = startOf(1) }), false},
		"an ended one":                    {with(func(p *process) { p.pid = ended.Process.Pid }), true},
		"one whose process id is ours":    {with(func(p *process) { p.started = "1" }), true},
		"one whose start is not known":    {with(func(p *process) { p.started = "" }), false},
		"an ended one of another machine": {with(func(p *process) { p.pid = ended.Process.Pid; p.machine = "m" }), false},
		"an ended one of another space":   {with(func(p *process) { p.pid = ended.Process.Pid; p.space = "1" }), false},
		"an ended one of an unknown one":  {with(func(p *process) { p.pid = ended.Process.Pid; p.machine = "" }), false},
		"no process id":                   {with(func(p *process) { p.pid = -1 }), false},
		"something else":                  {"agent-7f9c", false},
		"nothing":                         {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := parseProcess(c.holder)
			if got := err == nil && self.sees(p) && p.isDead(); got != c.dead {
				t.Errorf("%s is dead: got %v, want %v", c.holder, got, c.dead)
			}
		})
	}
	if got, err := parseProcess(self.String()); err != nil || got != self {
		t.Errorf("parse: got %+v, %v, want %+v", got, err, self)
	}
}
