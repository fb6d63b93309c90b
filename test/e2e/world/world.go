package world

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	_ "github.com/lib/pq" // driver "postgres"
	"github.com/redis/go-redis/v9"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/platform/seal"
)

// Options of a world; the zero value is the usual one.
type Options struct {
	Database     string   // URL of the database; default: an empty one of the shared server
	AgentEnv     []string // NAME=value, for the agents
	SchedulerEnv []string // NAME=value, for the schedulers
	Clusters     int      // with an agent each; default: 2
	NoAgents     bool     // neither clusters nor agents
	Traces       string   // URL of a collector; default: World.Traces
}

// World is one complete system: an api, two gateways behind a balancer, two schedulers, a database, a Redis, and two
// or more clusters with an agent each.
type World struct {
	T          testing.TB
	Database   string
	Redis      *testenv.RedisServer
	API        *Service
	Gateways   []*Service
	Schedulers []*Service
	Balancer   *Balancer
	Clusters   []*Cluster
	Agents     []*Agent
	Admin      *Client // at the api
	Tenant     Generator
	Traces     *Collector

	programs   Programs
	otlp       string // where the processes export to
	id         string
	sealingKey string
}

// Agent is the agent of one cluster. Its labels are "all" and its cluster's name, each made unique by World.Label.
type Agent struct {
	*Service
	ID, Name, PAK string
	Cluster       *Cluster
	Gate          *Gate
	env           []string
}

// All is the label that all agents have.
const All = "all"

// New starts a world; everything ends with the test.
func New(t testing.TB, programs Programs, o Options) *World {
	t.Helper()
	w := &World{T: t, programs: programs, id: strings.ToLower(rand.Text()[:8]), sealingKey: seal.Generate("k1")}
	if !o.NoAgents {
		for i, path := range testenv.Kubeconfigs(t, cmp.Or(o.Clusters, 2)) {
			w.Clusters = append(w.Clusters, openCluster(t, "c"+strconv.Itoa(i+1), path, "e2e-"+w.id))
		}
	}
	if w.Database = o.Database; w.Database == "" {
		w.Database = testenv.Postgres(t)
	}
	w.Redis = testenv.NewRedisServer(t)
	w.Traces = NewCollector(t)
	w.otlp = cmp.Or(o.Traces, w.Traces.URL())
	w.startControlPlane(o.SchedulerEnv)
	w.Tenant = w.NewGenerator("tenant")
	for _, c := range w.Clusters {
		w.Agents = append(w.Agents, w.startAgent(c, o.AgentEnv))
	}
	return w
}

// Unique makes a name that no other world has.
func (w *World) Unique(name string) string { return name + "-" + w.id }

// App is the sample application in this world's namespace.
func (w *World) App(name, text string, replicas int) App {
	return App{Name: name, Namespace: w.Clusters[0].Namespace, Text: text, Replicas: replicas}
}

// Services are all processes.
func (w *World) Services() []*Service {
	out := append([]*Service{w.API}, w.Gateways...)
	out = append(out, w.Schedulers...)
	for _, a := range w.Agents {
		out = append(out, a.Service)
	}
	return out
}

func (w *World) startControlPlane(schedulerEnv []string) {
	w.T.Helper()
	w.API = w.Server("api", w.programs.API, "BROKKR__API__ADDR")
	for i := range 2 {
		w.Gateways = append(w.Gateways, w.Server("gateway-"+strconv.Itoa(i+1), w.programs.Gateway, "BROKKR__GATEWAY__ADDR"))
		w.Schedulers = append(w.Schedulers, w.Server("scheduler-"+strconv.Itoa(i+1), w.programs.Scheduler, "BROKKR__SCHEDULER__ADDR", schedulerEnv...))
	}
	all := w.Services()
	for _, s := range all {
		s.StartUnready() // at the same time: they have to agree on who migrates
	}
	for _, s := range all {
		s.Ready()
	}
	w.Balancer = NewBalancer(w.T, w.Gateways[0].Addr, w.Gateways[1].Addr)
	key := regexp.MustCompile(`brokkr_BR[1-9A-HJ-NP-Za-km-z]{6}_[1-9A-HJ-NP-Za-km-z]{32,33}`)
	var pak string
	Eventually(w.T, Patience, "the first start prints an admin PAK", func() error {
		if pak = key.FindString(w.API.Logs()); pak == "" {
			return fmt.Errorf("no PAK in the api's output")
		}
		return nil
	})
	w.Admin = NewClient(w.API.URL(), pak)
}

