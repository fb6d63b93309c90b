package tera

import (
	"slices"
	"strconv"
)

// expression reads one whole expression.
func (p *parser) expression() (expr, error) {
	p.terms = 0
	return p.operandOrLogic()
}

// term counts the parts of an expression, so that a chain of them cannot make a tree that is too deep to walk.
func (p *parser) term(line int) error {
	if p.terms++; p.terms > p.limits.Terms {
		return syntax(line, "the expression has more than %d parts", p.limits.Terms)
	}
	return nil
}

func (p *parser) operandOrLogic() (expr, error) {
	l, err := p.conjunction()
	for err == nil && p.peek().says("or") {
		var r expr
		if err = p.term(p.next().line); err == nil {
			r, err = p.conjunction()
		}
		l = logic{l: l, r: r}
	}
	return l, err
}

func (p *parser) conjunction() (expr, error) {
	l, err := p.inversion()
	for err == nil && p.peek().says("and") {
		var r expr
		if err = p.term(p.next().line); err == nil {
			r, err = p.inversion()
		}
		l = logic{and: true, l: l, r: r}
	}
	return l, err
}

func (p *parser) inversion() (expr, error) {
	if t := p.peek(); t.says("not") {
		p.next()
		if err := p.deeper(t.line); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		x, err := p.inversion()
		return notExpr{x}, err
	}
	return p.comparison()
}

func (p *parser) comparison() (expr, error) {
	l, err := p.operand()
	if err != nil {
		return nil, err
	}
	t := p.peek()
	not := t.says("not") && p.tokens[p.pos+1].says("in")
	if not {
		p.next()
	}
	op := p.peek()
	if !slices.ContainsFunc([]string{"==", "!=", ">=", "<=", ">", "<", "in"}, op.says) {
		return l, nil
	}
	p.next()
	if err := p.term(op.line); err != nil {
		return nil, err
	}
	r, err := p.operand()
	if err != nil {
		return nil, err
	}
	if not {
		return notExpr{binary{line: op.line, op: op.text, l: l, r: r}}, nil
	}
	return binary{line: op.line, op: op.text, l: l, r: r}, nil
}

// operand reads filtered values with arithmetic between them. Filters bind weaker than the arithmetic before them, as in
// Tera: 1 + 2 | round is (1 + 2) | round, and what follows a filter goes on with its result.
func (p *parser) operand() (expr, error) {
	x, err := p.arithmetic()
	if err != nil {
		return nil, err
	}
	items, ops := []expr{}, []token{}
	for {
		for p.peek().says("|") {
			if err := p.term(p.next().line); err != nil {
				return nil, err
			}
			c, err := p.call(p.next(), "filter")
			if err != nil {
				return nil, err
			}
			if err := checkFilter(c); err != nil {
				return nil, err
			}
			x = filtered{x: x, call: c}
		}
		items = append(items, x)
		if level(p.peek()) == 0 {
			return fold(items, ops), nil
		}
		ops = append(ops, p.next())
		if x, err = p.arithmetic(); err != nil {
			return nil, err
		}
	}
}

// level is how strongly an operator binds; 0: it is none.
func level(t token) int {
	switch {
	case t.says("*"), t.says("/"), t.says("%"):
		return 3
	case t.says("+"), t.says("-"):
		return 2
	case t.says("~"):
		return 1
	default:
		return 0
	}
}

// fold joins values by the operators between them, strongest first, from the left.
func fold(items []expr, ops []token) expr {
	for l := 3; l > 0; l-- {
		for i := 0; i < len(ops); {
			if level(ops[i]) != l {
				i++
				continue
			}
			items[i] = binary{line: ops[i].line, op: ops[i].text, l: items[i], r: items[i+1]}
			items = slices.Delete(items, i+1, i+2)
			ops = slices.Delete(ops, i, i+1)
		}
	}
	return items[0]
}

