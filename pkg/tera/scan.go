package tera

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd     tokenKind = iota
	tokText              // between the tags
	tokOpen              // {{
	tokClose             // }}
	tokTag               // {%
	tokTagEnd            // %}
	tokName              // a word
	tokString            // without its quotes
	tokInteger           // digits
	tokFloat             // digits, a point, digits
	tokSign              // one of the signs
)

type token struct {
	kind tokenKind
	text string
	line int
}

// says reports whether the token is this word or sign.
func (t token) says(s string) bool { return (t.kind == tokName || t.kind == tokSign) && t.text == s }

func (t token) String() string {
	switch t.kind {
	case tokEnd:
		return "the end of the template"
	case tokText:
		return "text"
	case tokOpen:
		return "{{"
	case tokClose:
		return "}}"
	case tokTag:
		return "{%"
	case tokTagEnd:
		return "%}"
	case tokString:
		return "a string"
	case tokName, tokInteger, tokFloat, tokSign:
		return fmt.Sprintf("%q", t.text)
	default:
		return "something unknown"
	}
}

type scanner struct {
	src    string
	pos    int
	line   int
	tokens []token
	trim   bool // the next text loses its leading white space
}

func syntax(line int, format string, args ...any) *Error {
	return &Error{Kind: Syntax, Line: line, Message: fmt.Sprintf(format, args...)}
}

