package e2e

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/test/e2e/world"
)

// What keeps a process from starting is said in one clear line, and ends it with a status that is not zero.
func TestStartsThatCannotWork(t *testing.T) {
	w := world.New(t, programs, world.Options{NoAgents: true})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	nobody := testenv.Nobody(t)
	absent := w.Database[:strings.Index(w.Database, "://")] + "://nobody@" + nobody + "/brokkr?sslmode=disable"
	missing := otherDatabase(t, w.Database, "there_is_no_such_database")
	for _, server := range []struct{ name, program, addr string }{
		{"api", programs.API, "BROKKR__API__ADDR"},
		{"gateway", programs.Gateway, "BROKKR__GATEWAY__ADDR"},
		{"scheduler", programs.Scheduler, "BROKKR__SCHEDULER__ADDR"},
	} {
		for name, c := range map[string]struct {
			env  string
			says []string
		}{
			"taken port":       {server.addr + "=" + taken.Addr().String(), []string{taken.Addr().String(), "in use", server.name + ".addr"}},
			"absent server":    {"DATABASE_URL=" + absent, []string{nobody, "refused"}},
			"absent database":  {"DATABASE_URL=" + missing, []string{"there_is_no_such_database", "does not exist"}},
			"no database":      {"DATABASE_URL=", []string{"no database", "DATABASE_URL"}},
			"no URL for redis": {"REDIS_URL=localhost", []string{"redis.url"}},
			"bad log level":    {"LOG_LEVEL=loud", []string{"log.level", "loud"}},
		} {
			t.Run(server.name+" "+name, func(t *testing.T) {
				s := w.Server(server.name, server.program, server.addr, c.env)
				s.StartUnready()
				if code := s.Proc().Wait(t, world.Patience); code <= 0 {
					t.Errorf("got exit status %d, want one that is not zero", code)
				}
				wantLastLine(t, s.Logs(), c.says...)
			})
		}
	}
}

// wantLastLine looks at the line with which a program ended.
func wantLastLine(t *testing.T, logs string, says ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(logs), "\n")
	last := lines[len(lines)-1]
	for _, s := range says {
		if !strings.Contains(last, s) {
			t.Errorf("the last line is %q, want one with %q", last, s)
		}
	}
	if strings.HasPrefix(last, "{") || regexp.MustCompile(`goroutine \d+`).MatchString(logs) {
		t.Errorf("not one line for a person:\n%s", logs)
	}
}

// An agent that cannot reach its broker or API server waits and says why; with a key that cannot be right it says so.
func TestAgentSaysWhatItWaitsFor(t *testing.T) {
	w := world.New(t, programs, world.Options{})
	a := w.Agents[0]
	nobody := "http://" + testenv.Nobody(t)
	t.Run("unreachable broker", func(t *testing.T) {
		s := w.AgentProcess(a, "BROKKR__AGENT__BROKER_URL="+nobody)
		s.StartUnready()
		line := s.Proc().WaitLog(t, "waiting for the broker", world.Patience)
		if !strings.Contains(line, nobody) || !strings.Contains(line, "refused") {
			t.Errorf("got %q, want a line that says where and why", line)
		}
		select {
		case <-s.Proc().Done():
			t.Error("the agent has ended, want it to wait")
		case <-time.After(time.Second):
		}
		s.Kill()
	})
	t.Run("malformed key", func(t *testing.T) {
		s := w.AgentProcess(a, "BROKKR__AGENT__PAK=garbage")
		s.StartUnready()
		if code := s.Proc().Wait(t, world.Patience); code <= 0 {
			t.Errorf("got exit status %d", code)
		}
		if strings.Contains(s.Logs(), "garbage") {
			t.Error("the log repeats the key")
		}
	})
	t.Run("no broker given", func(t *testing.T) {
		s := w.AgentProcess(a, "BROKKR__AGENT__BROKER_URL=")
		s.StartUnready()
		if code := s.Proc().Wait(t, world.Patience); code <= 0 {
			t.Errorf("got exit status %d", code)
		}
		wantLastLine(t, s.Logs(), "broker_url")
	})
}

func otherDatabase(t *testing.T, dsn, name string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
