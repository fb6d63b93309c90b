package memory

import (
	"cmp"
	"context"

	"github.com/google/btree"

	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// key orders the rows of a table.
type key[K any] interface{ compare(K) int }

// one is a key of one text.
type one string

func (k one) compare(o one) int { return cmp.Compare(k, o) }

// two is a key of two texts; a scan over its first part is an index lookup.
type two struct{ a, b string }

func (k two) compare(o two) int {
	if c := cmp.Compare(k.a, o.a); c != 0 {
		return c
	}
	return cmp.Compare(k.b, o.b)
}

// numbered is a key of a text and a number.
type numbered struct {
	a string
	n int64
}

func (k numbered) compare(o numbered) int {
	if c := cmp.Compare(k.a, o.a); c != 0 {
		return c
	}
	return cmp.Compare(k.n, o.n)
}

// nothing is the value of tables that are only indexes.
type nothing struct{}

// row has its value without its type, and the tree so as well: a tree for each type of value is some two hundred functions for the
// compiler, and there are ninety tables.
type row[K key[K]] struct {
	k K
	v any
}

const degree = 16

// table is an ordered map whose copies share what neither has changed: a copy costs nothing, a write costs
// the path to its row. Values are shared by copies too, so whoever stores or returns one with pointers copies them.
// A table that is passed on to be written is passed by its address.
type table[K key[K], V any] struct {
	tree   *btree.BTreeG[row[K]]
	shared bool // with the state that this one was cloned from: it is cloned before the first write
}

func newTable[K key[K], V any]() table[K, V] {
	return table[K, V]{tree: btree.NewG(degree, func(x, y row[K]) bool { return x.k.compare(y.k) < 0 })}
}

// clone returns a copy to which alone is written from then on; only one goroutine at a time may clone or write, any number may read
// meanwhile. Most changes write to few of the ninety tables, so that a tree is copied only when they do.
func (t table[K, V]) clone() table[K, V] { return table[K, V]{tree: t.tree, shared: true} }

// own makes the tree this table's own.
func (t *table[K, V]) own() {
	if t.shared {
		t.tree, t.shared = t.tree.Clone(), false
	}
}

func (t table[K, V]) get(k K) (v V, ok bool) {
	r, ok := t.tree.Get(row[K]{k: k})
	if ok {
		v = r.v.(V) //nolint:forcetypeassert // put takes no others
	}
	return v, ok
}

func (t table[K, V]) has(k K) bool { return t.tree.Has(row[K]{k: k}) }

func (t *table[K, V]) put(k K, v V) {
	t.own()
	t.tree.ReplaceOrInsert(row[K]{k: k, v: v})
}

func (t *table[K, V]) drop(k K) bool {
	t.own()
	_, ok := t.tree.Delete(row[K]{k: k})
	return ok
}

// each calls fn in order until it returns false.
func (t table[K, V]) each(fn func(K, V) bool) { t.tree.Ascend(typed(fn)) }

// from is each, beginning with the first key that is not less than k.
func (t table[K, V]) from(k K, fn func(K, V) bool) {
	t.tree.AscendGreaterOrEqual(row[K]{k: k}, typed(fn))
}

// back is each in descending order, beginning with the last key that is not greater than k.
func (t table[K, V]) back(k K, fn func(K, V) bool) {
	t.tree.DescendLessOrEqual(row[K]{k: k}, typed(fn))
}

func typed[K key[K], V any](fn func(K, V) bool) btree.ItemIteratorG[row[K]] {
	return func(r row[K]) bool { return fn(r.k, r.v.(V)) } //nolint:forcetypeassert // put takes no others
}

// keysOf returns the second parts of the keys whose first part is a, in order.
func keysOf[V any](t table[two, V], a string) []string {
	var out []string
	t.from(two{a: a}, func(k two, _ V) bool {
		if k.a != a {
			return false
		}
		out = append(out, k.b)
		return true
	})
	return out
}

// valuesOf returns the values of the keys whose first part is a, in order.
func valuesOf[V any](t table[two, V], a string) []V {
	var out []V
	t.from(two{a: a}, func(k two, v V) bool {
		if k.a != a {
			return false
		}
		out = append(out, v)
		return true
	})
	return out
}

// hasAny reports whether there is a row for a.
func hasAny[V any](t table[two, V], a string) bool {
	found := false
	t.from(two{a: a}, func(k two, _ V) bool {
		found = k.a == a
		return false
	})
	return found
}

// hasAll reports whether there is a row for a with each of the second parts.
func hasAll[V any](t table[two, V], a string, parts []string) bool {
	for _, b := range parts {
		if !t.has(two{a, b}) {
			return false
		}
	}
	return true
}

// annotated reports whether a has all of the pairs.
func annotated[V any](t table[two, V], a string, pairs []page.Pair, value func(V) string) bool {
	for _, p := range pairs {
		if v, ok := t.get(two{a, p.Key}); !ok || value(v) != p.Value {
			return false
		}
	}
	return true
}

// pageOf answers q out of what gather keeps: copies of what whoever asks may see and of what passes filters that l knows nothing of.
func pageOf[T any](ctx context.Context, in session, l page.List[T], q page.Query, gather func(s *state, keep func(T))) (page.Page[T], error) {
	return read(ctx, in, func(s *state) (page.Page[T], error) {
		var all []T
		gather(s, func(v T) { all = append(all, v) })
		return l.Cut(all, q), nil
	})
}
