package process_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/pkg/platform/lifecycle"
	"github.com/colliery-io/brokkr/pkg/platform/telemetry"
	"github.com/colliery-io/brokkr/pkg/process"
)

// Metrics are for whoever reaches the admin's listener; profiles are for this machine, unless it is told otherwise.
func TestProfilesAreForThisMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host  string
		pprof bool
		want  int
	}{
		"loopback":        {host: "127.0.0.1", want: http.StatusOK},
		"by name":         {host: "localhost", want: http.StatusOK},
		"every address":   {host: "", want: http.StatusNotFound},
		"also by address": {host: "0.0.0.0", want: http.StatusNotFound},
		"admin.pprof":     {host: "0.0.0.0", pprof: true, want: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that is free
			if err != nil {
				t.Fatal(err)
			}
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil || l.Close() != nil {
				t.Fatal(err)
			}
			tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "x", Version: "1.2.3", Output: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			p := &process.Process{Telemetry: tel, Group: &lifecycle.Group{Log: tel.Log, Grace: time.Second}}
			conf := process.Defaults(net.JoinHostPort(c.host, port))
			conf.Admin.PProf = c.pprof
			if err := p.AddAdmin(conf); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Group.Run(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			for path, want := range map[string]int{"/metrics": http.StatusOK, "/debug/pprof/": c.want, "/debug/pprof/heap": c.want} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, strings.NewReader(""))
				if err != nil {
					t.Fatal(err)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != want {
					t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
				}
			}
		})
	}
}
