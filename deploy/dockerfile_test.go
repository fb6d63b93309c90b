package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/internal/guides"
)

// recipe is how an image is built, whoever builds it.
type recipe struct {
	Base     string
	User     string
	Flags    []string
	Ldflags  []string
	Env      []string          // of the build
	Labels   map[string]string // by key; the value as it is written, with variables
	Packages map[string]string // by the name of the image
}

// instruction is one of a Dockerfile, with its lines joined.
type instruction struct{ verb, args string }

func instructions(text string) []instruction {
	var out []instruction
	joined := regexp.MustCompile(`[ \t]*\\\n[ \t]*`).ReplaceAllString(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, ""), " ")
	for line := range strings.SplitSeq(joined, "\n") {
		if verb, args, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out = append(out, instruction{strings.ToUpper(verb), strings.TrimSpace(args)})
		}
	}
	return out
}

// bash is what a script prints; the error tells what it said.
func bash(t *testing.T, script string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Env = append(os.Environ(), env...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, failure.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// fromKo is what .ko.yaml and deploy/images.sh say, and what is wrong with them already.
func fromKo(t *testing.T, settings, script string) (recipe, []string) {
	t.Helper()
	var ko struct {
		DefaultBaseImage string   `json:"defaultBaseImage"`
		DefaultPlatforms []string `json:"defaultPlatforms"`
		DefaultEnv       []string `json:"defaultEnv"`
		DefaultFlags     []string `json:"defaultFlags"`
		DefaultLdflags   []string `json:"defaultLdflags"`
	}
	if err := yaml.UnmarshalStrict([]byte(settings), &ko); err != nil {
		t.Fatal(err)
	}
	var wrong []string
	r := recipe{Base: ko.DefaultBaseImage, Flags: ko.DefaultFlags, Env: ko.DefaultEnv, Labels: map[string]string{}, Packages: map[string]string{}}
	for _, f := range ko.DefaultLdflags {
		r.Ldflags = append(r.Ldflags, strings.ReplaceAll(f, "{{.Env.VERSION}}", "$VERSION"))
	}
	find := func(what, expression string) string {
		m := regexp.MustCompile(expression).FindStringSubmatch(script)
		if m == nil {
			wrong = append(wrong, "deploy/images.sh has no "+what)
			return ""
		}
		return m[1]
	}
	if base := find("base image", `BASE_IMAGE:-([^}]+)\}`); base != ko.DefaultBaseImage {
		wrong = append(wrong, fmt.Sprintf("base image %s, .ko.yaml has %s", base, ko.DefaultBaseImage))
	}
	if platforms := find("platforms", `PLATFORMS:-([^}]+)\}`); platforms != strings.Join(ko.DefaultPlatforms, ",") {
		wrong = append(wrong, fmt.Sprintf("platforms %s, .ko.yaml has %s", platforms, ko.DefaultPlatforms))
	}
	r.User = find("user", `--image-user (\S+)`)
	r.Env = append(slices.Clone(r.Env), strings.Fields(regexp.MustCompile(` KO_\S+`).ReplaceAllString(find("environment", `(?m)^export (GOWORK=.*)$`), ""))...)
	for _, m := range regexp.MustCompile(`--image-label "?(org\.opencontainers\.image\.[a-z]+)=([^"\s)]+)`).FindAllStringSubmatch(script, -1) {
		r.Labels[m[1]] = strings.ReplaceAll(m[2], "$source", find("source", `(?m)^source=(\S+)$`))
	}
	for line := range strings.Lines(find("table of packages", `(?s)packages='\n(.*?\n)'`)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		r.Packages[name] = path
	}
	built := strings.Fields(find("list of what is built", `SERVICES:-([^}]+)\}`))
	for _, name := range built {
		if r.Packages[name] == "" {
			wrong = append(wrong, "deploy/images.sh builds "+name+" and knows no package of it")
		}
	}
	if len(built) != len(r.Packages) {
		wrong = append(wrong, fmt.Sprintf("deploy/images.sh builds %v of %v", built, r.Packages))
	}
	return r, wrong
}

// differences are where the Dockerfile makes another image than ko, or one that is not fit to be run.
func differences(t *testing.T, dockerfile, goMod string, want recipe) []string {
	t.Helper()
	var wrong []string
	differ := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			wrong = append(wrong, fmt.Sprintf("%s: %v, want %v", what, got, want))
		}
	}
	var stages [][]instruction
	for _, i := range instructions(dockerfile) {
		if i.verb == "FROM" {
			stages = append(stages, nil)
		}
		if len(stages) > 0 {
			stages[len(stages)-1] = append(stages[len(stages)-1], i)
		}
	}
	if len(stages) != 2 {
		return []string{fmt.Sprintf("%d stages, want one that builds and one that runs", len(stages))}
	}
	build, final := stages[0], stages[1]
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(goMod)
	differ("the first stage", strings.HasPrefix(build[0].args, "--platform=$BUILDPLATFORM golang:"+language[1]+"-"), true)
	differ("base", final[0].args, want.Base)

	var env []string
	var run, labels string
	for _, i := range build {
		switch i.verb {
		case "ENV":
			env = append(env, strings.Fields(i.args)...)
		case "RUN":
			run = i.args
		}
	}
	slices.Sort(env)
	wanted := slices.Sorted(slices.Values(want.Env))
	differ("environment of the build", env, wanted)
	order := map[string]int{}
	entry, copied := "", ""
	for n, i := range final {
		order[i.verb] = n
		switch i.verb {
		case "USER":
			differ("user", i.args, want.User)
		case "ENTRYPOINT":
			var args []string
			if err := json.Unmarshal([]byte(i.args), &args); err != nil || len(args) != 1 {
				wrong = append(wrong, "the entry point "+i.args+" needs a shell, or has arguments")
			} else {
				entry = args[0]
			}
		case "COPY":
			f := strings.Fields(i.args)
			copied = f[len(f)-1]
			differ("where the program comes from", f[:len(f)-1], []string{"--from=build", "/out/program"})
		case "LABEL":
			labels = i.args
		case "FROM", "ARG":
		default:
			wrong = append(wrong, "the last stage has "+i.verb+", which ko's images know nothing of")
		}
	}
	if order["USER"] == 0 || order["USER"] > order["ENTRYPOINT"] {
		wrong = append(wrong, "no USER before the ENTRYPOINT")
	}
	differ("the entry point", entry, copied)
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(\S+?)=(\S+)`).FindAllStringSubmatch(labels, -1) {
		got[m[1]] = m[2]
	}
	ours := map[string]string{"$name": "$SERVICE", "$revision": "$REVISION", "$created": "$CREATED"}
	for key, value := range want.Labels {
		if v, ok := ours[value]; ok {
			value = v
		}
		differ("label "+key, got[key], value)
	}
	differ("number of labels", len(got), len(want.Labels))

	m := regexp.MustCompile(`^(?:--mount=\S+ )*(case .* esac) && (GOOS=\$TARGETOS GOARCH=\$TARGETARCH) go build (.*) -ldflags "([^"]*)" -o (\S+) "\$package"$`).FindStringSubmatch(run)
	if m == nil {
		return append(wrong, "the build is not understood: "+run)
	}
	differ("flags of the build", strings.Fields(m[3]), want.Flags)
	differ("flags of the linker", m[4], strings.Join(want.Ldflags, " "))
	differ("what is built", m[5], "/out/program")
	for name, path := range want.Packages {
		built, err := bash(t, m[1]+`; echo "$package"`, "SERVICE="+name)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("SERVICE=%s: %v", name, err))
			continue
		}
		differ("package of "+name, built, path)
	}
	if built, err := bash(t, m[1]+`; echo "$package"`, "SERVICE=brokkr-nothing"); err == nil {
		wrong = append(wrong, "SERVICE=brokkr-nothing builds "+built)
	}
	return wrong
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// docker build makes the image that ko makes: same base, user, environment, flags, version, labels and programs, each of which there is.
func TestTheDockerfileBuildsWhatKoBuilds(t *testing.T) {
	t.Parallel()
	want, wrong := fromKo(t, text(t, "../.ko.yaml"), text(t, "images.sh"))
	if want.User != "10001:10001" || len(want.Packages) != 6 || len(want.Labels) < 6 {
		t.Errorf("ko's recipe is %+v", want)
	}
	for _, w := range append(wrong, differences(t, text(t, "Dockerfile"), text(t, "../go.mod"), want)...) {
		t.Error(w)
	}
	for name, dir := range want.Packages {
		if _, err := os.Stat(filepath.Join("..", dir, "main.go")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The comparison sees what it is for: each change of a line of the Dockerfile, or of ko's side, is told.
func TestWhatTheDockerfileMayNotSay(t *testing.T) {
	t.Parallel()
	dockerfile, script, settings, mod := text(t, "Dockerfile"), text(t, "images.sh"), text(t, "../.ko.yaml"), text(t, "../go.mod")
	for name, c := range map[string]struct{ file, old, new, want string }{
		"another user":             {"Dockerfile", "USER 10001:10001", "USER 65532:65532", "user: 65532:65532"},
		"no user":                  {"Dockerfile", "USER 10001:10001\n", "", "no USER"},
		"user too late":            {"Dockerfile", "USER 10001:10001\nENTRYPOINT [\"/usr/local/bin/program\"]", "ENTRYPOINT [\"/usr/local/bin/program\"]\nUSER 10001:10001", "no USER"},
		"another base":             {"Dockerfile", "static-debian12", "base-debian12", "base: "},
		"a shell":                  {"Dockerfile", "ENTRYPOINT [\"/usr/local/bin/program\"]", "ENTRYPOINT /usr/local/bin/program", "needs a shell"},
		"another entry point":      {"Dockerfile", "[\"/usr/local/bin/program\"]", "[\"/program\"]", "the entry point: /program"},
		"no -trimpath":             {"Dockerfile", "go build -trimpath -ld", "go build -v -ld", "flags of the build"},
		"no version":               {"Dockerfile", " -X main.version=$VERSION", "", "flags of the linker"},
		"with cgo":                 {"Dockerfile", "CGO_ENABLED=0", "CGO_ENABLED=1", "environment"},
		"an older Go":              {"Dockerfile", "golang:1.", "golang:0.", "the first stage"},
		"emulated":                 {"Dockerfile", "--platform=$BUILDPLATFORM ", "", "the first stage"},
		"a program forgotten":      {"Dockerfile", "|brokkr-scheduler", "", "SERVICE=brokkr-scheduler"},
		"another program":          {"Dockerfile", "package=./cmd/brokkr ;;", "package=./cmd/brokkr-broker ;;", "package of brokkr-cli"},
		"anything is built":        {"Dockerfile", "exit 1 ;;", "package=. ;;", "SERVICE=brokkr-nothing"},
		"no revision":              {"Dockerfile", "image.revision=$REVISION", "image.vendor=$REVISION", "label org.opencontainers.image.revision"},
		"one stage":                {"Dockerfile", "FROM gcr.io", "# FROM gcr.io", "1 stages"},
		"something else runs":      {"Dockerfile", "\nUSER", "\nRUN chmod 777 /\nUSER", "has RUN"},
		"ko: another user":         {"images.sh", "--image-user 10001", "--image-user 0", "user: 10001:10001, want 0"},
		"ko: another base":         {"images.sh", "BASE_IMAGE:-gcr.io/distroless/static-debian12", "BASE_IMAGE:-scratch", ".ko.yaml has"},
		"ko: one platform":         {".ko.yaml", "[linux/amd64, linux/arm64]", "[linux/amd64]", "platforms"},
		"ko: another flag":         {".ko.yaml", "[-trimpath]", "[-trimpath, -race]", "flags of the build"},
		"ko: no ldflags":           {".ko.yaml", "[-s, -w, ", "[", "flags of the linker"},
		"ko: a program more":       {"images.sh", "packages='\n", "packages='\nbrokkr-more ./cmd/more\n", "brokkr-more"},
		"ko: a program not built":  {"images.sh", " brokkr-cli}", "}", "builds ["},
		"ko: a label more":         {"images.sh", "--image-label org.opencontainers.image.licenses", "--image-label org.opencontainers.image.vendor=us --image-label org.opencontainers.image.licenses", "image.vendor"},
		"ko: another name of code": {"images.sh", "brokkr-cli ./cmd/brokkr\n", "brokkr-cli ./cmd/cli\n", "package of brokkr-cli"},
	} {
		files := map[string]string{"Dockerfile": dockerfile, "images.sh": script, ".ko.yaml": settings}
		if !strings.Contains(files[c.file], c.old) {
			t.Errorf("%s: %s has no %q", name, c.file, c.old)
			continue
		}
		files[c.file] = strings.ReplaceAll(files[c.file], c.old, c.new)
		want, wrong := fromKo(t, files[".ko.yaml"], files["images.sh"])
		wrong = append(wrong, differences(t, files["Dockerfile"], mod, want)...)
		if !strings.Contains(strings.Join(wrong, "\n"), c.want) {
			t.Errorf("%s: told %q, want something with %q", name, wrong, c.want)
		}
	}
}

// The guides build with arguments that the Dockerfile has, and name images that are published.
func TestGuidesOfImages(t *testing.T) {
	t.Parallel()
	want, _ := fromKo(t, text(t, "../.ko.yaml"), text(t, "images.sh"))
	args := map[string]bool{}
	for _, i := range instructions(text(t, "Dockerfile")) {
		if i.verb == "ARG" {
			name, _, _ := strings.Cut(i.args, "=")
			args[name] = true
		}
	}
	cmds, err := guides.Commands("..", "docker")
	if err != nil {
		t.Fatal(err)
	}
	built := 0
	for _, c := range cmds {
		for n, a := range c.Args {
			switch before := c.Args[max(n-1, 0)]; before {
			case "--build-arg":
				built++
				name, value, _ := strings.Cut(a, "=")
				if !args[name] {
					t.Errorf("%s: `%s`: the Dockerfile has no %s", c.Where, c, name)
				}
				if name == "SERVICE" && want.Packages[value] == "" {
					t.Errorf("%s: `%s`: there is no program %s", c.Where, c, value)
				}
			case "-f":
				if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(a))); err != nil {
					t.Errorf("%s: `%s`: %v", c.Where, c, err)
				}
			}
		}
	}
	files, err := guides.Files("..")
	if err != nil || built < 2 {
		t.Fatalf("%d arguments of builds, %v", built, err)
	}
	named := 0
	for _, file := range files {
		for _, m := range regexp.MustCompile(`ghcr\.io/colliery-io/(brokkr-[a-z]+)`).FindAllStringSubmatch(text(t, filepath.Join("..", file)), -1) {
			named++
			if want.Packages[m[1]] == "" {
				t.Errorf("%s: %s is no image of ours", file, m[0])
			}
		}
	}
	if named < 4 {
		t.Errorf("only %d images were looked at", named)
	}
}

// What .dockerignore leaves at home is not part of any program.
func TestTheBuildHasAllThatItNeeds(t *testing.T) {
	t.Parallel()
	var left []string
	for line := range strings.Lines(text(t, "../.dockerignore")) {
		if line = strings.TrimSpace(line); line != "" && !strings.ContainsAny(line, "*#") {
			left = append(left, line)
		}
	}
	out, err := bash(t, `set -o pipefail; cd .. && root=$(GOWORK=off go list -m) && GOWORK=off go list -deps -f '{{$p := .}}{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$p.ImportPath}}/{{.}} {{end}}{{range .EmbedFiles}}{{$p.ImportPath}}/{{.}} {{end}}{{end}}{{end}}' ./cmd/... ./services/... | sed "s#$root/##g"`)
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(out)
	if len(files) < 100 || len(left) < 5 {
		t.Fatalf("%d files, %d left out", len(files), len(left))
	}
	for _, f := range files {
		for _, l := range left {
			if strings.HasPrefix(f, l+"/") {
				t.Errorf("%s is needed, and .dockerignore leaves out %s", f, l)
			}
		}
	}
}
