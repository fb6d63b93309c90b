package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
)

type manifestChange struct {
	Change string `json:"change"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Fields []struct {
		Path string          `json:"path"`
		From json.RawMessage `json:"from"`
		To   json.RawMessage `json:"to"`
	} `json:"fields"`
	More int `json:"more_fields"`
}

type preview struct {
	Base *struct {
		ID string `json:"deployment_object_id"`
	} `json:"base"`
	Checksum  string           `json:"yaml_checksum"`
	Changes   []manifestChange `json:"changes"`
	Unchanged int              `json:"unchanged"`
	Masked    int              `json:"secrets_not_compared"`
	Clusters  []struct {
		Agent   string `json:"agent_name"`
		Cluster string `json:"cluster_name"`
		Effect  string `json:"effect"`
		Reasons []struct {
			Rule string `json:"rule"`
		} `json:"reasons"`
	} `json:"clusters"`
	Hold *struct {
		Reason string `json:"reason"`
	} `json:"hold"`
}

// changeLines says changes in short.
func changeLines(all []manifestChange) []string {
	out := []string{}
	for _, c := range all {
		out = append(out, c.Change+" "+c.Kind+" "+c.Name)
		for _, f := range c.Fields {
			out = append(out, fmt.Sprintf("%s: %s -> %s", f.Path, f.From, f.To))
		}
		if c.More > 0 {
			out = append(out, fmt.Sprintf("and %d more", c.More))
		}
	}
	return out
}

func (p preview) lines() []string {
	out := append(changeLines(p.Changes), fmt.Sprintf("%d unchanged", p.Unchanged))
	for _, c := range p.Clusters {
		rules := make([]string, 0, len(c.Reasons))
		for _, r := range c.Reasons {
			rules = append(rules, r.Rule)
		}
		out = append(out, fmt.Sprintf("%s %s %s: %s", c.Effect, c.Agent, c.Cluster, strings.Join(rules, ",")))
	}
	if p.Hold != nil {
		out = append(out, "held: "+p.Hold.Reason)
	}
	return out
}

// dryRun asks what publishing would do; content is a JSON body if it begins with a brace.
func dryRun(s stack.ID, content, query string) request {
	q := request{method: http.MethodPost, path: "/stacks/" + string(s) + "/deployment-objects?dry_run=true" + query, body: content}
	if !strings.HasPrefix(content, "{") {
		q.contentType = "application/yaml"
	}
	return q
}

func TestPreview(t *testing.T) {
	t.Parallel()
	const other = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\n"
	target := func(s func(w *world) stack.ID, a func(w *world) agent.ID) func(w *world) {
		return func(w *world) {
			must(w.t, w.store.Agents().AddTarget(w.t.Context(), agent.Target{ID: agent.TargetID(uuid.NewString()), Agent: a(w), Stack: s(w)}))
		}
	}
	web := func(w *world) stack.ID { return w.stack.ID }
	held := func(w *world) stack.ID { return w.held.ID }
	fresh := func(w *world) stack.ID { return w.unpinned.ID }
	a1 := func(w *world) agent.ID { return w.agent.ID }
	many := manifest + "data:\n"
	for i := range 60 {
		many += fmt.Sprintf("  k%02d: v\n", i)
	}
	emptied := strings.Replace(manifest, "settings\n", "settings\ndata: {}\n", 1)
	for name, tt := range map[string]struct {
		reason  string
		before  func(w *world)
		stack   func(w *world) stack.ID
		content string
		query   string
		want    []string
	}{
		"Same":      {"nothing differs", nil, web, "# other words\n" + manifest, "", []string{"1 unchanged", "keep a1 c-a1: target"}},
		"Changed":   {"a field and a new manifest", nil, web, manifest + "data: {a: b}\n---\n" + other, "", []string{"changed ConfigMap settings", `/data:  -> {"a":"b"}`, "added ConfigMap other", "0 unchanged", "update a1 c-a1: target"}},
		"Replaced":  {"one goes, one comes", nil, web, other, "", []string{"added ConfigMap other", "removed ConfigMap settings", "0 unchanged", "update a1 c-a1: target"}},
		"JSON":      {"the other form of the body", nil, web, `{"yaml_content":"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"}`, "", []string{"1 unchanged", "keep a1 c-a1: target"}},
		"Marker":    {"the stack would leave its clusters", nil, web, "", "&deletion_marker=true", []string{"removed ConfigMap settings", "0 unchanged", "lose a1 c-a1: deletion_marker"}},
		"MarkerToo": {"as JSON says it", nil, web, `{"is_deletion_marker":true}`, "", []string{"removed ConfigMap settings", "0 unchanged", "lose a1 c-a1: deletion_marker"}},
		"First":     {"nothing was published, nobody is chosen", nil, fresh, manifest, "", []string{"added ConfigMap settings", "0 unchanged"}},
		"Gain":      {"an agent would get it", target(fresh, a1), fresh, manifest, "", []string{"added ConfigMap settings", "0 unchanged", "gain a1 c-a1: target"}},
		"Held":      {"a removal that waits goes on waiting", nil, held, manifest, "", []string{"1 unchanged", "lose a1 c-a1: no_match", "held: too many removals"}},
		"HeldGone":  {"a marker is not held", nil, held, "", "&deletion_marker=true", []string{"removed ConfigMap settings", "0 unchanged", "lose a1 c-a1: deletion_marker"}},
		"Behind": {"a cluster that has not the newest yet is updated by the same, too", func(w *world) { w.publish(w.stack) }, web, manifest, "",
			[]string{"1 unchanged", "update a1 c-a1: target"}},
		"Secret": {"values do not show, not even to the owner", func(w *world) { w.publishSecret(asOwner, w.stack.ID) }, web, strings.Replace(secretManifest, "canary-7f3a", "canary-other", 1), "",
			[]string{"changed Secret login", `/stringData/password: "***" -> "***"`, "1 unchanged", "update a1 c-a1: target"}},
		"Many": {"fields are counted beyond a bound", func(w *world) {
			w.ok(asOwner, request{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/deployment-objects", body: many, contentType: "application/yaml"})
		}, web, emptied, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, loadContract(t))
			if tt.before != nil {
				tt.before(w)
			}
			for _, as := range []string{asOwner, asAdmin, asOperator} {
				rec := w.ok(as, dryRun(tt.stack(w), tt.content, tt.query))
				got := decode[preview](t, rec)
				if tt.want == nil {
					if c := got.Changes[0]; len(c.Fields) != 50 || c.More != 10 {
						t.Errorf("as %s: %d fields and %d more, want 50 and 10", as, len(c.Fields), c.More)
					}
				} else if diff := cmp.Diff(tt.want, got.lines()); name == "Secret" && as != asOwner {
					// Who may not know the values does not learn whether they differ: see TestSecretsCannotBeGuessed.
					if got.Masked != 1 || len(got.Changes) != 0 {
						t.Errorf("as %s: %d Secrets not compared, changes %v; want one and none", as, got.Masked, got.Changes)
					}
				} else if diff != "" {
					t.Errorf("as %s: %s: -want +got:\n%s", as, tt.reason, diff)
				}
				if rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), "canary") {
					t.Errorf("as %s: status %d, want 200 without a value of a Secret: %s", as, rec.Code, rec.Body)
				}
			}
		})
	}
}

// Whether a guess of a Secret's value is right or wrong, who may not know the value is answered alike, but for the checksum of what
// was sent.
func TestSecretsCannotBeGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	object := w.publishSecret(asOwner, w.stack.ID)
	wrong := strings.Replace(secretManifest, "canary-7f3a", "canary-other", 1)
	for _, as := range []string{asAdmin, asOperator} {
		right, other := w.ok(as, dryRun(w.stack.ID, secretManifest, "")), w.ok(as, dryRun(w.stack.ID, wrong, ""))
		a, b := decode[preview](t, right), decode[preview](t, other)
		a.Checksum, b.Checksum = "", ""
		if diff := cmp.Diff(a, b); diff != "" || a.Masked != 1 {
			t.Errorf("as %s: %d not compared; the right guess (-) and a wrong one (+) are answered differently:\n%s", as, a.Masked, diff)
		}
	}
	made := decode[struct{ ID string }](t, w.ok(asAdmin, request{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/deployment-objects", body: wrong, contentType: "application/yaml"}))
	q := request{method: http.MethodGet, path: "/deployment-objects/" + made.ID + "/diff?against=" + object}
	if got := decode[preview](t, w.ok(asAdmin, q)); got.Masked != 1 || len(got.Changes) != 0 {
		t.Errorf("diff as admin: %+v, want the Secret not compared", got)
	}
	if got := decode[preview](t, w.ok(asOwner, q)); got.Masked != 0 || len(got.Changes) != 1 {
		t.Errorf("diff as owner: %+v, want the Secret as changed", got)
	}
}

func TestAPreviewWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	const content = manifest + "data: {never: stored}\n"
	events, entries := w.end(), len(w.entries())
	subject := func() stack.Object {
		found, err := w.store.Facts().Subjects(t.Context(), []stack.ID{w.stack.ID})
		must(t, err)
		return *found[0].Newest
	}
	newest := subject()
	got := decode[preview](t, w.ok(asOwner, dryRun(w.stack.ID, content, "")))
	sum := sha256.Sum256([]byte(content))
	if got.Checksum != hex.EncodeToString(sum[:]) || got.Base == nil || got.Base.ID != string(newest.ID) {
		t.Errorf("preview %+v, want the checksum of what was sent and the newest object as base", got)
	}
	if made := w.since(events); len(made) != 0 {
		t.Errorf("events %+v", made)
	}
	if n := len(w.entries()); n != entries {
		t.Errorf("%d audit entries, want the %d from before", n, entries)
	}
	if now := subject(); now.ID != newest.ID {
		t.Errorf("the newest object is %s, not %s", now.ID, newest.ID)
	}
	if _, err := w.store.Blobs().Get(t.Context(), stack.Checksum(got.Checksum)); !fault.Is(err, fault.NotFound) {
		t.Errorf("the content is stored: %v", err)
	}
}

// Who may not publish may not ask what publishing would do, and what would be refused is refused, with the same words.
func TestAPreviewIsRefusedLikeThePublication(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"Good": manifest, "Broken": "kind: [", "Empty": "# nothing\n", "NoName": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"} {
		w := newWorld(t, loadContract(t))
		for _, as := range []string{asAdmin, asOperator, asOwner, asOther, asViewer, asSelf, asOtherAgent, asNobody, asGarbage, asExpired, asRevoked} {
			q := dryRun(w.stack.ID, content, "")
			asked := w.checked(as, q)
			q.path = strings.Replace(q.path, "?dry_run=true", "?dry_run=false", 1)
			published := w.checked(as, q)
			if published.Code == http.StatusCreated {
				if asked.Code != http.StatusOK {
					t.Errorf("%s as %s: status %d, want 200 where publishing is 201: %s", name, as, asked.Code, asked.Body)
				}
				continue
			}
			if asked.Code != published.Code || said(t, asked.Body.Bytes()) != said(t, published.Body.Bytes()) {
				t.Errorf("%s as %s: %d %s, and publishing %d %s", name, as, asked.Code, asked.Body, published.Code, published.Body)
			}
		}
	}
	w := newWorld(t, loadContract(t))
	rec := w.do(asOwner, request{method: http.MethodPost, path: "/stacks/" + string(w.stack.ID) + "/deployment-objects?dry_run=maybe", body: `{"yaml_content":"x"}`})
	if rec.Code != http.StatusBadRequest || !strings.HasPrefix(said(t, rec.Body.Bytes()), "invalid_query") {
		t.Errorf("dry_run=maybe: %d %s, want 400 invalid_query", rec.Code, rec.Body)
	}
}

// said returns code and message of a refusal.
func said(t *testing.T, body []byte) string {
	t.Helper()
	if len(body) == 0 {
		return ""
	}
	var e struct{ Code, Message string }
	must(t, json.Unmarshal(body, &e))
	return e.Code + ": " + e.Message
}

func TestObjectDiff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, loadContract(t))
	later := w.publishSecret(asOwner, w.stack.ID)
	path := func(id, against string) request {
		return request{method: http.MethodGet, path: "/deployment-objects/" + id + "/diff?against=" + against}
	}
	type objectDiff struct {
		From struct {
			ID string `json:"deployment_object_id"`
		} `json:"from"`
		Changes   []manifestChange `json:"changes"`
		Unchanged int              `json:"unchanged"`
	}
	for _, as := range []string{asOwner, asAdmin, asOperator, asSelf} {
		rec := w.ok(as, path(later, string(w.object.ID)))
		got := decode[objectDiff](t, rec)
		if diff := cmp.Diff([]string{"added Secret login"}, changeLines(got.Changes)); diff != "" || got.Unchanged != 1 || got.From.ID != string(w.object.ID) {
			t.Errorf("as %s: %+v: -want +got:\n%s", as, got, diff)
		}
		back := decode[objectDiff](t, w.ok(as, path(string(w.object.ID), later)))
		if diff := cmp.Diff([]string{"removed Secret login"}, changeLines(back.Changes)); diff != "" {
			t.Errorf("as %s, back: -want +got:\n%s", as, diff)
		}
		if self := decode[objectDiff](t, w.ok(as, path(later, later))); len(self.Changes) != 0 || self.Unchanged != 2 {
			t.Errorf("as %s: an object differs from itself: %+v", as, self)
		}
		if strings.Contains(rec.Body.String(), "canary") {
			t.Errorf("as %s: the value of a Secret shows: %s", as, rec.Body)
		}
	}
	elsewhere := string(w.publish(w.unpinned).ID)
	for _, q := range []request{path(later, elsewhere), path(elsewhere, later), path(later, uuid.NewString()), path(uuid.NewString(), later)} {
		w.refused(asOwner, q, http.StatusNotFound, "deployment_object_not_found")
	}
	for _, as := range []string{asOther, asOtherAgent} {
		w.refused(as, path(later, string(w.object.ID)), http.StatusNotFound, "deployment_object_not_found")
	}
	w.refused(asSelf, path(elsewhere, later), http.StatusNotFound, "deployment_object_not_found")
	for _, query := range []string{"", "?against=x"} {
		rec := w.do(asOwner, request{method: http.MethodGet, path: "/deployment-objects/" + later + "/diff" + query})
		if rec.Code != http.StatusBadRequest {
			t.Errorf("%q: status %d, want 400: %s", query, rec.Code, rec.Body)
		}
	}
}
