package policy

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

func (v *validator) overrides(os []Override) {
	v.items("overrides", len(os))
	for i, o := range os {
		at := index("overrides", i)
		v.selector(at+".clusters", o.Clusters, 0)
		v.items(at+".patches", len(o.Patches))
		if len(o.Patches) == 0 {
			v.fail(at+".patches", "there is none")
		}
		for j, p := range o.Patches {
			v.patch(index(at+".patches", j), p)
		}
	}
}

func (v *validator) patch(at string, p Patch) {
	if (p.JSON6902 == nil) == (p.Merge == nil) {
		v.fail(at, "one of patch (JSON 6902 operations) and merge (a strategic merge patch) is needed, and not both")
		return
	}
	if p.Merge != nil {
		var m map[string]any
		if err := json.Unmarshal(p.Merge, &m); err != nil || len(m) == 0 {
			v.fail(at+".merge", "is no mapping of fields")
		}
		return
	}
	var ops []map[string]json.RawMessage
	if err := json.Unmarshal(p.JSON6902, &ops); err != nil || len(ops) == 0 {
		v.fail(at+".patch", "is no list of operations")
		return
	}
	for i, op := range ops {
		var kind, path, from string
		_ = json.Unmarshal(op["op"], &kind) // what is missing or no text stays empty, and is told so
		_ = json.Unmarshal(op["path"], &path)
		_ = json.Unmarshal(op["from"], &from)
		here := index(at+".patch", i)
		if !slices.Contains([]string{"add", "remove", "replace", "move", "copy", "test"}, kind) {
			v.fail(here+".op", "%q is not known; known are add, remove, replace, move, copy, test", kind)
		}
		if _, whole := op["path"]; !whole || (path != "" && !strings.HasPrefix(path, "/")) {
			v.fail(here+".path", "%q is no JSON pointer like /spec/replicas", path)
		}
		if _, has := op["value"]; !has && slices.Contains([]string{"add", "replace", "test"}, kind) {
			v.fail(here+".value", "is missing")
		}
		if (kind == "move" || kind == "copy") && !strings.HasPrefix(from, "/") {
			v.fail(here+".from", "%q is no JSON pointer like /spec/replicas", from)
		}
	}
}

func (v *validator) dependencies(ds []Dependency) {
	v.items("depends_on", len(ds))
	for i, x := range ds {
		at := index("depends_on", i)
		v.text(at+".stack", "the name of a stack", x.Stack)
		v.oneOf(at+".health", x.Health, "healthy", "applied")
		v.oneOf(at+".scope", x.Scope, "cluster", "everywhere")
	}
	v.distinct("depends_on", len(ds), func(i int) (string, string) { return ".stack", ds[i].Stack })
}

func (v *validator) rollout(r Rollout) {
	v.items("rollout.waves", len(r.Waves))
	rest := false
	for i, w := range r.Waves {
		at := index("rollout.waves", i)
		v.text(at+".name", "the name", w.Name)
		if rest {
			v.warn(at, "an earlier wave takes all clusters; none is left for this one")
		}
		rest = rest || (w.Clusters == nil && w.Percent == 0) || (w.Clusters == nil && w.Percent == 100)
		if w.Clusters != nil {
			v.selector(at+".clusters", *w.Clusters, 0)
		}
		v.percent(at+".percent", w.Percent, w.Percent != 0)
		v.duration(at+".soak", w.Soak)
	}
	if len(r.Waves) > 0 && !rest {
		v.warn("rollout.waves", "no wave takes what is left; clusters that fit no wave get the revision after the last one")
	}
	if n := len(r.Waves); n > 0 && r.Waves[n-1].Approval && r.Waves[n-1].Clusters == nil && (r.Waves[n-1].Percent == 0 || r.Waves[n-1].Percent == 100) {
		v.warn(index("rollout.waves", n-1)+".approval", "no wave follows this one, so that nobody is asked")
	}
	v.distinct("rollout.waves", len(r.Waves), func(i int) (string, string) { return ".name", r.Waves[i].Name })
	v.bound("rollout.max_concurrent", r.MaxConcurrent)
	if b := r.FailureBudget; b != nil {
		if b.MaxFailed < 0 {
			v.fail("rollout.failure_budget.max_failed", "%d is less than nothing", b.MaxFailed)
		}
		v.percent("rollout.failure_budget.or_percent", b.OrPercent, b.OrPercent != 0)
	}
	v.oneOf("rollout.on_failure", r.OnFailure, "pause", "rollback")
	v.oneOf("rollout.offline", r.Offline, "skip", "wait")
	v.oneOf("rollout.joiners", r.Joiners, "append", "ignore")
	v.items("rollout.windows", len(r.Windows))
	for i, w := range r.Windows {
		at := index("rollout.windows", i)
		v.outside(at+".cron", w.Cron, v.checks.Cron)
		if w.Cron == "" {
			v.fail(at+".cron", "is missing")
		}
		if v.duration(at+".duration", w.Duration); w.Duration == 0 {
			v.fail(at+".duration", "is missing")
		}
		v.outside(at+".timezone", w.Timezone, v.checks.Zone)
	}
	v.duration("rollout.deadline", r.Deadline)
}

func (v *validator) outside(path, text string, check func(string) error) {
	if text == "" || check == nil {
		return
	}
	if err := check(text); err != nil {
		v.fail(path, "%s", err)
	}
}

func (v *validator) percent(path string, n int, given bool) {
	if given && (n < 1 || n > 100) {
		v.fail(path, "%d is not within 1 to 100", n)
	}
}

func (v *validator) bound(path, s string) {
	if s == "" {
		return
	}
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil:
		v.fail(path, "%q is neither a number nor a percentage like 20%%", s)
	case percent:
		v.percent(path, n, true)
	case n < 1:
		v.fail(path, "%d is less than 1", n)
	}
}