// Server describes a server process on a free port; addrVar names the variable for its address.
func (w *World) Server(name, program, addrVar string, env ...string) *Service {
	w.T.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.FreePort(w.T)))
	return newService(w.T, name, addr, testenv.ProcSpec{
		Path: program, ReadyURL: "http://" + addr + "/readyz", Timeout: Patience,
		Env: append([]string{addrVar + "=" + addr, "DATABASE_URL=" + w.Database, "BROKKR__SECRETS__KEYS=" + w.sealingKey, "REDIS_URL=" + w.Redis.URL(), "BROKKR__ADMIN__ADDR=off",
			"BROKKR__OTLP__ENDPOINT=" + w.otlp, "OTEL_BSP_SCHEDULE_DELAY=100", "LOG_LEVEL=debug"}, env...),
	})
}

// NewAgent creates an agent that has no process: its id and key.
func (w *World) NewAgent(name string, labels ...string) (id, pak string) {
	w.T.Helper()
	var made struct {
		Agent Named  `json:"agent"`
		PAK   string `json:"initial_pak"`
	}
	w.Admin.Must(w.T, http.MethodPost, "/agents", map[string]any{
		"name": name, "cluster_name": name, "status": "ACTIVE", "labels": labels, "generator_ids": []string{w.Tenant.ID},
	}, http.StatusCreated, &made)
	return made.Agent.ID, made.PAK
}

func (w *World) startAgent(c *Cluster, env []string) *Agent {
	w.T.Helper()
	name := w.Unique(c.Name)
	namespace := c.Namespace + "-agent"
	c.addNamespace(namespace)
	a := &Agent{Name: name, Cluster: c, Gate: NewGate(w.T, c.Config)}
	a.ID, a.PAK = w.NewAgent(name, All, c.Name)
	kubeconfig := filepath.Join(w.T.TempDir(), "kubeconfig")
	if err := a.Gate.Kubeconfig(kubeconfig, namespace); err != nil {
		w.T.Fatalf("write kubeconfig: %v", err)
	}
	a.env = append([]string{
		"BROKKR__AGENT__PAK=" + a.PAK, "BROKKR__AGENT__BROKER_URL=" + w.Balancer.URL(), "BROKKR__AGENT__NAMESPACE=" + namespace,
		"KUBECONFIG=" + kubeconfig, "BROKKR__OTLP__ENDPOINT=" + w.otlp, "OTEL_BSP_SCHEDULE_DELAY=100", "LOG_LEVEL=debug",
	}, env...)
	a.Service = w.AgentProcess(a)
	a.Start()
	return a
}

// AgentProcess describes a process with the agent's configuration and further variables, on a port of its own.
func (w *World) AgentProcess(a *Agent, env ...string) *Service {
	w.T.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.FreePort(w.T)))
	return newService(w.T, "agent-"+a.Cluster.Name, addr, testenv.ProcSpec{
		Path: w.programs.Agent, Args: []string{"start"}, ReadyURL: "http://" + addr + "/readyz", Timeout: Patience,
		Env: append(append([]string{"BROKKR__AGENT__ADDR=" + addr}, a.env...), env...),
	})
}

// FlushRedis makes Redis forget everything.
func (w *World) FlushRedis(ctx context.Context) error {
	options, err := redis.ParseURL(w.Redis.URL())
	if err != nil {
		return err
	}
	c := redis.NewClient(options)
	defer c.Close()
	return c.FlushAll(ctx).Err()
}

// Expire makes a key one that was good until a minute ago. No route does that; time does.
func (w *World) Expire(key string) {
	w.T.Helper()
	db, err := sql.Open("postgres", w.Database)
	if err != nil {
		w.T.Fatalf("open database: %v", err)
	}
	defer db.Close()
	res, err := db.ExecContext(w.T.Context(), "UPDATE credentials SET expires_at = now() - interval '1 minute' WHERE short = $1", strings.Split(key, "_")[1])
	if err != nil {
		w.T.Fatalf("expire key: %v", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		w.T.Fatalf("expire key: %d rows, %v", n, err)
	}
}
