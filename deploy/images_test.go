// Package deploy_test holds what is in this folder to what it promises. The images of `make images` are looked at where IMAGES names
// their folder (make test-images).
package deploy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const mostBytes = 40 << 20 // of an image as it lies in a registry: what is pulled

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

type config struct {
	Architecture string    `json:"architecture"`
	Created      time.Time `json:"created"`
	Config       struct {
		User       string            `json:"User"`
		Entrypoint []string          `json:"Entrypoint"`
		Labels     map[string]string `json:"Labels"`
	} `json:"config"`
}

// layout is a folder in the OCI image layout.
type layout struct {
	t   *testing.T
	dir string
}

func (l layout) blob(d descriptor) string {
	return filepath.Join(l.dir, "blobs", strings.ReplaceAll(d.Digest, ":", "/"))
}

func (l layout) read(file string, into any) {
	l.t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// images are the manifests of images below m, through indexes of indexes.
func (l layout) images(m manifest) []manifest {
	l.t.Helper()
	if len(m.Layers) > 0 {
		return []manifest{m}
	}
	var out []manifest
	for _, d := range m.Manifests {
		var next manifest
		l.read(l.blob(d), &next)
		out = append(out, l.images(next)...)
	}
	return out
}

// unpack writes the layers into dir and returns their size, as files.
func (l layout) unpack(m manifest, dir string) (size int64, names []string) {
	l.t.Helper()
	for _, d := range m.Layers {
		f, err := os.Open(l.blob(d))
		if err != nil {
			l.t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		var r io.Reader = f
		if strings.Contains(d.MediaType, "gzip") {
			if r, err = gzip.NewReader(f); err != nil {
				l.t.Fatal(err)
			}
		}
		for t := tar.NewReader(r); ; {
			h, err := t.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				l.t.Fatal(err)
			}
			if h.Typeflag == tar.TypeDir {
				continue
			}
			size += h.Size
			name := path.Clean("/" + h.Name)
			names = append(names, name)
			if !strings.HasPrefix(name, "/ko-app/") && !strings.HasPrefix(name, "/usr/local/bin/") {
				continue
			}
			out, err := os.OpenFile(filepath.Join(dir, path.Base(name)), os.O_CREATE|os.O_WRONLY, 0o755) //nolint:gosec // a program
			if err == nil {
				_, err = io.Copy(out, t) //nolint:gosec // made by our own build
				err = errors.Join(err, out.Close())
			}
			if err != nil {
				l.t.Fatal(err)
			}
		}
	}
	return size, names
}

// Each image has both architectures, is small, is nobody's but user 10001's, has no shell, says what it is, and its program runs.
func TestImages(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("IMAGES")
	if dir == "" {
		t.Skip("IMAGES is not set: run the tests by `make test-images`")
	}
	want := []string{"amd64", "arm64"}
	if some := os.Getenv("PLATFORMS"); some != "" {
		want = strings.Split(strings.ReplaceAll(some, "linux/", ""), ",")
	}
	names := []string{"brokkr-broker", "brokkr-api", "brokkr-gateway", "brokkr-scheduler", "brokkr-agent", "brokkr-cli"}
	if some := os.Getenv("SERVICES"); some != "" {
		names = strings.Fields(some)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := layout{t: t, dir: filepath.Join(dir, name)}
			var index manifest
			l.read(filepath.Join(l.dir, "index.json"), &index)
			var have []string
			for _, m := range l.images(index) {
				var c config
				l.read(l.blob(m.Config), &c)
				have = append(have, c.Architecture)
				l.check(name, m, c)
			}
			if slices.Sort(have); !slices.Equal(have, want) {
				t.Errorf("architectures %v, want %v", have, want)
			}
			sboms, err := filepath.Glob(filepath.Join(l.dir+".sbom", "*.json"))
			if err != nil || len(sboms) < len(want) {
				t.Errorf("%d SBOMs (%v), want one of each architecture", len(sboms), err)
			}
			for _, s := range sboms {
				var bill struct {
					Version  string `json:"spdxVersion"`
					Creation struct {
						Created time.Time `json:"created"`
					} `json:"creationInfo"`
					Packages []map[string]any `json:"packages"`
				}
				if l.read(s, &bill); bill.Version == "" || len(bill.Packages) == 0 || bill.Creation.Created.Year() < 2000 {
					t.Errorf("%s is no bill of materials: %s, %d packages, made %s", s, bill.Version, len(bill.Packages), bill.Creation.Created)
				}
			}
		})
	}
}

