package main

import (
	"fmt"
	"strings"
	"testing"
)

// What go test prints of a journey that failed, of subtests, of a panic, and of a package that does not compile.
const printed = `ok  	example.com/a	0.1s
--- FAIL: TestPostgresRestarted (66.52s)
    stores_test.go:71: healthy after 1.2s
    stores_test.go:112: drift is corrected in c1: not within 1m0s: services "app" not found
    proc.go:75: output of api (signal: killed):
        {"time":"2026-01-01T00:00:00Z","msg":"x"}
        somewhere.go:12: a line of a process
    proc.go:75: output of agent-c1 (signal: killed):
        --- nothing
    stores_test.go:140: remove folder: not empty
--- FAIL: TestTable (0.01s)
    --- PASS: TestTable/good (0.00s)
        x_test.go:3: of no interest
    --- FAIL: TestTable/bad (0.00s)
        x_test.go:5: got 1, want 2
            x_test.go:9: of the same message
FAIL
FAIL	example.com/b	70.1s
panic: test timed out after 30m0s
	running tests:
		TestSlow (29m50s)

goroutine 1 [running]:
	/x/y.go:12 +0x1d
FAIL	example.com/c	1800.0s
# example.com/d
d/d.go:7:2: undefined: nothing
FAIL	example.com/d [build failed]
`

func TestFailuresAreToldWithoutLogs(t *testing.T) {
	const want = `
testenv: what failed, once more, without the logs:
--- FAIL: TestPostgresRestarted (66.52s)
    stores_test.go:71: healthy after 1.2s
    stores_test.go:112: drift is corrected in c1: not within 1m0s: services "app" not found
    stores_test.go:140: remove folder: not empty
--- FAIL: TestTable (0.01s)
--- FAIL: TestTable/bad (0.00s)
    x_test.go:5: got 1, want 2
FAIL	example.com/b	70.1s
panic: test timed out after 30m0s
TestSlow (29m50s)
FAIL	example.com/c	1800.0s
d/d.go:7:2: undefined: nothing
FAIL	example.com/d [build failed]
`
	for _, size := range []int{1, 7, len(printed)} { // however it is cut on its way
		var f failures
		for rest := printed; rest != ""; {
			n := min(size, len(rest))
			if _, err := f.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		var b strings.Builder
		f.report(&b)
		if b.String() != want {
			t.Errorf("in parts of %d: got %s\nwant %s", size, b.String(), want)
		}
	}
}

func TestFailuresStayFew(t *testing.T) {
	var f failures
	for i := range 1000 {
		fmt.Fprintf(&f, "--- FAIL: Test%d (0.00s)\n", i)
		for j := range 100 {
			fmt.Fprintf(&f, "    x_test.go:%d: %s\n", j, strings.Repeat("x", 10_000))
		}
	}
	var b strings.Builder
	f.report(&b)
	lines := strings.Split(b.String(), "\n")
	if n := len(b.String()); n > keptTests*(keptLines+1)*(keptLength+20) || !strings.Contains(b.String(), "Test999") || lines[2] != fmt.Sprintf("(%d before)", 1000-keptTests) {
		t.Errorf("%d bytes, beginning with %q", n, lines[:4])
	}
	var nothing strings.Builder
	(&failures{}).report(&nothing)
	if nothing.Len() > 0 {
		t.Errorf("without a failure: %q", nothing.String())
	}
}

func TestACommandThatFailsEndsWithWhatFailed(t *testing.T) {
	var out, told strings.Builder
	code, err := runCommand(t.Context(), []string{"sh", "-c", `printf -- '--- FAIL: TestIt (0s)\n    it_test.go:1: why\n    proc.go:2: output of x:\n'; exit 3`}, nil, &out, &told)
	if code != 3 || err != nil || !strings.HasPrefix(out.String(), "--- FAIL: TestIt") || !strings.HasSuffix(told.String(), "--- FAIL: TestIt (0s)\n    it_test.go:1: why\n") {
		t.Errorf("got %d, %v, output %q, then %q", code, err, out.String(), told.String())
	}
}
