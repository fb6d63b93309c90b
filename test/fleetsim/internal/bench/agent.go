package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What one agent may use, of row 16.
const (
	idleMemory  = 25.0  // MB resident
	idleCPU     = 2.0   // thousandths of a core
	busyMemory  = 120.0 // MB resident
	ofEachStack = 100   // objects
)

// agentFootprint measures row 16: the agent's program itself on a real API server, with nothing to do and with many objects to keep.
func agentFootprint(ctx context.Context, r *run) (err error) {
	if r.o.Kubeconfig == "" {
		if len(r.o.Rows) > 0 {
			return errors.New("row 16 needs an API server, and BROKKR_TEST_KUBECONFIGS names none: make bench-fleet ROWS=16 starts one")
		}
		r.say("row 16 is left out: BROKKR_TEST_KUBECONFIGS names no API server")
		return nil
	}
	if err := r.createAgents(ctx, 1, nil); err != nil {
		return err
	}
	name := "bench-" + strings.ToLower(rand.Text()[:8])
	agent, err := r.agentProcess(name)
	if err != nil {
		return err
	}
	if err := agent.start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.stop()) }()
	if err := agent.await(ctx); err != nil {
		return err
	}
	x, err := r.begin(ctx, "16")
	if err != nil {
		return err
	}
	out := Result{Row: "16", What: "the agent's memory and CPU, idle and with objects to keep",
		Target: "idle <= 25 MB and 0.002 core, with 5,000 objects <= 120 MB", Unit: "of the tightest bound", Limit: 1, Full: r.o.Scale >= 1, Details: map[string]float64{}}
	window := max(time.Duration(r.o.Scale*float64(2*time.Minute)), 5*time.Second)
	idle, err := r.rest(ctx, agent, window)
	if err != nil {
		return err
	}
	stacks := r.sized(50, 2)
	if err := r.giveObjects(ctx, name, stacks); err != nil {
		return err
	}
	busy, err := r.rest(ctx, agent, window)
	if err != nil {
		return err
	}
	for what, of := range map[string]footprint{"idle": idle, "with_objects": busy} {
		out.Details[what+"_rss_mb"], out.Details[what+"_peak_mb"], out.Details[what+"_anonymous_mb"] = of.resident, of.peak, of.anonymous
		out.Details[what+"_cpu_thousandths"] = of.cpu
	}
	out.Scale = fmt.Sprintf("1 agent, %d objects in %d stacks, %s each to look at it", stacks*ofEachStack, stacks, window)
	out.Value = round(max(idle.resident/idleMemory, idle.cpu/idleCPU, busy.resident/busyMemory))
	out.Ratio = Ratio{round(busy.resident / idle.resident), "x the memory of the idle agent"}
	x.end(&out)
	out.CPU["agent"], out.Peak["agent"] = round(agent.usage().cpu), mb(agent.usage().peak)
	r.add(out)
	return nil
}

// agentProcess is the program of the stage's first agent, which keeps what is its own in a namespace with this name.
func (r *run) agentProcess(name string) (*process, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return &process{name: "agent", path: filepath.Join(r.o.Programs, "brokkr-agent"), args: []string{"start"}, ready: "http://" + addr + "/readyz", admin: "http://" + addr,
		log: filepath.Join(r.dir, r.label+"-agent.log"), env: []string{"BROKKR__AGENT__PAK=" + r.agents[0].PAK, "BROKKR__AGENT__BROKER_URL=" + r.gatewayURL(),
			"BROKKR__AGENT__ADDR=" + addr, "BROKKR__AGENT__KUBECONFIG=" + r.o.Kubeconfig, "BROKKR__AGENT__NAMESPACE=" + name}}, nil
}

// giveObjects publishes stacks of ConfigMaps with half a kilobyte each, in a namespace that the first of them makes, and waits until
// the agent says that all are healthy.
func (r *run) giveObjects(ctx context.Context, name string, stacks int) error {
	r.say("%d objects in %d stacks", stacks*ofEachStack, stacks)
	namespace := name + "-objects"
	for i := range stacks {
		id, err := r.createStack(ctx, "objects-"+strconv.Itoa(i), "", "prod")
		if err != nil {
			return err
		}
		var bundle strings.Builder
		if i == 0 {
			fmt.Fprintf(&bundle, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n---\n", namespace)
		}
		for n := range ofEachStack {
			fmt.Fprintf(&bundle, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: stack-%d-%d\n  namespace: %s\ndata:\n  text: %q\n---\n", i, n, namespace, strings.Repeat("brokkr ", 70))
		}
		if err := r.call(ctx, http.MethodPost, "/stacks/"+id+"/deployment-objects", map[string]string{"yaml_content": bundle.String()}, nil); err != nil {
			return err
		}
		if i == 0 { // the others need the namespace
			if err := r.untilHealthy(ctx, 1); err != nil {
				return err
			}
		}
	}
	return r.untilHealthy(ctx, stacks)
}

func (r *run) untilHealthy(ctx context.Context, stacks int) error {
	return poll(ctx, time.Second, 20*patience, "the agent to keep all objects", func() (bool, error) {
		n, err := r.number(ctx, "SELECT count(*) FROM assignment_status WHERE phase = 'applied' AND health = 'healthy'")
		return n >= int64(stacks), err
	})
}

// footprint is what a process is like: memory in MB (10^6 bytes) and CPU time in thousandths of a core.
type footprint struct{ resident, peak, anonymous, cpu float64 }

// rest waits until the process has calmed down, and measures it for a while.
func (r *run) rest(ctx context.Context, p *process, window time.Duration) (footprint, error) {
	sleep(ctx, window/4)
	pid := p.cmd.Process.Pid
	before, began := cpuOf(pid, false), time.Now()
	var f footprint
	for time.Since(began) < window && ctx.Err() == nil {
		sleep(ctx, time.Second)
		f.resident = max(f.resident, float64(statusOf(pid, "VmRSS:"))/1e6)
		f.anonymous = max(f.anonymous, float64(statusOf(pid, "RssAnon:"))/1e6)
	}
	if f.resident == 0 {
		return f, errors.Join(ctx.Err(), errors.New("the agent has ended, or there is no /proc that tells of it"))
	}
	f.cpu = round((cpuOf(pid, false) - before) * 1000 / time.Since(began).Seconds())
	f.peak = round(float64(peakOf(pid)) / 1e6)
	f.resident, f.anonymous = round(f.resident), round(f.anonymous)
	return f, ctx.Err()
}
