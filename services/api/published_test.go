package api_test

import (
	"bufio"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// fact is what clients of the published contract rely on in one operation.
type fact struct {
	id       string
	method   string
	path     string // without the names of its variables
	success  []string
	list     bool
	required []string
	reason   string // why ours differs; empty if it must not
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// published reads the table of facts.
func published(t *testing.T) []fact {
	t.Helper()
	f, err := os.Open("testdata/published-v1.txt")
	must(t, err)
	defer f.Close() //nolint:errcheck // it was read
	var out []fact
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, reason, differs := strings.Cut(lines.Text(), "!")
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(words) < 4 || differs != (strings.TrimSpace(reason) != "") {
			t.Fatalf("line %q is not: METHOD path operation codes fields [! reason]", lines.Text())
		}
		v := fact{id: words[2], method: words[0], path: variable.ReplaceAllString(words[1], "{}"), success: strings.Split(words[3], ","), reason: strings.TrimSpace(reason)}
		v.required = words[4:]
		if len(v.required) > 0 && v.required[0] == "list" {
			v.list, v.required = true, v.required[1:]
		}
		out = append(out, v)
	}
	return out
}

// ours returns the same facts of our document, by operation.
func ours(doc *openapi3.T) map[string]fact {
	out := map[string]fact{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			v := fact{id: op.OperationID, method: method, path: variable.ReplaceAllString(path, "{}")}
			answers := op.Responses.Map()
			for _, status := range slices.Sorted(maps.Keys(answers)) {
				answer := answers[status]
				if !strings.HasPrefix(status, "2") || onlyPreviewed(op, status) {
					continue
				}
				v.success = append(v.success, status)
				if body := answer.Value.Content.Get("application/json"); body != nil && status != "202" {
					v.list, v.required = shape(body.Schema.Value)
				}
			}
			out[v.id] = v
		}
	}
	return out
}

// onlyPreviewed reports whether an answer is one that only those get who ask for dry_run, which the published contract does not
// know.
func onlyPreviewed(op *openapi3.Operation, status string) bool {
	return status == "200" && op.Parameters.GetByInAndName("query", "dry_run") != nil
}

func shape(s *openapi3.Schema) (list bool, required []string) {
	if s.Type != nil && s.Type.Is("array") {
		list, s = true, s.Items.Value
	}
	required = slices.Clone(s.Required)
	for _, part := range s.AllOf {
		required = append(required, part.Value.Required...)
	}
	return list, required
}

// differences says how our operation breaks the promises of the published one.
func differences(want, got fact) []string {
	var out []string
	if want.method != got.method || want.path != got.path {
		out = append(out, "it is "+got.method+" "+got.path+", not "+want.method+" "+want.path)
	}
	if !slices.Equal(want.success, got.success) {
		out = append(out, "it succeeds with "+strings.Join(got.success, ",")+", not "+strings.Join(want.success, ","))
	}
	if want.list != got.list {
		out = append(out, "one answers a list and the other does not")
	}
	for _, field := range want.required {
		if !slices.Contains(got.required, field) {
			out = append(out, "its answer may lack "+field)
		}
	}
	return out
}

// The document keeps what the published one promises. What is not there yet is listed in toCome.
func TestPublishedContractIsKept(t *testing.T) {
	t.Parallel()
	mine := ours(loadContract(t).doc)
	var equal, deliberate int
	missing := []string{}
	all := published(t)
	for _, want := range all {
		got, there := mine[want.id]
		if !there {
			missing = append(missing, want.id)
			continue
		}
		diff := differences(want, got)
		switch {
		case len(diff) == 0 && want.reason == "":
			equal++
		case len(diff) == 0:
			t.Errorf("%s is said to differ (%s), but does not", want.id, want.reason)
		case want.reason != "":
			deliberate++
			t.Logf("%s differs on purpose: %s (%s)", want.id, strings.Join(diff, "; "), want.reason)
		default:
			t.Errorf("%s: %s", want.id, strings.Join(diff, "; "))
		}
	}
	t.Logf("contract: %d operations, %d equal, %d deliberate differences, %d missing", len(all), equal, deliberate, len(missing))
	slices.Sort(missing)
	if unknown := slices.DeleteFunc(slices.Clone(missing), func(id string) bool { return toCome()[id] }); len(unknown) > 0 {
		t.Errorf("missing operations of the published contract: %v", unknown)
	}
	for _, id := range slices.Sorted(maps.Keys(toCome())) {
		if _, there := mine[id]; there {
			t.Errorf("%s is there: take it out of toCome", id)
		}
	}
}

// A difference is found: the test above is not blind.
func TestDifferencesAreFound(t *testing.T) {
	t.Parallel()
	same := fact{id: "x", method: "GET", path: "/x/{}", success: []string{"200"}, list: true, required: []string{"id"}}
	for name, change := range map[string]func(*fact){
		"method": func(f *fact) { f.method = "POST" }, "path": func(f *fact) { f.path = "/y" }, "code": func(f *fact) { f.success = []string{"201"} },
		"another code": func(f *fact) { f.success = []string{"200", "202"} }, "list": func(f *fact) { f.list = false }, "field": func(f *fact) { f.required = nil },
	} {
		other := same
		change(&other)
		if len(differences(same, other)) != 1 {
			t.Errorf("%s: got %v, want one difference", name, differences(same, other))
		}
	}
	more := same
	more.required = []string{"id", "new"}
	if diff := cmp.Diff([]string(nil), differences(same, more)); diff != "" {
		t.Errorf("one more field: %s", diff)
	}
}

// toCome are the operations that are not there yet: none.
func toCome() map[string]bool {
	return map[string]bool{}
}
