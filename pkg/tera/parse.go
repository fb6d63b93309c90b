package tera

import (
	"slices"
	"strings"
)

type parser struct {
	tokens []token
	pos    int
	limits Limits
	macros map[string]*macro
	calls  []call // of macros, looked up when all are known
	depth  int
	terms  int
	loops  int
	inside bool // a macro
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEnd {
		p.pos++
	}
	return t
}

// is reports whether the next token is this word or sign, and takes it if so.
func (p *parser) is(s string) bool {
	if !p.peek().says(s) {
		return false
	}
	p.pos++
	return true
}

func (p *parser) want(s, after string) error {
	if t := p.peek(); !p.is(s) {
		return syntax(t.line, "%s wants %q, and there is %s", after, s, t)
	}
	return nil
}

func (p *parser) end(k tokenKind, after string) error {
	if t := p.next(); t.kind != k {
		return syntax(t.line, "%s ends with %s, and there is %s", after, token{kind: k}, t)
	}
	return nil
}

// name reads a word that may name something.
func (p *parser) name(what string) (string, error) {
	t := p.next()
	if t.kind != tokName {
		return "", syntax(t.line, "%s wants a name, and there is %s", what, t)
	}
	if reserved(t.text) {
		return "", syntax(t.line, "%q is a word of the language and cannot be a name", t.text)
	}
	return t.text, nil
}

func reserved(s string) bool {
	return slices.Contains([]string{"and", "or", "not", "in", "is", "true", "True", "false", "False", "self", "loop"}, s)
}

func (p *parser) deeper(line int) error {
	if p.depth++; p.depth > p.limits.Nesting {
		return syntax(line, "it is nested deeper than %d levels", p.limits.Nesting)
	}
	return nil
}

func (p *parser) template() ([]stmt, error) {
	body, stop, err := p.body()
	if err != nil {
		return nil, err
	}
	if stop.kind != tokEnd {
		return nil, syntax(stop.line, "{%% %s %%} closes nothing", stop.text)
	}
	for _, c := range p.calls {
		m, ok := p.macros[c.name]
		if !ok {
			return nil, syntax(c.line, "there is no macro %q in this template", c.name)
		}
		for _, a := range c.args {
			if !slices.ContainsFunc(m.params, func(q param) bool { return q.name == a.name }) {
				return nil, syntax(c.line, "macro %q has no parameter %q", c.name, a.name)
			}
		}
	}
	return body, nil
}

// body reads until a tag that closes or divides, which it returns with its word already taken, or the end.
func (p *parser) body() ([]stmt, token, error) {
	var out []stmt
	for {
		t := p.next()
		switch t.kind {
		case tokEnd:
			return out, t, nil
		case tokText:
			out = append(out, textStmt{t.text})
		case tokOpen:
			x, err := p.expression()
			if err != nil {
				return nil, t, err
			}
			if err := p.end(tokClose, "an expression"); err != nil {
				return nil, t, err
			}
			out = append(out, printStmt{line: t.line, x: x})
		case tokTag:
			word := p.next()
			if word.kind != tokName {
				return nil, t, syntax(word.line, "a tag begins with a word, and there is %s", word)
			}
			if closes(word.text) {
				return out, word, nil
			}
			s, err := p.tag(word)
			if err != nil {
				return nil, t, err
			}
			out = append(out, s...)
		default:
			return nil, t, syntax(t.line, "%s is not expected here", t)
		}
	}
}

func closes(word string) bool {
	return slices.Contains([]string{"elif", "else", "endif", "endfor", "endmacro", "endfilter", "endblock"}, word)
}

// inner reads the body of a tag up to one of these words.
func (p *parser) inner(of token, ends ...string) ([]stmt, token, error) {
	if err := p.deeper(of.line); err != nil {
		return nil, of, err
	}
	body, stop, err := p.body()
	if err != nil {
		return nil, stop, err
	}
	p.depth--
	if stop.kind == tokEnd {
		return nil, stop, syntax(of.line, "{%% %s %%} has no {%% %s %%}", of.text, ends[len(ends)-1])
	}
	if !slices.Contains(ends, stop.text) {
		return nil, stop, syntax(stop.line, "{%% %s %%} stands inside of {%% %s %%} of line %d", stop.text, of.text, of.line)
	}
	return body, stop, nil
}

