package policy

import (
	"slices"
	"strconv"
	"strings"
)

// What of a cluster an expression, a preference or a spread can name. Keys with a dot at the end take a name after it.
const (
	KeyLabel       = "label."
	KeyAnnotation  = "annotation."
	KeyFact        = "facts."
	KeyName        = "cluster.name"
	KeyAgent       = "agent.id"
	KeyVersion     = "kubernetes.version"
	KeyNodes       = "nodes.total"
	KeyReadyNodes  = "nodes.ready"
	KeyArch        = "architecture"
	KeyAPI         = "api"
	KeyLoad        = "load" // stacks that are assigned to the cluster
	KeyAllocatable = "allocatable."
	KeyRequested   = "requested."
	KeyAvailable   = "available."
)

// Resource names of the keys of amounts: cpu in cores, memory in bytes.
const (
	CPU    = "cpu"
	Memory = "memory"
	Pods   = "pods"
	GPU    = "gpu"
)

// IsAmount reports whether key is that of an amount, and of which resource.
func IsAmount(key string) (of, resource string, ok bool) {
	for _, prefix := range []string{KeyAllocatable, KeyRequested, KeyAvailable} {
		if r, found := strings.CutPrefix(key, prefix); found {
			return prefix, r, slices.Contains([]string{CPU, Memory, Pods, GPU}, r)
		}
	}
	return "", "", false
}

// Numeric reports whether key names a number, or what may be one.
func Numeric(key string) bool {
	if _, _, ok := IsAmount(key); ok {
		return true
	}
	fact, isFact := strings.CutPrefix(key, KeyFact)
	return (isFact && fact != "") || key == KeyNodes || key == KeyReadyNodes || key == KeyLoad
}

func (v *validator) key(path, key string) bool {
	named := func(prefix string) bool { name, ok := strings.CutPrefix(key, prefix); return ok && name != "" }
	switch {
	case len(key) > maxText:
		v.fail(path, "is longer than %d bytes", maxText)
		return false
	case named(KeyLabel), named(KeyAnnotation), Numeric(key),
		slices.Contains([]string{KeyName, KeyAgent, KeyVersion, KeyArch, KeyAPI}, key):
		return true
	}
	v.fail(path, "%q is not known of clusters; known are label.NAME, annotation.KEY, facts.NAME, cluster.name, agent.id, kubernetes.version, nodes.total, "+
		"nodes.ready, architecture, api, load, and cpu, memory, pods and gpu as allocatable.cpu, requested.cpu or available.cpu", key)
	return false
}

func (v *validator) selector(path string, s Selector, depth int) {
	if depth > maxSelector {
		v.fail(path, "is nested deeper than %d levels", maxSelector)
		return
	}
	v.items(path+".labels", len(s.Labels))
	for i, l := range s.Labels {
		v.text(index(path+".labels", i), "the label", l)
	}
	for _, k := range sortedKeys(s.Annotations) {
		v.text(join(path+".annotations", k), "the annotation's key", k)
	}
	v.items(path+".expressions", len(s.Expressions))
	for i, e := range s.Expressions {
		v.expression(index(path+".expressions", i), e)
	}
	v.contradictions(path, s)
	if len(s.CEL) > maxExpression {
		v.fail(path+".cel", "is longer than %d bytes", maxExpression)
	} else {
		v.outside(path+".cel", s.CEL, v.cel(path+".cel"))
	}
	v.items(path+".any", len(s.Any))
	for i, a := range s.Any {
		v.selector(index(path+".any", i), a, depth+1)
		if a.empty() {
			v.warn(index(path+".any", i), "is empty and so fits each cluster; the others do not matter")
		}
	}
}

// cel returns the check of an expression, which counts what it costs beside those before it.
func (v *validator) cel(path string) func(string) error {
	if v.checks.CEL == nil {
		return nil
	}
	return func(expression string) error {
		cost, err := v.checks.CEL(expression)
		if err != nil || v.cels[expression] {
			return err
		}
		if v.cels == nil {
			v.cels = map[string]bool{}
		}
		before := v.cost
		if v.cels[expression], v.cost = true, v.cost+cost; before <= maxCost && v.cost > maxCost { // said once
			v.fail(path, "with the expressions before it, it may cost %d for one cluster, more than %d", v.cost, maxCost)
		}
		return nil
	}
}

func (s Selector) empty() bool {
	return len(s.Labels) == 0 && len(s.Annotations) == 0 && len(s.Expressions) == 0 && s.CEL == "" && len(s.Any) == 0
}