func (p *parser) arithmetic() (expr, error) {
	x, err := p.unary()
	if err != nil {
		return nil, err
	}
	items, ops := []expr{x}, []token{}
	for level(p.peek()) > 0 {
		ops = append(ops, p.next())
		if x, err = p.unary(); err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	return fold(items, ops), nil
}

func (p *parser) unary() (expr, error) {
	t := p.peek()
	if err := p.term(t.line); err != nil {
		return nil, err
	}
	if !p.is("-") {
		return p.tested()
	}
	if err := p.deeper(t.line); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	x, err := p.unary()
	return negation{line: t.line, x: x}, err
}

// tested reads a value and the test behind it, if there is one.
func (p *parser) tested() (expr, error) {
	x, err := p.primary()
	if err != nil || !p.is("is") {
		return x, err
	}
	not := p.is("not")
	c, err := p.call(p.next(), "is")
	if err != nil {
		return nil, err
	}
	return testExpr{call: c, x: x, not: not}, checkTest(c)
}

func (p *parser) primary() (expr, error) {
	t := p.next()
	switch t.kind {
	case tokString:
		return literal{t.text}, nil
	case tokInteger:
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			return nil, syntax(t.line, "the number %.20s is too large", t.text)
		}
		return literal{n}, nil
	case tokFloat:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, syntax(t.line, "the number %.20s is too large", t.text)
		}
		return literal{f}, nil
	case tokName:
		return p.named(t)
	case tokSign:
		if t.text == "(" || t.text == "[" {
			return p.enclosed(t)
		}
	default: // it begins no value
	}
	return nil, syntax(t.line, "a value is expected, and there is %s", t)
}

func (p *parser) enclosed(t token) (expr, error) {
	if err := p.deeper(t.line); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if t.text == "(" {
		x, err := p.operandOrLogic()
		if err != nil {
			return nil, err
		}
		return x, p.want(")", "the parenthesis of line "+strconv.Itoa(t.line))
	}
	out := list{line: t.line}
	for !p.is("]") {
		x, err := p.operandOrLogic()
		if err != nil {
			return nil, err
		}
		if err := p.term(t.line); err != nil {
			return nil, err
		}
		out.items = append(out.items, x)
		if !p.is(",") && !p.peek().says("]") {
			return nil, syntax(p.peek().line, "a list wants \",\" or \"]\", and there is %s", p.peek())
		}
	}
	return out, nil
}

// named reads what begins with a word: a constant, a macro's or a function's call, or a variable with its path.
func (p *parser) named(t token) (expr, error) {
	switch t.text {
	case "true", "True":
		return literal{true}, nil
	case "false", "False":
		return literal{false}, nil
	case "and", "or", "not", "in", "is":
		return nil, syntax(t.line, "a value is expected, and there is %q", t.text)
	}
	if p.is("::") {
		if t.text != "self" {
			return nil, syntax(t.line, "%s:: names another template, and a template reads no others; macros of this one are self::", t.text)
		}
		c, err := p.call(p.next(), "self::")
		p.calls = append(p.calls, c)
		return macroCall{c}, err
	}
	if p.peek().says("(") {
		c, err := p.call(t, "")
		if err != nil {
			return nil, err
		}
		return function{c}, checkFunction(c)
	}
	return p.path(nameRef{line: t.line, name: t.text})
}

func (p *parser) path(x expr) (expr, error) {
	for {
		t := p.peek()
		switch {
		case p.is("."):
			key := p.next()
			if key.kind != tokName && key.kind != tokInteger {
				return nil, syntax(key.line, "a name or an index is expected after the point, and there is %s", key)
			}
			x = attrRef{line: t.line, x: x, key: key.text}
		case p.is("["):
			if err := p.deeper(t.line); err != nil {
				return nil, err
			}
			i, err := p.operandOrLogic()
			if err != nil {
				return nil, err
			}
			p.depth--
			if err := p.want("]", "an index"); err != nil {
				return nil, err
			}
			x = indexRef{line: t.line, x: x, i: i}
		default:
			return x, nil
		}
		if err := p.term(t.line); err != nil {
			return nil, err
		}
	}
}