func (p *parser) tag(word token) ([]stmt, error) {
	single := func(s stmt, err error) ([]stmt, error) { return []stmt{s}, err }
	switch word.text {
	case "if":
		return single(p.ifTag(word))
	case "for":
		return single(p.forTag(word))
	case "set", "set_global":
		return single(p.setTag(word))
	case "filter":
		return single(p.filterTag(word))
	case "block":
		return p.blockTag(word)
	case "macro":
		return nil, p.macroTag(word)
	case "break", "continue":
		if p.loops == 0 {
			return nil, syntax(word.line, "{%% %s %%} stands outside of a loop", word.text)
		}
		to := broke
		if word.text == "continue" {
			to = continued
		}
		return []stmt{jumpStmt{to}}, p.end(tokTagEnd, word.text)
	case "include", "import", "extends":
		return nil, syntax(word.line, "{%% %s %%} is not available: a template reads no other files", word.text)
	case "endraw":
		return nil, syntax(word.line, "{%% endraw %%} closes nothing")
	default:
		return nil, syntax(word.line, "there is no tag %q", word.text)
	}
}

func (p *parser) ifTag(word token) (stmt, error) {
	var out ifStmt
	at := word
	for {
		var b branch
		var err error
		if at.text != "else" {
			if b.cond, err = p.expression(); err != nil {
				return nil, err
			}
		}
		if err := p.end(tokTagEnd, at.text); err != nil {
			return nil, err
		}
		ends := []string{"elif", "else", "endif"}
		if at.text == "else" {
			ends = []string{"endif"}
		}
		of := word
		b.body, at, err = p.inner(of, ends...)
		if err != nil {
			return nil, err
		}
		out.branches = append(out.branches, b)
		if at.text == "endif" {
			return out, p.end(tokTagEnd, "endif")
		}
	}
}

func (p *parser) forTag(word token) (stmt, error) {
	out := forStmt{line: word.line}
	var err error
	if out.value, err = p.name("for"); err != nil {
		return nil, err
	}
	if p.is(",") {
		out.key = out.value
		if out.value, err = p.name("for"); err != nil {
			return nil, err
		}
	}
	if err := p.want("in", "for"); err != nil {
		return nil, err
	}
	if out.in, err = p.expression(); err != nil {
		return nil, err
	}
	if err := p.end(tokTagEnd, "for"); err != nil {
		return nil, err
	}
	p.loops++
	body, stop, err := p.inner(word, "else", "endfor")
	if err != nil {
		return nil, err
	}
	p.loops--
	out.body = body
	if stop.text == "else" {
		if err := p.end(tokTagEnd, "else"); err != nil {
			return nil, err
		}
		if out.otherwise, _, err = p.inner(word, "endfor"); err != nil {
			return nil, err
		}
	}
	return out, p.end(tokTagEnd, "endfor")
}

func (p *parser) setTag(word token) (stmt, error) {
	name, err := p.name(word.text)
	if err != nil {
		return nil, err
	}
	if err := p.want("=", word.text); err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	return setStmt{name: name, x: x, global: word.text == "set_global"}, p.end(tokTagEnd, word.text)
}

func (p *parser) filterTag(word token) (stmt, error) {
	c, err := p.call(p.next(), "filter")
	if err != nil {
		return nil, err
	}
	if err := checkFilter(c); err != nil {
		return nil, err
	}
	if err := p.end(tokTagEnd, "filter"); err != nil {
		return nil, err
	}
	body, _, err := p.inner(word, "endfilter")
	if err != nil {
		return nil, err
	}
	return filterStmt{call: c, body: body}, p.end(tokTagEnd, "endfilter")
}

