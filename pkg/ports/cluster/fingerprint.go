package cluster

import (
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fingerprint is a number that changes whenever anything but an object's status may have changed. It is made of metadata
// alone, so a watch that carries no more can compare it with that of an object that was read or applied.
func Fingerprint(o metav1.Object) uint64 {
	h := fnv.New64a()
	put := func(s string) { _, _ = h.Write(append([]byte(s), 0)) } // never fails
	put(string(o.GetUID()))
	if o.GetGeneration() == 0 {
		put(o.GetResourceVersion()) // a kind without generations: each write counts
	}
	put(strconv.FormatInt(o.GetGeneration(), 10))
	for _, m := range []map[string]string{o.GetLabels(), o.GetAnnotations()} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			put(k)
			put(m[k])
		}
		put("")
	}
	for _, f := range o.GetFinalizers() {
		put(f)
	}
	if o.GetDeletionTimestamp() != nil {
		put("deleting")
	}
	return h.Sum64()
}
