// Package testenv gives tests the real things that they need: databases, Redis servers, Kubernetes API servers and
// processes of ours. The command in cmd/testenv starts the shared ones and says where they are by environment variables;
// `make test` runs all tests under it.
//
// A test whose servers are missing is skipped on a laptop and fails where CI is set.
package testenv

import (
	"net"
	"os"
	"strings"
	"testing"
)

// Environment variables that say where the shared servers are.
const (
	EnvPostgres    = "BROKKR_TEST_POSTGRES"    // URL of a database of a superuser
	EnvRedis       = "BROKKR_TEST_REDIS"       // redis:// URL
	EnvKubeconfigs = "BROKKR_TEST_KUBECONFIGS" // paths, comma separated
)

// Missing skips the test, or fails it in CI.
func Missing(t testing.TB, what string) {
	t.Helper()
	if ci := os.Getenv("CI"); ci != "" && ci != "0" && ci != "false" {
		t.Fatalf("%s, and CI is set: run the tests by `make test`", what)
	}
	t.Skipf("%s: run the tests by `make test`", what)
}

// Kubeconfigs returns the paths of kubeconfigs for n different clusters, with administrator's rights. The clusters are
// shared by all tests: a test keeps to namespaces and cluster-wide names of its own, and removes them.
func Kubeconfigs(t testing.TB, n int) []string {
	t.Helper()
	var paths []string
	for p := range strings.SplitSeq(os.Getenv(EnvKubeconfigs), ",") {
		if p = strings.TrimSpace(p); p != "" {
			paths = append(paths, p)
		}
	}
	if len(paths) == 0 {
		Missing(t, EnvKubeconfigs+" is not set")
	}
	if len(paths) < n {
		Missing(t, "the test needs more clusters than "+EnvKubeconfigs+" has")
	}
	return paths[:n]
}

// FreePort returns a TCP port of the loopback address that was free just now. Prefer to let a program listen on port 0
// and say which port it got.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	return port
}

func freePort() (int, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
