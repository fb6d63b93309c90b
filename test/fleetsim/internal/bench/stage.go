package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/test/fleetsim/internal/fleet"
)

// stage is one complete control plane with a database of its own.
type stage struct {
	o         Options
	dir       string
	db        *sql.DB
	drop      func() error
	processes []*process // api, gateway and scheduler; or the broker alone
	api       *process
	gateway   *process
	scheduler *process
	key       string // admin's
	http      *http.Client
	generator string // id of the tenant
	postgres  int    // process id of its postmaster
	agents    []fleet.Identity
	label     string // of the database
}

// workers make requests at a time while a fixture is loaded.
const workers = 16

// newStage starts a control plane on an empty database. env is for all of its processes.
func newStage(ctx context.Context, o Options, dir string, env ...string) (s *stage, err error) {
	s = &stage{o: o, dir: dir, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: workers}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	database, err := s.database(ctx)
	if err != nil {
		return s, err
	}
	key, err := pak.Generate(rand.Reader)
	if err != nil {
		return s, fmt.Errorf("make a key: %w", err)
	}
	s.key = key.Reveal()
	common := append([]string{"DATABASE_URL=" + database, "REDIS_URL=" + o.Redis, "BROKKR__SECRETS__KEYS=" + seal.Generate("k1"), "BROKKR__BROKER__PAK_HASH=" + key.Hash()}, env...)
	if err := s.describe(common); err != nil {
		return s, err
	}
	for _, p := range s.processes {
		if err := p.start(); err != nil {
			return s, err
		}
	}
	for _, p := range s.processes {
		if err := p.await(ctx); err != nil {
			return s, err
		}
	}
	var made struct {
		Generator struct {
			ID string `json:"id"`
		} `json:"generator"`
	}
	if err := s.call(ctx, http.MethodPost, "/generators", map[string]string{"name": "bench"}, &made); err != nil {
		return s, err
	}
	s.generator = made.Generator.ID
	return s, nil
}

// database makes one on the server, and finds the server's process.
func (s *stage) database(ctx context.Context) (string, error) {
	u, err := url.Parse(s.o.Postgres)
	if err != nil {
		return "", fmt.Errorf("the URL of PostgreSQL cannot be read: %w", errors.Unwrap(err))
	}
	server, err := sql.Open("postgres", s.o.Postgres)
	if err != nil {
		return "", fmt.Errorf("open PostgreSQL: %w", err)
	}
	s.label = "fleetsim_" + strings.ToLower(rand.Text()[:10])
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+pq.QuoteIdentifier(s.label)+" TEMPLATE template0"); err != nil {
		return "", errors.Join(fmt.Errorf("create database: %w", err), server.Close())
	}
	s.drop = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, err := server.ExecContext(ctx, "DROP DATABASE IF EXISTS "+pq.QuoteIdentifier(s.label)+" WITH (FORCE)")
		return errors.Join(err, server.Close())
	}
	own := *u
	own.Path = "/" + s.label
	if s.db, err = sql.Open("postgres", own.String()); err != nil {
		return "", fmt.Errorf("open database: %w", err)
	}
	backend := 0
	if err := s.db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return "", fmt.Errorf("ask for the server's process: %w", err)
	}
	s.postgres = parentOf(backend)
	return own.String(), nil
}

func (s *stage) describe(common []string) error {
	limits := []string{"BROKKR__LIMITS__SOURCE_RATE=0", "BROKKR__LIMITS__CREDENTIAL_RATE=0"} // the load comes from one key and one address
	gates := []string{"BROKKR__GATEWAY__SOURCE_RATE=0", "BROKKR__GATEWAY__CREDENTIAL_RATE=0"}
	add := func(name, addr string, env ...[]string) (*process, error) {
		public, err := freeAddress()
		if err != nil {
			return nil, err
		}
		admin, err := freeAddress()
		if err != nil {
			return nil, err
		}
		p := &process{name: name, path: filepath.Join(s.o.Programs, "brokkr-"+name), ready: "http://" + public + "/readyz", admin: "http://" + admin,
			log: filepath.Join(s.dir, s.label+"-"+name+".log"), env: append([]string{addr + "=" + public, "BROKKR__ADMIN__ADDR=" + admin}, common...)}
		for _, e := range env {
			p.env = append(p.env, e...)
		}
		s.processes = append(s.processes, p)
		return p, nil
	}
	var err error
	if s.o.AllInOne {
		if s.api, err = add("broker", "BROKKR__BROKER__ADDR", limits, gates, []string{"BROKKR__BROKER__STATE_DIR=" + s.dir}); err != nil {
			return err
		}
		s.gateway, s.scheduler = s.api, s.api
		return nil
	}
	if s.api, err = add("api", "BROKKR__API__ADDR", limits); err != nil {
		return err
	}
	if s.gateway, err = add("gateway", "BROKKR__GATEWAY__ADDR", gates); err != nil {
		return err
	}
	s.scheduler, err = add("scheduler", "BROKKR__SCHEDULER__ADDR")
	return err
}

