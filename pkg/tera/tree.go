package tera

// stmt is a piece of a template: it writes, or changes variables.
type stmt interface {
	exec(r *run) (signal, error)
}

// expr is what has a value.
type expr interface {
	eval(r *run) (any, error)
}

// signal is how a piece ended.
type signal uint8

const (
	onwards signal = iota
	broke
	continued
)

type (
	textStmt  struct{ text string }
	printStmt struct {
		line int
		x    expr
	}
	setStmt struct {
		name   string
		x      expr
		global bool
	}
	branch struct {
		cond expr // nil: else
		body []stmt
	}
	ifStmt struct {
		branches []branch
	}
	forStmt struct {
		line       int
		key, value string // key is empty for lists
		in         expr
		body       []stmt
		otherwise  []stmt
	}
	filterStmt struct {
		call call
		body []stmt
	}
	jumpStmt struct{ to signal }
)

// macro is a named piece with parameters.
type macro struct {
	name   string
	line   int
	params []param
	body   []stmt
}

type param struct {
	name  string
	value any // of those with a default
	must  bool
}

// call is the use of a filter, a test, a function or a macro.
type call struct {
	line int
	name string
	args []arg
}

type arg struct {
	name string // empty: by position
	x    expr
}

type (
	literal struct{ v any }
	nameRef struct {
		line int
		name string
	}
	attrRef struct {
		line int
		x    expr
		key  string
	}
	indexRef struct {
		line int
		x, i expr
	}
	negation struct {
		line int
		x    expr
	}
	binary struct {
		line int
		op   string
		l, r expr
	}
	notExpr struct{ x expr }
	logic   struct {
		and  bool
		l, r expr
	}
	testExpr struct {
		call call
		x    expr
		not  bool
	}
	filtered struct {
		x    expr
		call call
	}
	function  struct{ call call }
	macroCall struct{ call call }
	list      struct {
		line  int
		items []expr
	}
)
