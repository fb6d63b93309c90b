// Package guides reads the commands that README.md and docs say, so that tests can hold them to the programs: a guide that
// has fallen behind fails like any other mistake.
//
// A fenced block of shell is run by the tests of test/e2e. One that needs what tests do not have says so in a comment of its
// own before the fence, which readers do not see:
//
//	<!-- needs: a container runtime -->
//
// Its commands, and those between backticks in the text, are still held to what the programs understand.
package guides

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Block is a fenced block.
type Block struct {
	File     string // from the root of the repository, with slashes
	Line     int    // of its first line of text
	Language string // what stands behind the fence
	Needs    string // what running it needs that tests do not have; empty: they run it
	Text     string
}

// Where is the place of the block for a message.
func (b Block) Where() string { return fmt.Sprintf("%s:%d", b.File, b.Line) }

// Shell says whether the block is commands for a shell.
func (b Block) Shell() bool {
	return slices.Contains([]string{"bash", "sh", "shell", "console"}, b.Language)
}

// Command is a command with its arguments, as the shell would hand them over. What only the shell knows, such as the value of a
// variable, is left as it is written.
type Command struct {
	Where string
	Args  []string
	// Mention is set for a command in the text, which may leave out arguments.
	Mention bool
}

// String is the command as a line.
func (c Command) String() string { return strings.Join(c.Args, " ") }

// Files are the guides of the repository at root: README.md and its like, and docs but the decisions.
func Files(root string) ([]string, error) {
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/state/*.md", "deploy/*/*/README.md", "test/*/README.md"} {
		paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return nil, err
			}
			if rel != "CHANGELOG.md" { // it tells of the past
				out = append(out, filepath.ToSlash(rel))
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no guides in %s", root)
	}
	return out, nil
}

var (
	fence  = regexp.MustCompile("^ *(```+)([a-z]*) *$")
	needs  = regexp.MustCompile(`^ *<!-- needs: (.+) -->$`)
	inline = regexp.MustCompile("`([^`]+)`")
)

// Read returns the blocks of a file, and its text without them, line for line.
func Read(root, file string) ([]Block, string, error) {
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return nil, "", err
	}
	var blocks []Block
	var text strings.Builder
	var open *Block
	mark, end := "", ""
	for n, line := range strings.Split(string(b), "\n") {
		switch m := fence.FindStringSubmatch(line); {
		case open == nil && m != nil:
			open, end, mark = &Block{File: file, Line: n + 2, Language: m[2], Needs: mark}, m[1], ""
		case open != nil && m != nil && m[1] == end:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += line + "\n"
			text.WriteByte('\n')
			continue
		default:
			if m := needs.FindStringSubmatch(line); m != nil {
				mark = m[1]
			} else if strings.TrimSpace(line) != "" && mark != "" {
				return nil, "", fmt.Errorf("%s:%d: a mark for a block, and no block", file, n+1)
			}
			text.WriteString(line)
		}
		text.WriteByte('\n')
	}
	if open != nil {
		return nil, "", fmt.Errorf("%s:%d: the block has no end", file, open.Line)
	}
	return blocks, text.String(), nil
}

// Commands returns every command of program that the guides of root tell, in blocks and in the text.
func Commands(root, program string) ([]Command, error) {
	files, err := Files(root)
	if err != nil {
		return nil, err
	}
	var out []Command
	for _, file := range files {
		blocks, text, err := Read(root, file)
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			if !b.Shell() {
				continue
			}
			all, err := calls(b.Text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Where(), err)
			}
			for _, args := range all {
				if filepath.Base(args[0]) == program {
					out = append(out, Command{Where: b.Where(), Args: args})
				}
			}
		}
		for _, at := range inline.FindAllStringSubmatchIndex(text, -1) {
			said := text[at[2]:at[3]]
			if !strings.HasPrefix(said, program+" ") {
				continue
			}
			where := fmt.Sprintf("%s:%d", file, strings.Count(text[:at[0]], "\n")+1)
			all, err := mentions(said)
			if err != nil {
				return nil, fmt.Errorf("%s: `%s`: %w", where, said, err)
			}
			for _, args := range all {
				if args[0] == program {
					out = append(out, Command{Where: where, Args: args, Mention: true})
				}
			}
		}
	}
	return out, nil
}

var (
	placeholder = regexp.MustCompile(`<[a-z][a-z_ -]*>`)
	choice      = regexp.MustCompile(`[a-z-]+(\|[a-z-]+)+`)
)

// mentions are the commands of what stands between backticks: `a x|y Z` is two.
func mentions(said string) ([][]string, error) {
	said = strings.NewReplacer(`\|`, "|", "[", "", "]", "", "\n", " ").Replace(said)
	words := choice.FindString(said)
	if words == "" {
		return calls(said)
	}
	var out [][]string
	for word := range strings.SplitSeq(words, "|") {
		some, err := mentions(strings.Replace(said, words, word, 1))
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// calls are the commands of a script, also those in pipes and substitutions, without their environment.
func calls(script string) ([][]string, error) {
	parsed, err := Parse(script)
	if err != nil {
		return nil, err
	}
	var out [][]string
	syntax.Walk(parsed, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 {
			var args []string
			for _, w := range c.Args {
				args = append(args, plain(w))
			}
			out = append(out, args)
		}
		return true
	})
	return out, nil
}

// Statements are the commands of a script one by one, as they are written.
func Statements(script string) ([]string, error) {
	parsed, err := Parse(script)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range parsed.Stmts {
		end := s.End()
		for _, r := range s.Redirs {
			if r.Hdoc != nil && r.Hdoc.End().After(end) {
				end = r.Hdoc.End()
			}
		}
		text := script[s.Pos().Offset():min(end.Offset(), uint(len(script)))]
		for _, r := range s.Redirs {
			if r.Hdoc != nil { // its last line is not part of it
				text += plain(r.Word)
			}
		}
		out = append(out, text)
	}
	return out, nil
}

// Parse reads a script. A <placeholder> is a word.
func Parse(script string) (*syntax.File, error) {
	script = placeholder.ReplaceAllStringFunc(script, func(s string) string { return strings.Map(wordy, s) })
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
}

func wordy(r rune) rune {
	if strings.ContainsRune("<> ", r) {
		return '_'
	}
	return r
}

// plain is a word without its quotes.
func plain(w *syntax.Word) string {
	var b strings.Builder
	parts(&b, w.Parts)
	return b.String()
}

func parts(b *strings.Builder, all []syntax.WordPart) {
	for _, p := range all {
		switch p := p.(type) {
		case *syntax.Lit:
			b.WriteString(p.Value)
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			parts(b, p.Parts)
		default:
			_ = syntax.NewPrinter().Print(b, p) // a builder takes everything
		}
	}
}
