package accesstest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/colliery-io/brokkr/pkg/identity"
)

// Suite is how the matrix calls a service. W is its world for one test, Q a request in its words.
type Suite[W, Q any] struct {
	Service string // API or Gateway
	Doc     *openapi3.T
	// Elsewhere are operations of Process that this service leaves to another.
	Elsewhere []string
	// With runs f with a new world.
	With func(t *testing.T, f func(w W))
	// Requests has, for every operation, the call that succeeds for everybody who may make it: about a thing of the
	// owner generator, or of the agent itself.
	Requests map[string]func(w W) Q
	Do       func(w W, as string, q Q) *httptest.ResponseRecorder
	// Others are ids of the owner's things; Unknown returns q with other ids in their places.
	Others  func(w W) []string
	Unknown func(q Q, replace *strings.Replacer) Q
	// Calls counts the calls to the store so far, by method.
	Calls func(w W) map[string]int
	// Exceptions are answers that are not by the words of the access: operation, credential, outcome.
	Exceptions map[string]map[string]Outcome
}

// unknown has an id for each of a list of ids: one that nothing has.
func unknown(ids []string) *strings.Replacer {
	var pairs []string
	for i, id := range ids {
		none := fmt.Sprintf("00000000-0000-4000-8000-%012x", i)
		if len(id) != len(none) { // a checksum
			none = fmt.Sprintf("%0*x", len(id), i)
		}
		pairs = append(pairs, id, none)
	}
	return strings.NewReplacer(pairs...)
}

// Run calls every operation with every credential and prints how many checks that were.
func (s Suite[W, Q]) Run(t *testing.T) {
	t.Helper()
	ops := Operations(s.Doc)
	mine := slices.DeleteFunc(served(ops, s.Service), func(op string) bool { return slices.Contains(s.Elsewhere, op) })
	for op := range s.Requests {
		if !slices.Contains(mine, op) {
			t.Errorf("%s has a request, but is no operation of %s in the OpenAPI document", op, s.name())
		}
	}
	for op, o := range ops {
		if o.Service != API && o.Service != Gateway && o.Service != Process {
			t.Errorf("%s: x-brokkr-service %q is no service", op, o.Service)
		}
	}
	checks := 0
	for _, op := range mine {
		if _, known := identity.Words(ops[op].Access); !known {
			t.Errorf("%s: x-brokkr-access %q has an unknown word", op, ops[op].Access)
		}
		if slices.Contains(strings.Split(ops[op].Access, "|"), "viewer") && ops[op].Method != http.MethodGet {
			t.Errorf("%s: a viewer reads, but %s changes things", op, ops[op].Method)
		}
		if s.Requests[op] == nil {
			t.Errorf("%s is in no test: say in the requests of its group how it is called", op)
			continue
		}
		checks += len(Credentials())
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			s.operation(t, ops[op])
		})
	}
	t.Logf("matrix: %s: %d routes x %d credentials = %d checks", s.name(), len(mine), len(Credentials()), checks)
}

func (s Suite[W, Q]) name() string {
	if s.Service == API {
		return "api"
	}
	return s.Service
}

func (s Suite[W, Q]) operation(t *testing.T, op Operation) {
	s.With(t, func(denied W) {
		for _, as := range Credentials() {
			want := By(op.Access, as)
			if other, ok := s.Exceptions[op.ID][as]; ok {
				want = other
			}
			if want != Success {
				s.refused(t, denied, op, as, want)
			}
		}
	})
	for _, as := range Credentials() {
		want := By(op.Access, as)
		if other, ok := s.Exceptions[op.ID][as]; ok {
			want = other
		}
		if want == Success {
			s.With(t, func(w W) { s.admitted(t, w, op, as) })
		}
	}
}

// admitted checks an answer that is a success: as documented, and to others without a word about the owner's things.
func (s Suite[W, Q]) admitted(t *testing.T, w W, op Operation, as string) {
	t.Helper()
	rec := s.Do(w, as, s.Requests[op.ID](w))
	if rec.Code != op.Success {
		t.Errorf("as %s: status %d, want %d: %s", as, rec.Code, op.Success, rec.Body)
	}
	if as != GeneratorOther && as != AgentOther {
		return
	}
	for _, id := range s.Others(w) {
		if strings.Contains(rec.Body.String(), id) {
			t.Errorf("as %s: the answer tells of %s, which is another's: %s", as, id, rec.Body)
		}
	}
}

// refused checks a refusal, and that the answer, its headers and what was asked of the store are the same for the same
// call about things that do not exist.
func (s Suite[W, Q]) refused(t *testing.T, w W, op Operation, as string, want Outcome) {
	t.Helper()
	q, ids := s.Requests[op.ID](w), unknown(s.Others(w))
	before := s.Calls(w)
	rec := s.Do(w, as, q)
	asked := grown(before, s.Calls(w))
	if ok := map[Outcome]bool{
		Unauthenticated: rec.Code == http.StatusUnauthorized && rec.Body.Len() == 0,
		Denied:          rec.Code == http.StatusForbidden,
		NotThere:        rec.Code == http.StatusNotFound || rec.Code == http.StatusForbidden,
		Seen:            rec.Code == http.StatusForbidden,
	}[want]; !ok {
		t.Errorf("as %s: status %d, want %s: %s", as, rec.Code, want, rec.Body)
		return
	}
	if want == Seen {
		return
	}
	before = s.Calls(w)
	none := s.Do(w, as, s.Unknown(q, ids))
	if diff := cmp.Diff(shown(none, ids), shown(rec, ids)); diff != "" {
		t.Errorf("as %s: what is not yours (+) is answered other than what does not exist (-):\n%s", as, diff)
	}
	if diff := cmp.Diff(grown(before, s.Calls(w)), asked); diff != "" {
		t.Errorf("as %s: what is not yours (+) asks the store for other things than what does not exist (-), which takes another time:\n%s", as, diff)
	}
}

// String names the outcome.
func (o Outcome) String() string {
	return [...]string{"401 without a body", "403", "404 or 403", "403", "success"}[o]
}

// grown returns by how much the counts have grown.
func grown(before, after map[string]int) map[string]int {
	out := map[string]int{}
	for k, n := range after {
		if n != before[k] {
			out[k] = n - before[k]
		}
	}
	return out
}

// perCall are the headers that name the call itself.
var perCall = []string{"X-Request-Id", "Traceparent", "Date", "X-Ratelimit-Remaining"} //nolint:gochecknoglobals // constant list

var waiting = regexp.MustCompile(`^\d+$`) //nolint:gochecknoglobals // constant pattern

// shown is all that the caller sees of an answer, ids apart.
func shown(rec *httptest.ResponseRecorder, ids *strings.Replacer) map[string]string {
	out := map[string]string{"status": http.StatusText(rec.Code), "body": ids.Replace(rec.Body.String())}
	for k, v := range maps.All(rec.Header()) {
		if slices.Contains(perCall, k) {
			continue
		}
		value := ids.Replace(strings.Join(v, ", "))
		if k == "Retry-After" {
			value = waiting.ReplaceAllString(value, "some")
		}
		out[k] = value
	}
	return out
}

// StoreCalls counts the calls that went to an observed store so far, by role and method, but those that authenticate: a key
// is looked up once and remembered.
func StoreCalls(t testing.TB, registry prometheus.Gatherer) map[string]int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range families {
		if f.GetName() != "brokkr_store_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			var name []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "outcome" {
					name = append(name, l.GetValue())
				}
			}
			if strings.Join(name, " ") == "ByShort Credentials" {
				continue
			}
			out[strings.Join(name, " ")] += int(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}