// scan cuts a template into tokens; the last one is tokEnd.
func scan(src string) ([]token, error) {
	s := &scanner{src: src, line: 1}
	for s.pos < len(s.src) {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	s.add(tokEnd, "")
	return s.tokens, nil
}

func (s *scanner) add(k tokenKind, text string) {
	s.tokens = append(s.tokens, token{kind: k, text: text, line: s.line})
}

func (s *scanner) rest() string { return s.src[s.pos:] }

func (s *scanner) skip(n int) {
	s.line += strings.Count(s.src[s.pos:s.pos+n], "\n")
	s.pos += n
}

// open finds the next of {{ {% {# in text; -1 without one.
func open(text string) int {
	for from := 0; ; {
		i := strings.IndexByte(text[from:], '{')
		if i < 0 {
			return -1
		}
		i += from
		if i+1 < len(text) && strings.IndexByte("{%#", text[i+1]) >= 0 {
			return i
		}
		from = i + 1
	}
}

// next reads a stretch of text and the tag behind it.
func (s *scanner) next() error {
	at := open(s.rest())
	end := len(s.src)
	if at >= 0 {
		end = s.pos + at
	}
	text := s.src[s.pos:end]
	trimmed := text
	if s.trim {
		trimmed = strings.TrimLeftFunc(trimmed, unicode.IsSpace)
		s.trim = false
	}
	if at >= 0 && end+2 < len(s.src) && s.src[end+2] == '-' {
		trimmed = strings.TrimRightFunc(trimmed, unicode.IsSpace)
	}
	if trimmed != "" {
		s.add(tokText, trimmed)
	}
	s.skip(len(text))
	if at < 0 {
		return nil
	}
	switch s.src[s.pos+1] {
	case '#':
		return s.comment()
	case '{':
		return s.code(tokOpen, tokClose, "}}")
	default:
		if n := s.word("raw"); n > 0 {
			return s.raw(n)
		}
		return s.code(tokTag, tokTagEnd, "%}")
	}
}

func (s *scanner) comment() error {
	n := strings.Index(s.src[s.pos+2:], "#}")
	if n < 0 {
		return syntax(s.line, "the comment that begins here has no end (#})")
	}
	s.trim = n > 0 && s.src[s.pos+2+n-1] == '-'
	s.skip(2 + n + 2)
	return nil
}

// word returns the length of the tag {% word %} at the scanner's place, 0 if there is another.
func (s *scanner) word(word string) int {
	rest := s.src[s.pos+2:]
	n := 2
	eat := func(cut string) {
		n += len(rest) - len(cut)
		rest = cut
	}
	eat(strings.TrimPrefix(rest, "-"))
	eat(strings.TrimLeftFunc(rest, unicode.IsSpace))
	if !strings.HasPrefix(rest, word) {
		return 0
	}
	eat(rest[len(word):])
	eat(strings.TrimLeftFunc(rest, unicode.IsSpace))
	eat(strings.TrimPrefix(rest, "-"))
	if !strings.HasPrefix(rest, "%}") {
		return 0
	}
	return n + 2
}

// raw copies what is between {% raw %} (of n bytes) and {% endraw %} as it is.
func (s *scanner) raw(n int) error {
	line := s.line
	trimLeft := s.src[s.pos+n-3] == '-'
	s.skip(n)
	for from := s.pos; ; {
		i := strings.Index(s.src[from:], "{%")
		if i < 0 {
			return syntax(line, "the raw block that begins here has no {%% endraw %%}")
		}
		body := s.src[s.pos : from+i]
		probe := &scanner{src: s.src, pos: from + i}
		m := probe.word("endraw")
		if m == 0 {
			from += i + 2
			continue
		}
		text := body
		if trimLeft {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
		if s.src[from+i+2] == '-' {
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		}
		if text != "" {
			s.add(tokText, text)
		}
		s.trim = s.src[from+i+m-3] == '-'
		s.skip(len(body) + m)
		return nil
	}
}

// code reads the words and signs of one tag.
func (s *scanner) code(first, last tokenKind, end string) error {
	line := s.line
	s.add(first, "")
	s.skip(2)
	if strings.HasPrefix(s.rest(), "-") {
		s.skip(1)
	}
	for {
		s.skip(len(s.rest()) - len(strings.TrimLeftFunc(s.rest(), unicode.IsSpace)))
		rest := s.rest()
		switch {
		case rest == "":
			return syntax(line, "the tag that begins here has no end (%s)", end)
		case strings.HasPrefix(rest, end):
			s.add(last, "")
			s.skip(len(end))
			return nil
		case strings.HasPrefix(rest, "-"+end):
			s.add(last, "")
			s.skip(len(end) + 1)
			s.trim = true
			return nil
		}
		if err := s.item(rest); err != nil {
			return err
		}
	}
}

// item reads one word, number, string or sign.
func (s *scanner) item(rest string) error {
	c := rest[0]
	switch {
	case c == '"' || c == '\'' || c == '`':
		n := strings.IndexByte(rest[1:], c)
		if n < 0 {
			return syntax(s.line, "the string that begins here has no end (%c)", c)
		}
		s.add(tokString, rest[1:1+n])
		s.skip(n + 2)
		return nil
	case digit(c):
		s.number(rest)
		return nil
	case letter(c):
		n := 1
		for n < len(rest) && (letter(rest[n]) || digit(rest[n])) {
			n++
		}
		s.add(tokName, rest[:n])
		s.skip(n)
		return nil
	}
	for _, sign := range []string{"::", "==", "!=", ">=", "<="} {
		if strings.HasPrefix(rest, sign) {
			s.add(tokSign, sign)
			s.skip(2)
			return nil
		}
	}
	if strings.IndexByte("+-*/%<>=|.,()[]~:", c) >= 0 {
		s.add(tokSign, rest[:1])
		s.skip(1)
		return nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return syntax(s.line, "%q means nothing here", r)
}

// number reads digits; after a point that follows a name (a.0.1) they are an index, never a fraction.
func (s *scanner) number(rest string) {
	n := digits(rest)
	kind := tokInteger
	last := s.tokens[len(s.tokens)-1]
	if !last.says(".") && n+1 < len(rest) && rest[n] == '.' && digit(rest[n+1]) {
		n += 1 + digits(rest[n+1:])
		kind = tokFloat
	}
	s.add(kind, rest[:n])
	s.skip(n)
}

func digits(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
