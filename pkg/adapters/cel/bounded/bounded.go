// Package bounded compiles expressions in CEL of which it is known before they run what they give, and that they cannot cost
// more than a limit.
package bounded

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
)

// CostLimit is how much one evaluation may cost, in CEL's units: about one for each step.
const CostLimit = 100_000

// Sizes that the estimate of the cost takes for granted of what comes from outside. An expression that is dear with more is
// stopped when it runs.
const (
	ManyItems = 500
	LongText  = 256
)

// sizes answers the estimate's questions: how large is what comes from outside.
type sizes struct{}

func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	if n.Type() != nil && (n.Type().IsExactType(cel.StringType) || n.Type().IsExactType(cel.DynType)) {
		return &checker.SizeEstimate{Max: LongText}
	}
	return &checker.SizeEstimate{Max: ManyItems}
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// Kind is of which type an expression has to be, in CEL and in words, and what one evaluation is about.
type Kind struct {
	Type *cel.Type
	Not  string // what one of another type is not: "neither true nor false"
	Of   string // "one cluster"
}

// Check returns the checked expression, and how much one evaluation may cost by the estimate. An error says what is wrong and where, by
// line and column: no CEL, something that env does not know, another type, or costs that may be beyond CostLimit.
func Check(env *cel.Env, expression string, k Kind) (*cel.Ast, uint64, error) {
	checked, issues := env.Compile(expression)
	if issues != nil && issues.Err() != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return nil, 0, errors.New(strings.Join(all, "; "))
	}
	if t := checked.OutputType(); !t.IsExactType(k.Type) && !t.IsExactType(cel.DynType) {
		return nil, 0, fmt.Errorf("it is of type %s, %s", t, k.Not)
	}
	cost, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, 0, fmt.Errorf("estimate the cost: %w", err)
	}
	if cost.Max > CostLimit {
		return nil, 0, fmt.Errorf("it may cost %d for %s, more than %d", cost.Max, k.Of, CostLimit)
	}
	return checked, cost.Max, nil
}

// Counted returns the program of a checked expression; it stops with an error when it has cost CostLimit, and makes no call that
// would by itself be far beyond it.
func Counted(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	guard, err := guards(env)
	if err != nil {
		return nil, err
	}
	p, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(guard), cel.CostTracking(charges{}), cel.CostLimit(CostLimit))
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return p, nil
}

// Grows reports whether an expression may make values of its own that are larger than what it is given and what is written in it:
// the estimate knows nothing of those. It makes them with functions, or binds what it has made to a name, to make more of it.
func Grows(checked *cel.Ast) bool {
	grows := false
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.CallKind:
			grows = grows || slices.Contains([]string{"replace", "join", "format", "strings.quote"}, e.AsCall().FunctionName())
		case ast.ComprehensionKind:
			grows = grows || !isGiven(e.AsComprehension().IterRange())
		default: // what is written, and what is given
		}
	}))
	return grows
}

// isGiven reports whether an expression is a part of what is given, as it is.
func isGiven(e ast.Expr) bool {
	for e.Kind() == ast.SelectKind {
		e = e.AsSelect().Operand()
	}
	return e.Kind() == ast.IdentKind
}
