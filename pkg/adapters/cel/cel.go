// Package cel evaluates the expressions of placement policies in CEL: checked against what is known of a cluster when they
// are compiled, and stopped when they cost too much.
package cel

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"

	"github.com/colliery-io/brokkr/pkg/adapters/cel/bounded"
	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// CostLimit is how much one expression may cost for one cluster, in CEL's units: about one for each step.
const CostLimit = bounded.CostLimit

// Sizes that the estimate of the cost takes for granted of what is known of a cluster.
const (
	manyItems = bounded.ManyItems
	longText  = bounded.LongText
)

// Compiler compiles expressions, each once for as long as it is remembered. It is safe for concurrent use.
type Compiler struct {
	env  *cel.Env
	done *bounded.Kept[*program]
}

// kept bounds how many expressions are remembered; what is forgotten is compiled again.
const kept = 10_000

// New returns a compiler.
func New() (*Compiler, error) {
	types, err := cel.NewEnv(
		cel.Variable("cluster", cel.ObjectType("cel.Cluster")),
		cel.CrossTypeNumericComparisons(true),
		ext.Strings(),
		ext.NativeTypes(reflect.TypeFor[Cluster](), ext.ParseStructTags(true)),
	)
	if err != nil {
		return nil, fmt.Errorf("make the environment of expressions: %w", err)
	}
	env, err := types.Extend(cel.CustomTypeProvider(fields{types.CELTypeProvider()}), cel.CustomTypeAdapter(values{types.CELTypeAdapter()}))
	if err != nil {
		return nil, fmt.Errorf("make the environment of expressions: %w", err)
	}
	return &Compiler{env: env, done: bounded.Keep[*program](kept)}, nil
}

// Compile returns the expression. An error says what is wrong and where: no CEL, something that is not known of clusters,
// no truth value, or costs that may be beyond CostLimit.
func (c *Compiler) Compile(expression string) (placement.Expr, error) {
	p, err := c.done.Get(expression, c.compile)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (c *Compiler) compile(expression string) (*program, error) {
	checked, cost, err := bounded.Check(c.env, expression, bounded.Kind{Type: cel.BoolType, Not: "neither true nor false", Of: "one cluster"})
	if err != nil {
		return nil, err
	}
	p := &program{parts: reads(checked), cost: cost}
	if p.counted, err = bounded.Counted(c.env, checked); err != nil {
		return nil, err
	}
	if bounded.Grows(checked) {
		p.cost = CostLimit
		return p, nil
	}
	if p.free, err = c.env.Program(checked, cel.EvalOptions(cel.OptOptimize)); err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return p, nil
}

// reads returns the parts of a status that an expression looks at.
func reads(checked *cel.Ast) []cluster.Part {
	parts := map[string][]cluster.Part{
		"kubernetes": {cluster.PartVersion}, "nodes": {cluster.PartNodes}, "allocatable": {cluster.PartNodes}, "architectures": {cluster.PartNodes},
		"requested": {cluster.PartRequested}, "available": {cluster.PartNodes, cluster.PartRequested}, "apis": {cluster.PartAPIs}, "facts": {cluster.PartFacts},
	}
	var out []cluster.Part
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind {
			out = append(out, parts[e.AsSelect().FieldName()]...)
		}
	}))
	slices.Sort(out)
	return slices.Compact(out)
}

// Check returns how much an expression may cost for one cluster, or what is wrong with it.
func (c *Compiler) Check(expression string) (uint64, error) {
	p, err := c.Compile(expression)
	if err != nil {
		return 0, err
	}
	return p.Cost(), nil
}

type program struct {
	counted cel.Program // stops when it has cost too much
	free    cel.Program // counts nothing: for clusters that are no larger than what the estimate rests on; nil: the estimate is not to be relied on
	parts   []cluster.Part
	cost    uint64    // for one cluster at most
	pool    sync.Pool // of *seen
}

// Cost implements placement.Expr.
func (p *program) Cost() uint64 { return p.cost }

// Eval implements placement.Expr. What an expression reads and the cluster has not told is an error, not zero.
func (p *program) Eval(c *placement.Cluster) (bool, error) {
	for _, part := range p.parts {
		if c.ReportedAt == nil || !c.Reported.Knows(part) {
			return false, fmt.Errorf("the cluster has not told its %s", part)
		}
	}
	s, _ := p.pool.Get().(*seen)
	if s == nil {
		s = &seen{}
	}
	s.look(c)
	defer func() {
		*s = seen{}
		p.pool.Put(s)
	}()
	with := p.free
	if p.free == nil || !usual(c) {
		with = p.counted
	}
	out, _, err := with.Eval(s)
	if err != nil {
		return false, err
	}
	b, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it is of type %s, neither true nor false", out.Type().TypeName())
	}
	return b, nil
}

// usual reports whether everything that is known of the cluster is within the sizes that the estimate takes for granted, so
// that no expression that was compiled can cost more than CostLimit.
func usual(c *placement.Cluster) bool {
	s := &c.Reported
	if len(c.Labels) > manyItems || len(c.Annotations) > manyItems || len(s.Facts) > manyItems || len(s.APIs) > manyItems || len(s.Architectures) > manyItems ||
		len(c.Name) > longText || len(c.Agent) > longText || len(s.KubernetesVersion) > longText {
		return false
	}
	for l := range c.Labels {
		if len(l) > longText {
			return false
		}
	}
	for k, v := range c.Annotations {
		if len(k) > longText || len(v) > longText {
			return false
		}
	}
	for k, f := range s.Facts {
		if len(k) > longText || len(f.Text) > longText {
			return false
		}
	}
	long := func(s string) bool { return len(s) > longText }
	return !slices.ContainsFunc(s.APIs, long) && !slices.ContainsFunc(s.Architectures, long)
}
