package api_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/platform/problem"
)

// texts are the sources and the tests of all that answers requests.
func texts(t *testing.T) (sources map[string]string, tests string) {
	t.Helper()
	sources = map[string]string{}
	var all strings.Builder
	for _, root := range []string{"../../services/", "../../pkg/"} {
		must(t, fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(root + path) //nolint:gosec // a source file of this repository
			switch name := strings.TrimPrefix(root, "../../") + path; {
			case strings.HasSuffix(path, "_test.go"), strings.HasPrefix(path, "ports/porttest/"):
				all.Write(text)
			case !strings.HasPrefix(name, "services/agent/") && !strings.HasPrefix(name, "pkg/adapters/kube/"): // their faults are no answers
				sources[name] = string(text)
			}
			return err
		}))
	}
	return sources, all.String()
}

// statusesMade returns with which statuses each code is made, where that shows in the source.
func statusesMade(sources map[string]string) map[string]map[string]bool {
	kinds := map[string]fault.Kind{
		"Invalid": fault.Invalid, "Unauthenticated": fault.Unauthenticated, "Forbidden": fault.Forbidden, "NotFound": fault.NotFound, "Conflict": fault.Conflict,
		"Refused": fault.Refused, "Limited": fault.Limited, "Unavailable": fault.Unavailable, "Internal": fault.Internal,
	}
	made := map[string]map[string]bool{}
	add := func(code string, k fault.Kind) {
		if made[code] == nil {
			made[code] = map[string]bool{}
		}
		made[code][strconv.Itoa(problem.Status(fault.New(k, code, "")))] = true
	}
	for _, text := range sources {
		for _, m := range regexp.MustCompile(`fault\.Newf?\(fault\.(\w+),\s*"([a-z0-9_]+)"`).FindAllStringSubmatch(text, -1) {
			add(m[2], kinds[m[1]])
		}
		for _, m := range regexp.MustCompile(`\bnotFound\("([a-z0-9_]+)"`).FindAllStringSubmatch(text, -1) {
			add(m[1], fault.NotFound)
		}
	}
	return made
}

// codesOf is the table of all codes in the OpenAPI document.
func codesOf(t *testing.T, c contract) map[string][]string {
	t.Helper()
	table, _ := c.doc.Components.Schemas["ErrorResponse"].Value.Extensions["x-brokkr-codes"].(map[string]any)
	out := map[string][]string{}
	for code, statuses := range table {
		list, _ := statuses.([]any)
		for _, s := range list {
			out[code] = append(out[code], fmt.Sprint(s))
		}
	}
	return out
}

// Every row of the published error table is made somewhere and asserted by a test, and has its status in the OpenAPI document; or the
// table says why it is never answered, and then no source makes it.
func TestEveryRowOfTheErrorTableIsProduced(t *testing.T) {
	t.Parallel()
	files, tests := texts(t)
	sources, made, documented := strings.Join(slices.Collect(maps.Values(files)), ""), statusesMade(files), codesOf(t, loadContract(t))
	table, err := os.ReadFile("testdata/error-codes.txt")
	must(t, err)
	guide, err := os.ReadFile("../../docs/published-v1.md")
	must(t, err)
	rows := 0
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		rows++
		row, reason, never := strings.Cut(strings.TrimSpace(line), " ! ")
		status, code, ok := strings.Cut(row, " ")
		quoted := `"` + code + `"`
		if !strings.Contains(string(guide), "`"+code+"`") {
			t.Errorf("docs/published-v1.md does not tell of %s", code)
		}
		switch {
		case !ok:
			t.Errorf("row %q is not: status code [! reason]", line)
		case never && (reason == "" || made[code] != nil || documented[code] != nil):
			t.Errorf("%s is said to be never answered (%q), and a source or the document has it", code, reason)
		case never:
		case !strings.Contains(sources, quoted):
			t.Errorf("%s %s is made nowhere", status, code)
		case !strings.Contains(tests, quoted):
			t.Errorf("%s %s is asserted by no test", status, code)
		case status != strings.Join(documented[code], ","):
			t.Errorf("%s: x-brokkr-codes has %v, want %s", code, documented[code], status)
		}
	}
	if rows < 80 {
		t.Errorf("%d rows, want the whole table", rows)
	}
	t.Logf("%d rows", rows)
}

// Every code that is answered is in the OpenAPI document, with the one status that it has; where it has several, with all.
func TestEveryCodeHasOneStatus(t *testing.T) {
	t.Parallel()
	files, _ := texts(t)
	sources, made, documented := strings.Join(slices.Collect(maps.Values(files)), ""), statusesMade(files), codesOf(t, loadContract(t))
	several := map[string]bool{"invalid_webhook": true} // as published: ranges are 422, everything else 400
	for code, statuses := range documented {
		if len(statuses) != 1 && !several[code] {
			t.Errorf("%s has the statuses %v, want one", code, statuses)
		}
		if !strings.Contains(sources, `"`+code+`"`) {
			t.Errorf("%s is documented and made nowhere", code)
		}
		if got := slices.Sorted(maps.Keys(made[code])); got != nil && !slices.Equal(got, statuses) {
			t.Errorf("%s is made with %v, x-brokkr-codes has %v", code, got, statuses)
		}
	}
	inside := map[string]bool{ // what a process tells itself, or nobody
		"invalid_pak_hash": true, "cache_unavailable": true, "signals_unavailable": true, "invalid_frame": true, "unknown_frame": true,
	}
	answers := map[string]string{}
	for name, text := range files {
		if strings.HasPrefix(name, "services/api/") || strings.HasPrefix(name, "services/gateway/") || strings.HasPrefix(name, "pkg/identity/") || strings.HasPrefix(name, "pkg/platform/rpc/") {
			answers[name] = text
		}
	}
	for code := range statusesMade(answers) {
		if documented[code] == nil && !inside[code] {
			t.Errorf("%s is not in x-brokkr-codes of the OpenAPI document", code)
		}
	}
	if len(documented) < 150 {
		t.Errorf("%d codes, want all of them", len(documented))
	}
	t.Logf("%d codes", len(documented))
}
