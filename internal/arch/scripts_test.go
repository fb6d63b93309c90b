package arch

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What scripts may not use: macOS has bash 3.2 and the tools of BSD, and `make test` and `make demo` run there, too.
var unportable = []struct{ name, pattern, why string }{ //nolint:gochecknoglobals // a constant
	{"associative array", `\b(declare|local|typeset) -[a-zA-Z]*[Ang]`, "bash 4: use a table of lines and awk"},
	{"mapfile", `\b(mapfile|readarray|coproc)\b`, "bash 4: use while read"},
	{"change of case", `\$\{[A-Za-z_0-9]+(\[[^]]*\])?(,|\^)`, "bash 4: use tr"},
	{"negative length", `\$\{[A-Za-z_0-9]+:[^-}=?+]*:-`, "bash 4.2: use % or #"},
	{"transformation", `\$\{[A-Za-z_0-9]+(\[[^]]*\])?@`, "bash 4.4"},
	{"redirection of both", `&>>|\|&`, "bash 4: use >>file 2>&1"},
	{"fall through", `;;?&`, "bash 4"},
	{"wait for any", `\bwait -n`, "bash 4.3"},
	{"is set", `(\[\[|\btest|\[) -v `, "bash 4.2: use ${x+set}"},
	{"stepped range", `\{[0-9]+\.\.[0-9]+\.\.`, "bash 4: use seq"},
	{"named descriptor", `\bexec \{`, "bash 4.1"},
	{"time in printf", `printf [^|;]*%\(`, "bash 4.2: use date"},
	{"options of bash 4", `shopt -s (globstar|lastpipe|inherit_errexit|autocd)`, "bash 4"},
	{"variables of bash 4", `\$\{?(BASHPID|EPOCHSECONDS|EPOCHREALTIME|SRANDOM)\b`, "bash 4"},
	{"paste of standard input", `\bpaste -s?d *('[^']*'|"[^"]*"|[^ '"|)]+) *(\||\)|$)`, "BSD: name it, as -"},
	{"sed in place", `\bsed (-[a-zA-Z] )*-i( |$|e)`, "BSD: give a suffix, as in -i.bak"},
	{"sha256sum", `(^|[^v]) ?\bsha256sum\b`, "older macOS has shasum: use a function digest that takes what there is"},
	{"options of GNU", `\b(stat -c|date -d|date --|grep -[a-zA-Z]*P|base64 -w|mktemp -p|mktemp --|find [^|;]* -printf|sort [^|;]*--|head -n -|cp -[a-zA-Z]*t )`, "BSD has it not"},
	{"a program of Linux", `(^|[|;&(] *)(timeout|tac|nproc|setsid|flock|getent) `, "macOS has it not"},
}

var (
	emptyArray = regexp.MustCompile(`\b([a-z_]+)=\(\)`)
	comment    = regexp.MustCompile(`(^|\s)#.*`)
)

// troubles are what a script has that not every bash takes.
func troubles(script string) []string {
	var out []string
	empty := map[string]bool{}
	for _, m := range emptyArray.FindAllStringSubmatch(script, -1) {
		empty[m[1]] = true
	}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(comment.ReplaceAllString(line, ""), "\n")
		for _, u := range unportable {
			if regexp.MustCompile(u.pattern).MatchString(line) && !strings.Contains(line, "command -v "+u.name) {
				out = append(out, u.name+" ("+u.why+"): "+strings.TrimSpace(line))
			}
		}
		for name := range empty {
			use := `"${` + name + `[@]}"`
			if strings.Contains(line, use) && !strings.Contains(line, `${`+name+`[@]+`+use+`}`) && !strings.Contains(line, `${#`+name+`[@]}`) {
				out = append(out, "empty array (unset before bash 4.4: write ${"+name+"[@]+"+use+"}): "+strings.TrimSpace(line))
			}
		}
	}
	return out
}

func TestScriptsRunInOldBash(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard", "*.sh", ".ci/run", "Makefile")
	cmd.Dir = "../.."
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("list the scripts: %v", err)
	}
	found := 0
	for name := range strings.FieldsSeq(string(list)) {
		text, err := os.ReadFile("../../" + name)
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		found++
		for _, s := range troubles(string(text)) {
			t.Errorf("%s: %s", name, s)
		}
	}
	if found < 20 {
		t.Errorf("looked at %d scripts only", found)
	}
}

func TestWhatOldBashDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"declare -A x=(", "local -n ref=$1", "mapfile -t lines", `echo "${x,,}"`, `echo "${x[0]^}"`, `echo "${x:0:-1}"`, `echo "${x@Q}"`, "run &>>log", "run |& tee", "  a) x ;&",
		"wait -n", "[[ -v x ]]", "for i in {1..9..2}; do", "exec {fd}>x", `printf '%(%s)T'`, "shopt -s globstar", "kill $BASHPID", "ls | paste -sd ' '", "x=$(ls | paste -sd, )",
		"sed -i s/a/b/ x", "sed -i -e s/a/b/ x", "sha256sum x", "cd x && sha256sum --check y", "stat -c %s x", "date -d @0", "grep -oP x", "timeout 5 x", "x | tac ", "args=()\nrun \"${args[@]}\"",
	} {
		if len(troubles(bad)) == 0 {
			t.Errorf("%q is not found", bad)
		}
	}
	for _, good := range []string{
		"ls | paste -sd ' ' -", "paste -sd, x", "sed -i.bak -e s/a/b/ x", "sed -e s/a/b/ x", `echo "${x:-1}" "${x:1:2}" "${x%,}" "${x#^}" "${x/,/}"`, "digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }",
		"args=()\nrun ${args[@]+\"${args[@]}\"}", "args=(a)\nrun \"${args[@]}\"", "args=()\n[ ${#args[@]} -eq 0 ] || run \"${args[@]}\"", "# declare -A", "a && b || c", "x ;;", "helm --timeout 5m ", "wait", "date +%s", "local name=$1",
	} {
		if s := troubles(good); len(s) > 0 {
			t.Errorf("%q: %v", good, s)
		}
	}
}
