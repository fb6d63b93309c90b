package tera

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// textFilter runs a filter on a string. Each pays for what it makes before it makes it.
func textFilter(r *run, c call, a args, s string) (any, error) {
	switch c.name {
	case "replace", "trim_start_matches", "trim_end_matches", "split", "truncate", "indent":
		return argFilter(r, c, a, s)
	}
	// No character grows to more than six bytes for each of its own.
	if err := r.make(6 * len(s)); err != nil {
		return nil, err
	}
	switch c.name {
	case "upper":
		return strings.ToUpper(s), nil
	case "lower":
		return strings.ToLower(s), nil
	case "capitalize":
		first, n := utf8.DecodeRuneInString(s)
		if n == 0 {
			return s, nil
		}
		return strings.ToUpper(string(first)) + strings.ToLower(s[n:]), nil
	case "title":
		return title(s), nil
	case "trim":
		return strings.TrimSpace(s), nil
	case "trim_start":
		return strings.TrimLeftFunc(s, unicode.IsSpace), nil
	case "trim_end":
		return strings.TrimRightFunc(s, unicode.IsSpace), nil
	case "wordcount":
		return int64(len(strings.Fields(s))), nil
	case "reverse":
		return reversed(s), nil
	case "addslashes":
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s), nil
	case "slugify":
		return slug(s), nil
	case "urlencode":
		return percent(s, "-._~/"), nil
	case "urlencode_strict":
		return percent(s, ""), nil
	case "striptags":
		return stripTags(s), nil
	case "spaceless":
		return spaceless(s), nil
	case "linebreaksbr":
		return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "<br>"), "\n", "<br>"), nil
	case "escape":
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "/", "&#x2F;").Replace(s), nil
	case "escape_xml":
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s), nil
	default:
		return nil, r.failed("there is no filter %s", c.name)
	}
}

func title(s string) string {
	var b strings.Builder
	word := false
	for _, c := range s {
		if word {
			b.WriteRune(unicode.ToLower(c))
		} else {
			b.WriteRune(unicode.ToUpper(c))
		}
		word = unicode.IsLetter(c) || unicode.IsDigit(c) || c == '\''
	}
	return b.String()
}

func reversed(s string) string {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		_, n := utf8.DecodeLastRuneInString(s)
		out = append(out, s[len(s)-n:]...)
		s = s[:len(s)-n]
	}
	return string(out)
}

// slug keeps ASCII letters and digits in lower case, and puts one hyphen for whatever is between them.
func slug(s string) string {
	var b strings.Builder
	gap := false
	for _, c := range strings.ToLower(s) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(c)
			continue
		}
		gap = true
	}
	return b.String()
}

func percent(s, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if letter(c) && c != '_' || digit(c) || c == '_' && keep != "" || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func stripTags(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		end := strings.IndexByte(s[i:], '>')
		if end < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i+end+1:]
	}
	b.WriteString(s)
	return b.String()
}

// spaceless drops white space between > and <.
func spaceless(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '>')
		if i < 0 {
			break
		}
		b.WriteString(s[:i+1])
		s = s[i+1:]
		if rest := strings.TrimLeftFunc(s, unicode.IsSpace); strings.HasPrefix(rest, "<") {
			s = rest
		}
	}
	b.WriteString(s)
	return b.String()
}

func argFilter(r *run, c call, a args, s string) (any, error) {
	switch c.name {
	case "replace":
		return replaced(r, c, a, s)
	case "truncate":
		return truncated(r, c, a, s)
	case "indent":
		return indented(r, c, a, s)
	}
	pat, err := a.text(r, c, "pat", "")
	if err != nil {
		return nil, err
	}
	if err := r.step(1 + len(s)/16); err != nil {
		return nil, err
	}
	if c.name == "split" {
		return split(r, s, pat)
	}
	for pat != "" {
		rest, ok := strings.CutPrefix(s, pat)
		if c.name == "trim_end_matches" {
			rest, ok = strings.CutSuffix(s, pat)
		}
		if !ok {
			break
		}
		if err := r.step(1); err != nil {
			return nil, err
		}
		s = rest
	}
	return s, nil
}

func split(r *run, s, pat string) (any, error) {
	n := strings.Count(s, pat) + 1
	if err := r.make(n * slot); err != nil {
		return nil, err
	}
	if err := r.step(n); err != nil {
		return nil, err
	}
	out := make([]any, 0, n)
	for _, part := range strings.Split(s, pat) {
		out = append(out, part)
	}
	return out, nil
}

func replaced(r *run, c call, a args, s string) (any, error) {
	from, err := a.text(r, c, "from", "")
	if err != nil {
		return nil, err
	}
	to, err := a.text(r, c, "to", "")
	if err != nil {
		return nil, err
	}
	if err := r.step(1 + len(s)/16); err != nil {
		return nil, err
	}
	n := strings.Count(s, from)
	if err := r.make(len(s) + n*max(0, len(to)-len(from))); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s, from, to), r.step(n)
}

func truncated(r *run, c call, a args, s string) (any, error) {
	n, err := a.whole(r, c, "length", 255)
	if err != nil {
		return nil, err
	}
	end, err := a.text(r, c, "end", "…")
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, r.failed("the filter truncate wants a length of 0 or more")
	}
	if err := r.make(len(s) + len(end)); err != nil {
		return nil, err
	}
	seen := int64(0)
	for i := range s {
		if seen == n {
			return s[:i] + end, nil
		}
		seen++
	}
	return s, nil
}

func indented(r *run, c call, a args, s string) (any, error) {
	prefix, err := a.text(r, c, "prefix", "    ")
	if err != nil {
		return nil, err
	}
	first, err := a.truth(r, c, "first", false)
	if err != nil {
		return nil, err
	}
	blank, err := a.truth(r, c, "blank", false)
	if err != nil {
		return nil, err
	}
	n := strings.Count(s, "\n") + 1
	if err := r.make(len(s) + n*len(prefix)); err != nil {
		return nil, err
	}
	if err := r.step(n); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		if (i > 0 || first) && (blank || strings.TrimSpace(line) != "") {
			b.WriteString(prefix)
		}
		b.WriteString(line)
	}
	return b.String(), nil
}
