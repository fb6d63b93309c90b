package bundle

import "bytes"

// section is a run of the bundle that a document marker (`---`) begins. It nearly always holds one document;
// only YAML's rare end marker (`...`) can put more into it.
type section struct {
	line int // 1-based, of its first line
	text []byte
}

// split cuts content before each line that is a document marker. YAML allows no `---` at the beginning of a line
// elsewhere: quoted scalars forbid it and block scalars are indented. Directives and comments before the
// first marker stay with the document that they belong to.
func split(content []byte) []section {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	var out []section
	start, startLine, body := 0, 1, false
	line := 1
	for pos := 0; pos < len(content); line++ {
		end := len(content)
		if i := bytes.IndexByte(content[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		text := bytes.TrimSpace(content[pos:end])
		if isMarker(content[pos:end]) {
			if body {
				out = append(out, section{line: startLine, text: content[start:pos]})
				start, startLine = pos, line
			}
			body = true
		} else if len(text) > 0 && text[0] != '#' && text[0] != '%' {
			body = true
		}
		pos = end
	}
	if body {
		out = append(out, section{line: startLine, text: content[start:]})
	}
	return out
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r')
}
