package helmchart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
)

const (
	maxBytes = 100 << 20 // of all files of a chart; Helm's own bound
	maxDepth = 64        // of folders
)

// load reads a chart. Only what lies in its folder is read: a link that leads out of it is refused, for a chart from elsewhere could
// publish any file of this machine through it.
func load(dir string) (*chart.Chart, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read the chart: %w", err)
	}
	defer root.Close() //nolint:errcheck // it was only read
	r := &reader{dir: dir, root: root, rules: ignore.Empty(), left: maxBytes}
	text, err := root.ReadFile(ignore.HelmIgnore)
	switch {
	case err == nil:
		if r.rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(dir, ignore.HelmIgnore), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the chart: %w", err)
	}
	r.rules.AddDefaults()
	if err := r.folder(".", 0); err != nil {
		return nil, err
	}
	ch, err := loader.LoadFiles(r.files)
	if err != nil {
		return nil, fmt.Errorf("read the chart %s: %w", dir, err)
	}
	return ch, nil
}

// reader collects the files of a chart that .helmignore leaves.
type reader struct {
	dir   string
	root  *os.Root
	rules *ignore.Rules
	left  int64 // bytes that may still be read
	files []*archive.BufferedFile
}

func (r *reader) folder(name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: folders lie more than %d deep", path.Join(r.dir, name), maxDepth)
	}
	entries, err := fs.ReadDir(r.root.FS(), name) // sorted
	if err != nil {
		return fmt.Errorf("read the chart: %w", err)
	}
	for _, e := range entries {
		below := path.Join(name, e.Name())
		info, statErr := r.root.Stat(below)
		if statErr != nil {
			if info, err = r.root.Lstat(below); err != nil {
				return fmt.Errorf("read the chart: %w", err)
			}
		}
		if r.rules.Ignore(below, info) {
			continue
		}
		switch {
		case statErr != nil && info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s: the link leads out of the chart, nowhere or in a circle; put what it means into the chart, or name it in %s: %w", path.Join(r.dir, below), ignore.HelmIgnore, statErr)
		case statErr != nil:
			return fmt.Errorf("read the chart: %w", statErr)
		case info.IsDir():
			err = r.folder(below, depth+1)
		case !info.Mode().IsRegular():
			err = fmt.Errorf("%s is neither a file nor a folder", path.Join(r.dir, below))
		default:
			err = r.file(below, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) file(name string, info fs.FileInfo) error {
	f, err := r.root.Open(name)
	if err != nil {
		return fmt.Errorf("read the chart: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, r.left+1))
	if err != nil {
		return fmt.Errorf("read the chart: %w", err)
	}
	if r.left -= int64(len(text)); r.left < 0 {
		return fmt.Errorf("%s: the chart has more than %d MiB; name what is no part of it in %s", r.dir, maxBytes>>20, ignore.HelmIgnore)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // a byte order mark
	r.files = append(r.files, &archive.BufferedFile{Name: name, ModTime: info.ModTime(), Data: text})
	return nil
}
