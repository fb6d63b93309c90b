package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// failures picks out of what `go test` prints which tests failed, and why. After a test's own lines come the logs of its
// processes, which may be megabytes: where the end is all that is kept of an output, the reason is not in it.
type failures struct {
	line   []byte // the present line, as much as is kept of it
	tests  []failed
	inside bool // the lines that come are those of the last one of tests
	more   int  // tests that were not kept
}

// failed is a test, or a trouble that belongs to none, such as a panic.
type failed struct {
	title  string
	indent string // before its own lines
	lines  []string
}

const (
	keptTests  = 50
	keptLines  = 6 // the last of a test: t.Fatal comes at the end
	keptLength = 400
)

var (
	failedTest = regexp.MustCompile(`^ *--- FAIL: `)
	otherTest  = regexp.MustCompile(`^ *--- (PASS|SKIP): `)
	said       = regexp.MustCompile(`^( +)\S+\.go:\d+: `)
	trouble    = regexp.MustCompile(`^(panic: |fatal error: |WARNING: DATA RACE|FAIL\t|\S+\.go:\d+:\d+: |\t+Test\w+ \(\d)`)
	logs       = regexp.MustCompile(`^ +\S+\.go:\d+: output of `) // testenv.Start's
)

// Write never fails.
func (f *failures) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := keptLength - len(f.line); room > 0 {
			f.line = append(f.line, part[:min(room, len(part))]...)
		}
		if whole {
			f.take(string(f.line))
			f.line = f.line[:0]
		}
		b = rest
	}
	return n, nil
}

func (f *failures) take(line string) {
	switch {
	case failedTest.MatchString(line):
		f.add(failed{title: strings.TrimSpace(line), indent: line[:strings.IndexByte(line, '-')] + "    "})
		f.inside = true
	case otherTest.MatchString(line):
		f.inside = false
	case trouble.MatchString(line):
		f.add(failed{title: strings.TrimSpace(line)})
		f.inside = false
	case f.inside && !logs.MatchString(line):
		last := &f.tests[len(f.tests)-1]
		if m := said.FindStringSubmatch(line); m == nil || m[1] != last.indent {
			return // a line of the same message, or a process's
		}
		if last.lines = append(last.lines, strings.TrimSpace(line)); len(last.lines) > keptLines {
			last.lines = last.lines[1:]
		}
	}
}

func (f *failures) add(t failed) {
	if len(f.tests) == keptTests {
		f.tests = f.tests[1:]
		f.more++
	}
	f.tests = append(f.tests, t)
}

// report writes what was found; nothing if nothing was.
func (f *failures) report(w io.Writer) {
	if len(f.tests) == 0 {
		return
	}
	fmt.Fprintln(w, "\ntestenv: what failed, once more, without the logs:")
	if f.more > 0 {
		fmt.Fprintf(w, "(%d before)\n", f.more)
	}
	for _, t := range f.tests {
		fmt.Fprintln(w, t.title)
		for _, line := range t.lines {
			fmt.Fprintln(w, "    "+line)
		}
	}
}
