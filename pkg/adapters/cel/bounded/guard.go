package bounded

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// CEL adds up what a call has cost after it was made. That is too late for those whose work or result can be many times what
// they are given: a text in which every letter is replaced by a whole text, or lists that have the same list in them a thousand
// times, which are no larger than one but take for ever to compare. Such calls are weighed before they are made.

// maxText is how long a text may become by one call, in bytes.
const maxText = CostLimit

// guarded is a call that is made only if its arguments are not too much for it.
type guarded struct {
	interpreter.InterpretableCall
	much func(args []ref.Val) bool
	do   func(args []ref.Val) ref.Val
}

// Exec implements interpreter.InterpretableV2.
func (g *guarded) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(g.Args()))
	for i, a := range g.Args() {
		args[i] = a.Exec(frame)
	}
	for _, a := range args {
		if types.IsUnknownOrError(a) {
			return a
		}
	}
	if g.much(args) {
		return types.NewErr("%s has more to do than it may", spoken(g.Function()))
	}
	return g.do(args)
}

// Eval implements interpreter.Interpretable.
func (g *guarded) Eval(a interpreter.Activation) ref.Val { return g.Exec(interpreter.AsFrame(a)) }

func spoken(function string) string {
	if name, ok := operators.FindReverse(function); ok && name != "" {
		return name
	}
	return function
}

// guards returns what puts guards before the calls of a program.
func guards(env *cel.Env) (interpreter.InterpretableDecoratorV2, error) {
	all := map[string]guarded{
		operators.Equals:    {much: func(a []ref.Val) bool { return lighter(a) > CostLimit }, do: func(a []ref.Val) ref.Val { return types.Equal(a[0], a[1]) }},
		operators.NotEquals: {much: func(a []ref.Val) bool { return lighter(a) > CostLimit }, do: func(a []ref.Val) ref.Val { return types.Bool(types.Equal(a[0], a[1]) != types.True) }},
		operators.In:        {much: func(a []ref.Val) bool { return searched(a) > CostLimit }, do: contains},
		"replace":           {much: func(a []ref.Val) bool { return replaced(a) > maxText }},
		"join":              {much: func(a []ref.Val) bool { return joined(a) > maxText }},
		"format":            {much: func(a []ref.Val) bool { return formatted(a) > maxText }},
	}
	known := env.Functions()
	for name, g := range all {
		if g.do != nil {
			continue
		}
		f := known[name]
		if f == nil {
			delete(all, name)
			continue
		}
		bindings, err := f.Bindings()
		if err != nil {
			return nil, fmt.Errorf("guard %s: %w", name, err)
		}
		if g.do, err = dispatched(name, bindings); err != nil {
			return nil, err
		}
		all[name] = g
	}
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok {
			return i, nil
		}
		g, ok := all[call.Function()]
		if !ok {
			return i, nil
		}
		g.InterpretableCall = call
		return &g, nil
	}, nil
}

// dispatched returns what makes a call of a function, whatever its arguments are.
func dispatched(name string, bindings []*functions.Overload) (func([]ref.Val) ref.Val, error) {
	for _, b := range bindings {
		if b.Operator == name && b.Function != nil {
			return func(args []ref.Val) ref.Val { return b.Function(args...) }, nil
		}
	}
	return nil, fmt.Errorf("guard %s: it has no implementation", name)
}

func contains(args []ref.Val) ref.Val {
	if c, ok := args[1].(traits.Container); ok {
		return c.Contains(args[0])
	}
	return types.MaybeNoSuchOverloadErr(args[1])
}

// lighter is the weight of the lighter of two values: who compares them sees no more of the other.
func lighter(args []ref.Val) int {
	a, b := args[0], args[1]
	if isWhole(a) {
		a, b = b, a
	}
	w := weight(a, CostLimit)
	return min(w, weight(b, w))
}

func isWhole(v ref.Val) bool {
	switch v.(type) {
	case traits.Lister, traits.Mapper:
		return true
	}
	return false
}

// searched is the weight of what is looked through: of a list all, of a mapping nothing.
func searched(args []ref.Val) int {
	if l, ok := args[1].(traits.Lister); ok {
		return weight(l, CostLimit)
	}
	return 1
}

// weight is how many steps it takes to look at the whole of a value: those of what is in it several times are counted as often.
// It does not count on when it has reached more than limit.
func weight(v ref.Val, limit int) int {
	switch x := v.(type) {
	case types.String:
		return 1 + len(x)/10
	case types.Bytes:
		return 1 + len(x)/10
	case *types.Optional:
		if !x.HasValue() {
			return 1
		}
		return 1 + weight(x.GetValue(), limit-1)
	case traits.Mapper:
		n := 1
		for it := x.Iterator(); n <= limit && it.HasNext() == types.True; {
			k := it.Next()
			if n += weight(k, limit-n); n <= limit {
				n += weight(x.Get(k), limit-n)
			}
		}
		return n
	case traits.Lister:
		n := 1
		for it := x.Iterator(); n <= limit && it.HasNext() == types.True; {
			n += weight(it.Next(), limit-n)
		}
		return n
	}
	return 1
}

// replaced is how long the result of text.replace(old, new) is at most; 0 if these are no texts.
func replaced(args []ref.Val) int {
	texts := make([]string, 0, 3)
	for _, a := range args[:min(3, len(args))] {
		s, ok := a.(types.String)
		if !ok {
			return 0
		}
		texts = append(texts, string(s))
	}
	if len(texts) < 3 {
		return 0
	}
	times := utf8.RuneCountInString(texts[0]) + 1
	if texts[1] != "" {
		times = strings.Count(texts[0], texts[1])
	}
	return len(texts[0]) + times*max(len(texts[2])-len(texts[1]), 0)
}

// joined is how long the result of list.join(separator) is, or more than maxText.
func joined(args []ref.Val) int {
	l, ok := args[0].(traits.Lister)
	if !ok {
		return 0
	}
	between := 0
	if len(args) > 1 {
		s, _ := args[1].(types.String)
		between = len(s)
	}
	n := 0
	for it := l.Iterator(); n <= maxText && it.HasNext() == types.True; {
		s, _ := it.Next().(types.String)
		n += max(len(s)+between, 1) // lists of nothing are long as well
	}
	return n
}

// formatted is how long the result of text.format(list) is at most, or more than maxText.
func formatted(args []ref.Val) int {
	text, ok := args[0].(types.String)
	if !ok || len(args) < 2 {
		return 0
	}
	const number, quoted, each = 512, 2, 10 // what a number may become, bytes of a byte, bytes of a step
	return len(text) + strings.Count(string(text), "%")*number + quoted*each*weight(args[1], maxText/each)
}

// charges says what calls have cost of which CEL takes for granted that they cost next to nothing, or does not know with what.
type charges struct{}

// CallCost implements interpreter.ActualCostEstimator.
func (charges) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	n := 0
	switch function {
	case operators.Add: // texts and lists that are doubled again and again
		if l, ok := result.(traits.Lister); ok {
			size, _ := l.Size().(types.Int)
			n = 1 + int(size)
		} else {
			n = weight(result, CostLimit)
		}
	case operators.Equals, operators.NotEquals:
		n = lighter(args)
	case operators.In:
		n = searched(args)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, "size":
		for _, a := range args {
			if s, ok := a.(types.String); ok {
				n += len(s) / 10
			}
		}
		n++
	case "strings.quote", "format":
		n = weight(result, CostLimit)
	default:
		return nil
	}
	cost := uint64(n)
	return &cost
}
