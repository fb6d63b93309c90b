package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/platform/httpserver"
)

const fakeTries = "DEMO_TEST_TRIES" // a file that grows with each start of the broker

func TestMain(m *testing.M) {
	if tries := os.Getenv(fakeTries); tries != "" && len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(fakeBroker(tries, os.Args))
	}
	os.Exit(m.Run())
}

// fakeBroker is one whose port is taken at its first start, after it has printed its key.
func fakeBroker(tries string, args []string) int {
	before, _ := os.ReadFile(tries)
	if err := os.WriteFile(tries, append(before, 'x'), 0o600); err != nil {
		return 1
	}
	key := "brokkr_BRtest_" + strings.Repeat("x", len(before)+1)
	fmt.Println("PAK: " + key)
	var addr string
	for i, a := range args {
		if a == "--addr" {
			addr = args[i+1]
		}
	}
	if len(before) == 0 { // another one is faster; what is said then is what the real one says
		if _, err := net.Listen("tcp", addr); err != nil {
			return 2
		}
		_, err := httpserver.Listen(httpserver.Config{Name: "broker", Addr: addr}, nil)
		fmt.Fprintln(os.Stderr, "brokkr-broker:", err)
		return 1
	}
	err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // of a test
		if r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Of two demos that begin at the same time both see that a port is free, and one gets it.
func TestABrokerWhosePortIsTakenMeanwhileIsStartedAtAnotherOne(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, "brokkr-broker")); err != nil {
		t.Fatal(err)
	}
	tries := filepath.Join(dir, "tries")
	t.Setenv(fakeTries, tries)
	d := &demo{options: options{bin: dir}, dir: dir, procs: newProcs(dir)}
	t.Cleanup(func() { _ = d.procs.stop() })
	if err := d.startBroker(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.pak != "brokkr_BRtest_xx" {
		t.Errorf("the key is %q, want that of the second start", d.pak)
	}
	if known, _ := d.knows(t.Context()); !known {
		t.Errorf("%s does not know the key", d.url)
	}
}

// Who answers at the address is not believed to be the broker before it knows the key.
func TestAnotherBrokerIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	d := &demo{pak: "brokkr_BRtest_x"}
	for status, want := range map[int]bool{http.StatusOK: true, http.StatusUnauthorized: false, http.StatusServiceUnavailable: false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		d.url = s.URL
		if known, err := d.knows(t.Context()); known != want {
			t.Errorf("%d: got %v, %v", status, known, err)
		}
	}
}

func TestTheDemoKeepsItsOwnSettings(t *testing.T) {
	t.Parallel()
	got := unsettled([]string{"PATH=/bin", "BROKKR__BROKER__TLS_CERT=/c.pem", "BROKKR_URL=http://elsewhere", "KUBECONFIG=/k", "MY_BROKKR_URL=x"})
	if want := []string{"PATH=/bin", "KUBECONFIG=/k", "MY_BROKKR_URL=x"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