func (s *stage) close() error {
	var errs []error
	for _, p := range s.processes {
		errs = append(errs, p.stop())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.drop != nil {
		errs = append(errs, s.drop())
	}
	return errors.Join(errs...)
}

// gatewayURL is where agents go.
func (s *stage) gatewayURL() string { return strings.TrimSuffix(s.gateway.ready, "/readyz") }

// call makes a request of the api as an admin. Body is sent as JSON; a json.RawMessage as it is.
func (s *stage) call(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.api.ready, "/readyz")+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// parallel does n things, some at a time, until one fails.
func parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// createAgents makes n agents by the api, with the label "prod", further labels by number, and a region.
func (s *stage) createAgents(ctx context.Context, n int, labels func(i int) []string) error {
	s.agents = make([]fleet.Identity, n)
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("agent-%05d", i)
		all := []string{"prod"}
		if labels != nil {
			all = append(all, labels(i)...)
		}
		var made struct {
			Agent struct {
				ID string `json:"id"`
			} `json:"agent"`
			PAK string `json:"initial_pak"`
		}
		if err := s.call(ctx, http.MethodPost, "/agents", map[string]any{"name": name, "cluster_name": name, "status": "ACTIVE", "labels": all,
			"annotations": map[string]string{"region": fleet.Region(i)}, "generator_ids": []string{s.generator}}, &made); err != nil {
			return err
		}
		s.agents[i] = fleet.Identity{ID: made.Agent.ID, Name: name, PAK: made.PAK}
		return nil
	})
}

// createStack makes a stack with labels; policy is attached unless it is empty.
func (s *stage) createStack(ctx context.Context, name, policy string, labels ...string) (string, error) {
	var made struct {
		ID string `json:"id"`
	}
	if err := s.call(ctx, http.MethodPost, "/stacks", map[string]string{"name": name, "generator_id": s.generator}, &made); err != nil {
		return "", err
	}
	for _, l := range labels {
		if err := s.call(ctx, http.MethodPost, "/stacks/"+made.ID+"/labels", l, nil); err != nil {
			return "", err
		}
	}
	if policy == "" {
		return made.ID, nil
	}
	return made.ID, s.call(ctx, http.MethodPut, "/stacks/"+made.ID+"/placement-policy", map[string]string{"policy_id": policy}, nil)
}

// createPolicy stores a policy, given as YAML reads it into a map.
func (s *stage) createPolicy(ctx context.Context, document map[string]any) (string, error) {
	var made struct {
		ID string `json:"id"`
	}
	err := s.call(ctx, http.MethodPost, "/placement-policies?generator_id="+s.generator, document, &made)
	return made.ID, err
}

// manifest is a bundle of some size; text makes it another one.
func manifest(name, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: bench\ndata:\n  text: %q\n  filler: %q\n", name, text, strings.Repeat("brokkr ", 100))
}

// publish publishes a bundle and returns the deployment object's id, and the time at which it was sent.
func (s *stage) publish(ctx context.Context, stack, name, text string) (object string, at time.Time, err error) {
	var made struct {
		ID string `json:"id"`
	}
	at = time.Now()
	err = s.call(ctx, http.MethodPost, "/stacks/"+stack+"/deployment-objects", map[string]string{"yaml_content": manifest(name, text)}, &made)
	return made.ID, at, err
}

// number asks the database for a number.
func (s *stage) number(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	if err := s.db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	return n, nil
}

// simulate runs a fleet of the stage's agents until the returned function is called.
func (s *stage) simulate(ctx context.Context, agents []fleet.Identity, life fleet.Life, ramp time.Duration) (*fleet.Fleet, func(), error) {
	f, err := fleet.New(fleet.Config{Gateway: s.gatewayURL(), Agents: agents, Seed: s.o.Seed, Life: life, Ramp: ramp})
	if err != nil {
		return nil, func() {}, err
	}
	living, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(living) })
	end := func() {
		cancel()
		wg.Wait()
	}
	within, stop := context.WithTimeout(ctx, ramp+2*patience)
	defer stop()
	return f, end, f.Connected(within)
}

// poll asks every few milliseconds until done is true.
func poll(ctx context.Context, every, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}
