package cel

import (
	"reflect"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// Cluster is what an expression sees under the name cluster.
type Cluster struct {
	Name        string            `cel:"name"`
	Agent       string            `cel:"agent"`
	Labels      []string          `cel:"labels"`
	Annotations map[string]string `cel:"annotations"`
	Facts       *structpb.Struct  `cel:"facts"` // numbers and texts
	Kubernetes  Kubernetes        `cel:"kubernetes"`
	Nodes       Nodes             `cel:"nodes"`
	Allocatable Resources         `cel:"allocatable"`
	Requested   Resources         `cel:"requested"`
	Available   Resources         `cel:"available"`
	Archs       []string          `cel:"architectures"`
	APIs        []string          `cel:"apis"`
	Load        int64             `cel:"load"`
}

// Kubernetes is the version.
type Kubernetes struct {
	Version string `cel:"version"`
}

// Nodes are counts.
type Nodes struct {
	Total int64 `cel:"total"`
	Ready int64 `cel:"ready"`
}

// Resources are amounts: cores, bytes, numbers.
type Resources struct {
	CPU    float64 `cel:"cpu"`
	Memory int64   `cel:"memory"`
	Pods   int64   `cel:"pods"`
	GPU    int64   `cel:"gpu"`
}

func amounts(r cluster.Resources) Resources {
	return Resources{CPU: float64(r.CPU) / 1000, Memory: r.Memory, Pods: r.Pods, GPU: r.GPU}
}

// seen is the one variable of an evaluation. What takes work is made when an expression asks for it.
type seen struct {
	Cluster
	of    *placement.Cluster
	facts facts
	whole bool
}

func (s *seen) look(c *placement.Cluster) {
	r := &c.Reported
	s.of = c
	s.Cluster = Cluster{
		Name: c.Name, Agent: string(c.Agent), Annotations: c.Annotations, Kubernetes: Kubernetes{r.KubernetesVersion},
		Nodes: Nodes{int64(r.Nodes), int64(r.ReadyNodes)}, Allocatable: amounts(r.Allocatable), Requested: amounts(r.Requested),
		Available: amounts(r.Available().Minus(c.Assumed)), Archs: r.Architectures, APIs: r.APIs, Load: int64(c.Load),
	}
	s.facts = facts{of: r.Facts}
}

// ResolveName implements interpreter.Activation.
func (s *seen) ResolveName(name string) (any, bool) {
	if name != "cluster" {
		return nil, false
	}
	return s, true
}

// Parent implements interpreter.Activation.
func (s *seen) Parent() interpreter.Activation { return nil }

// all returns the cluster with everything in it.
func (s *seen) all() *Cluster {
	if !s.whole {
		s.whole = true
		s.Labels, s.Facts = s.labels(), s.facts.all()
	}
	return &s.Cluster
}

func (s *seen) labels() []string {
	out := make([]string, 0, len(s.of.Labels))
	for l, has := range s.of.Labels {
		if has {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

// values adapts what expressions see to values of CEL.
type values struct{ types.Adapter }

// NativeToValue implements types.Adapter.
func (v values) NativeToValue(value any) ref.Val {
	switch x := value.(type) {
	case ref.Val:
		return x
	case *seen:
		return v.Adapter.NativeToValue(x.all())
	default:
		return v.Adapter.NativeToValue(value)
	}
}

// fields are the fields of what expressions see, read without reflection where they are read most.
type fields struct{ types.Provider }

// FindStructFieldType implements types.Provider.
func (f fields) FindStructFieldType(structType, field string) (*types.FieldType, bool) {
	slow, ok := f.Provider.FindStructFieldType(structType, field)
	if !ok {
		return slow, ok
	}
	whole := func(target any) any {
		if s, is := target.(*seen); is {
			return s.all()
		}
		return target
	}
	fast := getter(structType, field)
	out := *slow
	out.IsSet = func(target any) bool { return slow.IsSet(whole(target)) }
	out.GetFrom = func(target any) (any, error) {
		if v := fast(target); v != nil {
			return v, nil
		}
		return slow.GetFrom(whole(target))
	}
	return &out, true
}

// getter returns a function that reads the field, or returns nil for what it does not know.
func getter(structType, field string) func(target any) any {
	switch structType {
	case "cel.Cluster":
		return of(clusterField(field))
	case "cel.Nodes":
		return of(map[string]func(*Nodes) any{
			"total": func(n *Nodes) any { return types.Int(n.Total) }, "ready": func(n *Nodes) any { return types.Int(n.Ready) },
		}[field])
	case "cel.Resources":
		return of(map[string]func(*Resources) any{
			"cpu": func(r *Resources) any { return types.Double(r.CPU) }, "memory": func(r *Resources) any { return types.Int(r.Memory) },
			"pods": func(r *Resources) any { return types.Int(r.Pods) }, "gpu": func(r *Resources) any { return types.Int(r.GPU) },
		}[field])
	case "cel.Kubernetes":
		return of(map[string]func(*Kubernetes) any{"version": func(k *Kubernetes) any { return types.String(k.Version) }}[field])
	default:
		return of[struct{}](nil)
	}
}

// of makes a function of a *T one of anything.
func of[T any](get func(*T) any) func(any) any {
	return func(target any) any {
		if x, ok := target.(*T); ok && get != nil {
			return get(x)
		}
		return nil
	}
}

func clusterField(field string) func(*seen) any {
	return map[string]func(*seen) any{
		"name":          func(s *seen) any { return types.String(s.Name) },
		"agent":         func(s *seen) any { return types.String(s.Agent) },
		"labels":        func(s *seen) any { return list(s.labels()) },
		"annotations":   func(s *seen) any { return s.Annotations },
		"facts":         func(s *seen) any { return &s.facts },
		"kubernetes":    func(s *seen) any { return &s.Kubernetes },
		"nodes":         func(s *seen) any { return &s.Nodes },
		"allocatable":   func(s *seen) any { return &s.Allocatable },
		"requested":     func(s *seen) any { return &s.Requested },
		"available":     func(s *seen) any { return &s.Available },
		"architectures": func(s *seen) any { return list(s.Archs) },
		"apis":          func(s *seen) any { return list(s.APIs) },
		"load":          func(s *seen) any { return types.Int(s.Load) },
	}[field]
}

// texts is a list of texts in which one is found without making a value of each.
type texts struct {
	traits.Lister
	of []string
}

func list(of []string) texts {
	return texts{types.NewStringList(types.DefaultTypeAdapter, of), of}
}

// Contains implements traits.Container.
func (t texts) Contains(value ref.Val) ref.Val {
	if s, ok := value.(types.String); ok {
		return types.Bool(slices.Contains(t.of, string(s)))
	}
	return t.Lister.Contains(value)
}

// facts are a cluster's facts as a map of CEL, looked up where they are.
type facts struct {
	of   map[string]cluster.Fact
	full traits.Mapper // of all, once somebody wants more than to look one up
}

func (f *facts) all() *structpb.Struct {
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(f.of))}
	for k, x := range f.of {
		if x.Number != nil {
			out.Fields[k] = structpb.NewNumberValue(*x.Number)
		} else {
			out.Fields[k] = structpb.NewStringValue(x.Text)
		}
	}
	return out
}

func (f *facts) mapper() traits.Mapper {
	if f.full == nil {
		all := make(map[string]any, len(f.of))
		for k, x := range f.of {
			all[k] = value(x)
		}
		f.full = types.NewStringInterfaceMap(types.DefaultTypeAdapter, all)
	}
	return f.full
}

func value(f cluster.Fact) ref.Val {
	if f.Number != nil {
		return types.Double(*f.Number)
	}
	return types.String(f.Text)
}

// Find implements traits.Mapper.
func (f *facts) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return f.mapper().Find(key)
	}
	x, has := f.of[string(name)]
	if !has {
		return nil, false
	}
	return value(x), true
}

// Contains implements traits.Container.
func (f *facts) Contains(key ref.Val) ref.Val { return f.mapper().Contains(key) }

// Get implements traits.Indexer.
func (f *facts) Get(key ref.Val) ref.Val { return f.mapper().Get(key) }

// Iterator implements traits.Iterable.
func (f *facts) Iterator() traits.Iterator { return f.mapper().Iterator() }

// Size implements traits.Sizer.
func (f *facts) Size() ref.Val { return types.Int(len(f.of)) }

// ConvertToNative implements ref.Val.
func (f *facts) ConvertToNative(to reflect.Type) (any, error) { return f.mapper().ConvertToNative(to) }

// ConvertToType implements ref.Val.
func (f *facts) ConvertToType(to ref.Type) ref.Val { return f.mapper().ConvertToType(to) }

// Equal implements ref.Val.
func (f *facts) Equal(other ref.Val) ref.Val { return f.mapper().Equal(other) }

// Type implements ref.Val.
func (f *facts) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (f *facts) Value() any { return f.mapper().Value() }