// What a node takes without a registry is named as the charts name it, and is the same image.
func TestArchives(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("ARCHIVES")
	if dir == "" {
		t.Skip("ARCHIVES is not set: run the tests by `make test-images`")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no archives (%v)", dir, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string][]byte{}
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if parts[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		var list []struct {
			Config   string
			RepoTags []string
			Layers   []string
		}
		if err := json.Unmarshal(parts["manifest.json"], &list); err != nil || len(list) != 1 {
			t.Fatalf("%s: %d images, %v", file, len(list), err)
		}
		var c config
		if err := json.Unmarshal(parts[list[0].Config], &c); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".tar")
		if want := "ghcr.io/colliery-io/" + name + ":v" + strings.TrimPrefix(c.Config.Labels["org.opencontainers.image.version"], "v"); !slices.Equal(list[0].RepoTags, []string{want}) {
			t.Errorf("%s: it is named %q, want %s", file, list[0].RepoTags, want)
		}
		if c.Config.User != "10001:10001" || c.Architecture != runtime.GOARCH || c.Config.Labels["org.opencontainers.image.title"] != name {
			t.Errorf("%s: %+v", file, c)
		}
		for _, layer := range list[0].Layers {
			if len(parts[layer]) == 0 {
				t.Errorf("%s has no layer %s", file, layer)
			}
		}
	}
}

func (l layout) check(name string, m manifest, c config) {
	t := l.t
	t.Helper()
	if c.Config.User != "10001:10001" {
		t.Errorf("%s: it runs as %q", c.Architecture, c.Config.User)
	}
	for label, want := range map[string]string{"title": name, "licenses": "Apache-2.0", "source": "https://github.com/colliery-io/brokkr", "version": "", "revision": "", "created": ""} {
		if got := c.Config.Labels["org.opencontainers.image."+label]; got == "" || (want != "" && got != want) {
			t.Errorf("%s: label %s is %q, want %q", c.Architecture, label, got, want)
		}
	}
	if made := c.Config.Labels["org.opencontainers.image.created"]; made != c.Created.UTC().Format(time.RFC3339) {
		t.Errorf("%s: it was created %s, and the label says %s", c.Architecture, c.Created, made)
	}
	var stored int64
	for _, d := range m.Layers {
		stored += d.Size
	}
	dir := t.TempDir()
	size, names := l.unpack(m, dir)
	t.Logf("%s %s: %.1f MB in the registry, %.1f MB unpacked", name, c.Architecture, float64(stored)/(1<<20), float64(size)/(1<<20))
	if stored > mostBytes {
		t.Errorf("%s: %d bytes, want %d at most", c.Architecture, stored, mostBytes)
	}
	for _, n := range names {
		if base := path.Base(n); slices.Contains([]string{"sh", "bash", "busybox", "apt", "apk"}, base) {
			t.Errorf("%s: it has %s", c.Architecture, n)
		}
	}
	if len(c.Config.Entrypoint) != 1 {
		t.Fatalf("%s: entry point %q", c.Architecture, c.Config.Entrypoint)
	}
	program := filepath.Join(dir, path.Base(c.Config.Entrypoint[0]))
	args := []string{program, "--version"}
	if runtime.GOOS != "linux" {
		t.Logf("%s: its program is not run on %s", c.Architecture, runtime.GOOS)
		return
	}
	if c.Architecture != runtime.GOARCH {
		emulator, err := exec.LookPath("qemu-" + map[string]string{"arm64": "aarch64", "amd64": "x86_64"}[c.Architecture] + "-static")
		if err != nil {
			t.Logf("%s: its program is not run: %v", c.Architecture, err)
			return
		}
		args = append([]string{emulator}, args...)
	}
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput() //nolint:gosec // the program of the image
	if version := c.Config.Labels["org.opencontainers.image.version"]; err != nil || !strings.Contains(string(out), version) {
		t.Errorf("%s: --version says %q (%v), want version %s", c.Architecture, out, err, version)
	}
}