// blockTag reads a block, which without inheritance is just what it holds.
func (p *parser) blockTag(word token) ([]stmt, error) {
	name, err := p.name("block")
	if err != nil {
		return nil, err
	}
	if err := p.end(tokTagEnd, "block"); err != nil {
		return nil, err
	}
	body, _, err := p.inner(word, "endblock")
	if err != nil {
		return nil, err
	}
	return body, p.endNamed("endblock", name)
}

// endNamed reads the end of a closing tag that may repeat the name.
func (p *parser) endNamed(word, name string) error {
	if t := p.peek(); t.kind == tokName {
		if p.next(); t.text != name {
			return syntax(t.line, "%s closes %q, and what is open is %q", word, t.text, name)
		}
	}
	return p.end(tokTagEnd, word)
}

func (p *parser) macroTag(word token) error {
	if p.depth > 0 || p.inside {
		return syntax(word.line, "a macro stands at the top of a template, not inside of something else")
	}
	m := &macro{line: word.line}
	var err error
	if m.name, err = p.name("macro"); err != nil {
		return err
	}
	if p.macros[m.name] != nil {
		return syntax(word.line, "macro %q exists already, in line %d", m.name, p.macros[m.name].line)
	}
	if err := p.want("(", "macro "+m.name); err != nil {
		return err
	}
	for !p.is(")") {
		q, err := p.param(m)
		if err != nil {
			return err
		}
		m.params = append(m.params, q)
		if !p.is(",") && !p.peek().says(")") {
			return syntax(p.peek().line, "macro %s wants \",\" or \")\", and there is %s", m.name, p.peek())
		}
	}
	if err := p.end(tokTagEnd, "macro"); err != nil {
		return err
	}
	p.macros[m.name], p.inside = m, true
	loops := p.loops
	p.loops = 0
	if m.body, _, err = p.inner(word, "endmacro"); err != nil {
		return err
	}
	p.inside, p.loops = false, loops
	return p.endNamed("endmacro", m.name)
}

func (p *parser) param(m *macro) (param, error) {
	name, err := p.name("macro " + m.name)
	if err != nil {
		return param{}, err
	}
	if slices.ContainsFunc(m.params, func(q param) bool { return q.name == name }) {
		return param{}, syntax(m.line, "macro %q has two parameters %q", m.name, name)
	}
	if !p.is("=") {
		return param{name: name, must: true}, nil
	}
	x, err := p.expression()
	if err != nil {
		return param{}, err
	}
	l, ok := x.(literal)
	if n, negative := x.(negation); negative {
		if l, ok = n.x.(literal); ok {
			l.v, ok = negated(l.v)
		}
	}
	if !ok {
		return param{}, syntax(m.line, "the default of parameter %q is a number, a string, true or false", name)
	}
	return param{name: name, value: l.v}, nil
}

// call reads the arguments, if there are any, of what name names.
func (p *parser) call(name token, what string) (call, error) {
	if name.kind != tokName {
		return call{}, syntax(name.line, "%s wants a name, and there is %s", what, name)
	}
	out := call{line: name.line, name: name.text}
	if !p.is("(") {
		return out, nil
	}
	if err := p.deeper(name.line); err != nil {
		return out, err
	}
	defer func() { p.depth-- }()
	for !p.is(")") {
		a, err := p.arg()
		if err != nil {
			return out, err
		}
		if a.name != "" && slices.ContainsFunc(out.args, func(b arg) bool { return b.name == a.name }) {
			return out, syntax(name.line, "%s has two arguments %q", name.text, a.name)
		}
		out.args = append(out.args, a)
		if !p.is(",") && !p.peek().says(")") {
			return out, syntax(p.peek().line, "%s wants \",\" or \")\", and there is %s", strings.TrimSpace(what+" "+name.text), p.peek())
		}
	}
	return out, nil
}

func (p *parser) arg() (arg, error) {
	var out arg
	if t := p.peek(); t.kind == tokName && p.tokens[p.pos+1].says("=") {
		out.name = t.text
		p.pos += 2
	}
	x, err := p.operandOrLogic()
	out.x = x
	return out, err
}