func (v *validator) expression(path string, e Expression) {
	if !v.key(path+".key", e.Key) {
		return
	}
	v.items(path+".values", len(e.Values))
	switch e.Operator {
	case In, NotIn:
		if len(e.Values) == 0 {
			v.fail(path+".values", "%s needs at least one value", e.Operator)
		}
	case Exists, DoesNotExist:
		if len(e.Values) > 0 && e.Key != KeyAPI && e.Key != KeyArch {
			v.fail(path+".values", "%s takes values only with the keys api and architecture", e.Operator)
		}
	case Greater, AtLeast, Less, AtMost, Equal:
		if len(e.Values) != 1 {
			v.fail(path+".values", "%s needs exactly one value", e.Operator)
			return
		}
		v.comparison(path, e)
	default:
		v.fail(path+".operator", "%q is not known; known are In, NotIn, Exists, DoesNotExist, >, >=, <, <=, =", e.Operator)
	}
}

func (v *validator) comparison(path string, e Expression) {
	value := e.Values[0]
	_, version := ParseVersion(value)
	_, amount := ParseQuantity(value)
	switch {
	case e.Key == KeyVersion && !version:
		v.fail(index(path+".values", 0), "%q is no version like 1.30", value)
	case e.Key == KeyVersion || e.Operator == Equal:
	case e.Key == KeyAPI, e.Key == KeyArch, e.Key == KeyName, e.Key == KeyAgent:
		v.fail(path+".operator", "%s does not order what %s is", e.Operator, e.Key)
	case !amount:
		v.fail(index(path+".values", 0), "%q is no number or amount like 8, 500m or 4Gi", value)
	}
}

// contradictions finds pairs of parts that no cluster can fulfil both.
func (v *validator) contradictions(path string, s Selector) {
	for i, e := range s.Expressions {
		at := index(path+".expressions", i)
		if e.Key == KeyArch || e.Key == KeyAPI {
			continue // a cluster has several
		}
		if label, ok := strings.CutPrefix(e.Key, KeyLabel); ok && slices.Contains(s.Labels, label) && e.Operator == DoesNotExist {
			v.fail(at, "the label %q is asked for too; no cluster can fit", label)
		}
		if key, ok := strings.CutPrefix(e.Key, KeyAnnotation); ok {
			if value, has := s.Annotations[key]; has && !e.admits(value) {
				v.fail(at, "the annotation %s=%s is asked for too; no cluster can fit", key, value)
			}
		}
		for j, o := range s.Expressions[:i] {
			if o.Key == e.Key && contradict(o, e) {
				v.fail(at, "contradicts expressions[%d]: no %s can fulfil both", j, e.Key)
			}
		}
	}
}

// admits reports whether a text may fulfil e; comparisons of size are not looked at.
func (e Expression) admits(value string) bool {
	switch e.Operator {
	case In, Equal:
		return slices.Contains(e.Values, value)
	case NotIn:
		return !slices.Contains(e.Values, value)
	case DoesNotExist:
		return false
	case Exists, Greater, AtLeast, Less, AtMost:
		return true
	default:
		return true
	}
}

func contradict(a, b Expression) bool {
	if b.Operator == In || (b.Operator == DoesNotExist && a.Operator != In) {
		a, b = b, a
	}
	switch a.Operator {
	case In: // each value is refused by b
		return len(a.Values) > 0 && !slices.ContainsFunc(a.Values, b.admits)
	case DoesNotExist:
		return b.Operator != DoesNotExist && b.Operator != NotIn
	case NotIn, Exists, Greater, AtLeast, Less, AtMost, Equal:
		return disjoint(a, b) || disjoint(b, a)
	default:
		return false
	}
}

// disjoint reports whether low asks for more than high admits.
func disjoint(low, high Expression) bool {
	at := func(e Expression) (float64, bool) {
		if len(e.Values) != 1 {
			return 0, false
		}
		if version, ok := ParseVersion(e.Values[0]); ok && e.Key == KeyVersion {
			return float64(version[0])*1e12 + float64(version[1])*1e6 + float64(version[2]), true
		}
		return ParseQuantity(e.Values[0])
	}
	from, ok := at(low)
	to, okay := at(high)
	if !ok || !okay {
		return low.Operator == Equal && high.Operator == Equal && len(low.Values) == 1 && len(high.Values) == 1 && low.Values[0] != high.Values[0]
	}
	atLeast := slices.Contains([]Operator{AtLeast, Equal}, low.Operator)
	atMost := slices.Contains([]Operator{AtMost, Equal}, high.Operator)
	if (!atLeast && low.Operator != Greater) || (!atMost && high.Operator != Less) {
		return false
	}
	return from > to || (from == to && !(atLeast && atMost))
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Amount returns what a requirement of resources is; the text of each part is valid. An earlier release took more than can be summed up:
// of that it returns the most that is taken now.
func (r *Requirements) Amount() (cpuMillicores, memoryBytes, pods, gpus int64) {
	if r == nil {
		return 0, 0, 0, 0
	}
	cpu, _ := ParseQuantity(r.CPU) // an empty text is none
	memory, _ := ParseQuantity(r.Memory)
	return int64(min(cpu, maxCores) * 1000), int64(min(memory, maxMemory)), r.Pods, r.GPU
}

// FormatNumber writes a number as short as it can be told.
func FormatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
