package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// maxPaths bounds how many differences of one object are listed.
const maxPaths = 20

// Differences returns JSON pointers to where two forms of an object differ, at most 20. What the server keeps for itself
// (status, managed fields, versions) does not count, nor does what is at or below the pointers of ignore; the agent's own
// stamps always do.
func Differences(live, would *unstructured.Unstructured, ignore ...string) []string {
	c := comparison{ignore: ignore}
	c.compare("", live.Object, would.Object)
	return c.paths
}

type comparison struct{ ignore, paths []string }

func (c *comparison) compare(path string, a, b any) {
	if len(c.paths) >= maxPaths || isServers(path) {
		return
	}
	if x, y := mapping(a, b), mapping(b, a); x != nil && y != nil {
		keys := maps.Clone(x)
		maps.Copy(keys, y)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			c.compare(path+"/"+escape(k), x[k], y[k])
		}
		return
	}
	x, isList := a.([]any)
	y, alike := b.([]any)
	if isList && alike && len(x) == len(y) {
		for i := range x {
			c.compare(path+"/"+strconv.Itoa(i), x[i], y[i])
		}
		return
	}
	if !isNothing(a, b) && !equality.Semantic.DeepEqual(a, b) && !c.ignores(path) {
		c.paths = append(c.paths, path)
	}
}

// ignores reports whether a path is at or below one that is ignored.
func (c *comparison) ignores(path string) bool {
	return !isStamp(path) && slices.ContainsFunc(c.ignore, func(p string) bool {
		return p != "" && (path == p || strings.HasPrefix(path, p+"/"))
	})
}

func isServers(path string) bool {
	switch path {
	case "/status", "/metadata/managedFields", "/metadata/resourceVersion", "/metadata/generation", "/metadata/uid",
		"/metadata/creationTimestamp", "/metadata/selfLink", "/apiVersion":
		return true
	default:
		return false
	}
}

func isStamp(path string) bool {
	if key, ok := strings.CutPrefix(path, "/metadata/annotations/"); ok {
		return slices.Contains(stampedAnnotations(), unescape(key))
	}
	return path == "/metadata/labels/"+escape(cluster.LabelStack)
}

// mapping returns v if it is one; what is absent counts as empty if the other side has something in it. A mapping that is
// there and empty is not the same as none: `podSelector: {}` selects every pod.
func mapping(v, other any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok && v == nil {
		if o, _ := other.(map[string]any); len(o) > 0 {
			return map[string]any{}
		}
	}
	return m
}

// isNothing: an absent list and an empty one are the same to Kubernetes.
func isNothing(a, b any) bool {
	empty := func(v any) bool {
		list, ok := v.([]any)
		return v == nil || (ok && len(list) == 0)
	}
	return empty(a) && empty(b)
}

func escape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func unescape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

func segments(path string) []string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return parts
}
