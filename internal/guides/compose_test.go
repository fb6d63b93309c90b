package guides_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

type composed struct {
	Services map[string]struct {
		Image       string            `json:"image"`
		Command     []string          `json:"command"`
		Ports       []string          `json:"ports"`
		Environment map[string]string `json:"environment"`
		Volumes     []string          `json:"volumes"`
		DependsOn   map[string]any    `json:"depends_on"`
		ReadOnly    bool              `json:"read_only"`
		CapDrop     []string          `json:"cap_drop"`
		SecurityOpt []string          `json:"security_opt"`
		Restart     string            `json:"restart"`
		StopGrace   string            `json:"stop_grace_period"`
		Healthcheck map[string]any    `json:"healthcheck"`
	} `json:"services"`
	Volumes map[string]any `json:"volumes"`
}

// The compose file names images that are published, ports that are listened to, options that there are, and variables of which the
// example says what they are; what each holds is not known here, for there is no container runtime.
func TestCompose(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	text := read("deploy/compose/compose.yaml")
	var c composed
	if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	broker, postgres := c.Services["broker"], c.Services["postgres"]
	if !strings.HasPrefix(broker.Image, "ghcr.io/colliery-io/brokkr-broker:") || !strings.Contains(read("deploy/images.sh"), "\nbrokkr-broker ./cmd/") {
		t.Errorf("the broker's image is %q", broker.Image)
	}
	if want := regexp.MustCompile(`docker\.io/library/postgres:\S+`).FindString(read("charts/brokkr-broker/values.yaml")); postgres.Image != want {
		t.Errorf("PostgreSQL is %q, the chart has %q", postgres.Image, want)
	}
	keys := read("docs/configuration.md")
	if len(broker.Ports) != 1 || !strings.HasSuffix(broker.Ports[0], ":3000") || !strings.Contains(keys, "| `broker.addr` | everything public (`--addr`) | `:3000` |") {
		t.Errorf("ports %q, want the one of broker.addr", broker.Ports)
	}
	for name, value := range broker.Environment {
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "BROKKR__"), "__", "."))
		if !strings.Contains(keys, "`"+key+"`") && !strings.Contains(keys, "`"+name+"`") {
			t.Errorf("the broker has no option %s", name)
		}
		if host := regexp.MustCompile(`@([a-z]+):`).FindStringSubmatch(value); host != nil {
			if _, ok := c.Services[host[1]]; !ok || broker.DependsOn[host[1]] == nil {
				t.Errorf("%s: no service %s to wait for", name, host[1])
			}
		}
	}
	if !broker.ReadOnly || len(broker.CapDrop) != 1 || broker.CapDrop[0] != "ALL" || len(broker.SecurityOpt) != 1 {
		t.Errorf("the broker may more than it needs: %+v", broker)
	}
	example := read("deploy/compose/example.env")
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(text, -1) {
		used[m[1]] = true
		if m[1] != "LOG_LEVEL" && !regexp.MustCompile(`(?m)^`+m[1]+`=`).MatchString(example) {
			t.Errorf("example.env has no %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=`).FindAllStringSubmatch(example, -1) {
		if !used[m[1]] {
			t.Errorf("nothing uses %s of example.env", m[1])
		}
	}
	for _, s := range c.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, "deploy/compose", from)); err != nil {
				t.Error(err)
			}
		}
	}
}
