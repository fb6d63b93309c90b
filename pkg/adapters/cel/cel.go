// Package cel evaluates the expressions of placement policies in CEL: checked against what is known of a cluster when they
// are compiled, and stopped when they cost too much.
package cel

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
	"github.com/colliery-io/brokkr/pkg/domain/placement"
)

// CostLimit is how much one expression may cost for one cluster, in CEL's units: about one for each step.
const CostLimit = 100_000

// Sizes that the estimate of the cost takes for granted of what is known of a cluster. An expression that is dear with more
// is stopped when it runs.
const (
	manyItems = 500
	longText  = 256
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

// Compiler compiles expressions. It is safe for concurrent use.
type Compiler struct{ env *cel.Env }

// New returns a compiler.
func New() (*Compiler, error) {
	env, err := cel.NewEnv(
		cel.Variable("cluster", cel.ObjectType("cel.Cluster")),
		cel.CrossTypeNumericComparisons(true),
		ext.Strings(),
		ext.NativeTypes(reflect.TypeFor[Cluster](), ext.ParseStructTags(true)),
	)
	if err != nil {
		return nil, fmt.Errorf("make the environment of expressions: %w", err)
	}
	return &Compiler{env: env}, nil
}

// sizes answers the estimate's questions: how large is what comes from outside.
type sizes struct{}

func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	if n.Type() != nil && (n.Type().IsExactType(cel.StringType) || n.Type().IsExactType(cel.DynType)) {
		return &checker.SizeEstimate{Max: longText}
	}
	return &checker.SizeEstimate{Max: manyItems}
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// Compile returns the expression. An error says what is wrong and where: no CEL, something that is not known of clusters,
// no truth value, or costs that may be beyond CostLimit.
func (c *Compiler) Compile(expression string) (placement.Expr, error) {
	checked, issues := c.env.Compile(expression)
	if issues != nil && issues.Err() != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return nil, errors.New(strings.Join(all, "; "))
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it is of type %s, neither true nor false", t)
	}
	cost, err := c.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, fmt.Errorf("estimate the cost: %w", err)
	}
	if cost.Max > CostLimit {
		return nil, fmt.Errorf("it may cost %d for one cluster, more than %d", cost.Max, CostLimit)
	}
	p, err := c.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(CostLimit))
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return program{p: p, parts: reads(checked)}, nil
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

// Check says what is wrong with an expression.
func (c *Compiler) Check(expression string) error {
	_, err := c.Compile(expression)
	return err
}

type program struct {
	p     cel.Program
	parts []cluster.Part
}

// Eval implements placement.Expr. What an expression reads and the cluster has not told is an error, not zero.
func (p program) Eval(c *placement.Cluster) (bool, error) {
	for _, part := range p.parts {
		if c.ReportedAt == nil || !c.Reported.Knows(part) {
			return false, fmt.Errorf("the cluster has not told its %s", part)
		}
	}
	out, _, err := p.p.Eval(map[string]any{"cluster": see(c)})
	if err != nil {
		return false, err
	}
	b, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it is %v, neither true nor false", out.Value())
	}
	return b, nil
}

func see(c *placement.Cluster) *Cluster {
	s := &c.Reported
	out := &Cluster{
		Name: c.Name, Agent: string(c.Agent), Annotations: c.Annotations, Kubernetes: Kubernetes{s.KubernetesVersion},
		Nodes: Nodes{int64(s.Nodes), int64(s.ReadyNodes)}, Allocatable: amounts(s.Allocatable), Requested: amounts(s.Requested),
		Available: amounts(s.Available().Minus(c.Assumed)), Archs: s.Architectures, APIs: s.APIs, Load: int64(c.Load),
	}
	for l, has := range c.Labels {
		if has {
			out.Labels = append(out.Labels, l)
		}
	}
	slices.Sort(out.Labels)
	out.Facts = &structpb.Struct{Fields: make(map[string]*structpb.Value, len(s.Facts))}
	for k, f := range s.Facts {
		if f.Number != nil {
			out.Facts.Fields[k] = structpb.NewNumberValue(*f.Number)
		} else {
			out.Facts.Fields[k] = structpb.NewStringValue(f.Text)
		}
	}
	return out
}

func amounts(r cluster.Resources) Resources {
	return Resources{CPU: float64(r.CPU) / 1000, Memory: r.Memory, Pods: r.Pods, GPU: r.GPU}
}
