package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Rates are what the machine does at this moment, measured beside each row: times differ from machine to machine, ratios
// to these hardly do.
type Rates struct {
	Selects float64 `json:"select_1_per_second"`       // SELECT 1, one connection, one at a time
	Commits float64 `json:"single_inserts_per_second"` // a row inserted and committed, one connection, one at a time
	Bare    float64 `json:"bare_requests_per_second"`  // a handler that does nothing, 16 connections
}

// smoke is the scale below which a run only shows that everything works.
const smoke = 0.05

// calibration is how long each rate is measured.
func (o Options) calibration() time.Duration {
	if o.Scale < smoke {
		return 50 * time.Millisecond
	}
	return 700 * time.Millisecond
}

// calibrate measures the rates.
func (s *stage) calibrate(ctx context.Context) (Rates, error) {
	var r Rates
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return r, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS bench_calibration (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)"); err != nil {
		return r, fmt.Errorf("calibrate: %w", err)
	}
	rate := func(query string) (float64, error) {
		began, n := time.Now(), 0
		for ; time.Since(began) < s.o.calibration(); n++ {
			if _, err := conn.ExecContext(ctx, query); err != nil {
				return 0, fmt.Errorf("calibrate: %w", err)
			}
		}
		return float64(n) / time.Since(began).Seconds(), nil
	}
	if r.Selects, err = rate("SELECT 1"); err != nil {
		return r, err
	}
	if r.Commits, err = rate("INSERT INTO bench_calibration (text) VALUES ('a row of some fifty bytes, as a single change has')"); err != nil {
		return r, err
	}
	r.Bare, err = bare(ctx, s.o.calibration())
	return r, err
}

func bare(ctx context.Context, calibration time.Duration) (float64, error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	began := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	n, failed := 0, error(nil)
	for range workers {
		wg.Go(func() {
			mine := 0
			for ; time.Since(began) < calibration; mine++ {
				if err := get(ctx, client, server.URL, nil); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
			mu.Lock()
			n += mine
			mu.Unlock()
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds(), failed
}

// span is what is measured between two moments.
type span struct {
	s     *stage
	began time.Time
	at    map[string]float64
	rates Rates
}

// begin calibrates, and notes what the processes have used until now.
func (s *stage) begin(ctx context.Context, row string) (*span, error) {
	r, err := s.calibrate(ctx)
	if err != nil {
		return nil, err
	}
	if s.o.Profiles != "" {
		for _, p := range s.processes {
			go s.profile(ctx, p, row)
		}
	}
	return &span{s: s, began: time.Now(), at: s.cpu(), rates: r}, nil
}

// profile stores what a process does in the next seconds; one that is only starting is waited for.
func (s *stage) profile(ctx context.Context, p *process, row string) {
	var text []byte
	for range 100 {
		if err := get(ctx, http.DefaultClient, p.admin+"/debug/pprof/profile?seconds=8", &text); err == nil {
			break
		}
		sleep(ctx, 50*time.Millisecond)
	}
	path := filepath.Join(s.o.Profiles, "row"+row+"-"+p.name+".pprof")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		fmt.Fprintln(s.o.Log, "profile:", err)
	}
}

// cpu is the CPU time of every process so far, the simulator's own included.
func (s *stage) cpu() map[string]float64 {
	out := map[string]float64{"postgres": treeCPU(s.postgres), "fleetsim": cpuOf(os.Getpid(), false)}
	for _, p := range s.processes {
		out[p.name] = p.usage().cpu
	}
	return out
}

// end fills in what was used since the beginning.
func (x *span) end(r *Result) {
	r.Seconds = time.Since(x.began).Seconds()
	r.CPU, r.Peak = map[string]float64{}, map[string]float64{"fleetsim": mb(peakOf(os.Getpid()))}
	for name, now := range x.s.cpu() {
		r.CPU[name] = round(now - x.at[name])
	}
	for _, p := range x.s.processes {
		r.Peak[p.name] = mb(p.usage().peak)
	}
	r.Rates, r.Seed = x.rates, x.s.o.Seed
}

// perThing notes the CPU time that each of n things took, in the broker's processes and in PostgreSQL: it says how fast an idle
// machine would be even where others work on this one.
func (x *span) perThing(r *Result, what string, n int) {
	sum := r.CPU["postgres"]
	for _, p := range x.s.processes {
		sum += r.CPU[p.name]
	}
	r.Details["cpu_ms_per_"+what] = round(sum * 1000 / float64(max(n, 1)))
}

func mb(bytes int64) float64 { return round(float64(bytes) / (1 << 20)) }

func round(x float64) float64 { return float64(int64(x*1000+0.5)) / 1000 }

// times of a row in milliseconds.
func times(all []time.Duration) *Times {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.Sort(all)
	at := func(q float64) float64 { return ms(all[min(int(q*float64(len(all))), len(all)-1)]) }
	return &Times{N: len(all), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: ms(all[len(all)-1])}
}

func ms(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
