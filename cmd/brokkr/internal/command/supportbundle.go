package command

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/config"
	"github.com/colliery-io/brokkr/pkg/client"
)

// maxBundled is of how many agents and stacks a bundle has the details.
const maxBundled = 200

// keyLike is what a PAK looks like, whoever's it is.
var keyLike = regexp.MustCompile(`[A-Za-z0-9]+_BR[0-9A-Za-z]{6}_[1-9A-HJ-NP-Za-km-z]{20,}`) //nolint:gochecknoglobals // constant pattern

// part is one file of a support bundle.
type part struct {
	name string
	text []byte
}

// parts collects the files of a support bundle.
type parts struct {
	files  []part
	failed map[string]string // what could not be had, and why
}

// put adds data as JSON, without anything that looks like a key.
func (p *parts) put(name string, data any, err error) {
	if err != nil {
		p.failed[name] = keyLike.ReplaceAllString(err.Error(), "***")
		return
	}
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		p.failed[name] = err.Error()
		return
	}
	p.files = append(p.files, part{name, keyLike.ReplaceAll(append(text, '\n'), []byte("***"))})
}

func (a *app) supportBundle() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Collect what helps to find a fault into one file, without keys, manifests or Secrets",
		Long: `Writes versions, the broker's health, agents and their latest events, stacks, statuses and placements, the findings of brokkr doctor and
your configuration into one .tgz that only you may read. Keys are replaced by ***; manifests, which may hold Secrets, are never in it. What your key
may not see is missing, and named in bundle.json. Have a look at it before you hand it on: names and messages are as they are.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			now := a.env.Now().UTC()
			if path == "" {
				path = "brokkr-support-" + now.Format("20060102-150405") + ".tgz"
			}
			p := &parts{failed: map[string]string{}}
			a.collect(cmd.Context(), c, p)
			if cmd.Context().Err() != nil {
				return context.Cause(cmd.Context())
			}
			p.put("bundle.json", struct {
				MadeAt  time.Time         `json:"made_at"`
				Client  Build             `json:"client"`
				Broker  string            `json:"broker"`
				Missing map[string]string `json:"missing"`
			}{now, a.env.Build, c.URL(), p.failed}, nil)
			if err := p.write(path, now); err != nil {
				return err
			}
			a.progress("%s has %s; keys are replaced by ***, manifests are not in it", path, count(len(p.files), "file"))
			_, err = fmt.Fprintln(a.env.Out, path)
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "output", "o", "", "the file to write; brokkr-support-TIME.tgz if nothing is said")
	return cmd
}

func (a *app) collect(ctx context.Context, c *client.Client, p *parts) {
	version, err := c.Version(ctx)
	p.put("version.json", version, err)
	who, err := c.Auth(ctx)
	p.put("whoami.json", who, err)
	for _, path := range []string{"/readyz", "/health"} {
		got, err := c.Probe(ctx, path)
		p.put("process"+path+".json", struct {
			Status int    `json:"status"`
			Body   string `json:"body"`
		}{got.Status, string(got.Body)}, err)
	}
	e := &examination{a: a, c: c}
	e.run(ctx)
	p.put("doctor.json", e.findings, nil)
	a.collectConfig(p)
	fleet, err := c.Fleet(ctx, "")
	p.put("fleet.json", fleet, err)
	agents, err := c.Agents(ctx, "")
	p.put("agents.json", agents, err)
	for _, n := range first(agents, maxBundled) {
		labels, err := c.AgentLabels(ctx, n.ID)
		p.put("agents/"+n.ID+"/labels.json", labels, err)
		registrations, err := c.AgentRegistrations(ctx, n.ID)
		p.put("agents/"+n.ID+"/registrations.json", registrations, err)
		if who.Generator == nil { // for those who run Brokkr
			status, err := c.FleetStatus(ctx, n.ID)
			p.put("agents/"+n.ID+"/fleet-status.json", status, err)
		}
	}
	stacks, err := c.Stacks(ctx, "")
	p.put("stacks.json", stacks, err)
	for _, s := range first(stacks, maxBundled) {
		status, err := c.Status(ctx, s.ID)
		p.put("stacks/"+s.ID+"/status.json", status, err)
		placement, err := c.Placement(ctx, s.ID)
		p.put("stacks/"+s.ID+"/placement.json", placement, err)
		labels, err := c.StackLabels(ctx, s.ID)
		p.put("stacks/"+s.ID+"/labels.json", labels, err)
	}
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

// collectConfig adds this program's configuration with every key replaced.
func (a *app) collectConfig(p *parts) {
	file, _, err := a.load()
	if err != nil {
		p.failed["config.yaml"] = err.Error()
		return
	}
	file.Contexts = slices.Clone(file.Contexts)
	for i := range file.Contexts {
		file.Contexts[i].PAK = config.Secret(file.Contexts[i].PAK.String())
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		p.failed["config.yaml"] = err.Error()
		return
	}
	used := fmt.Sprintf("# in use: %s (from %s), key from %s\n", a.settings.URL, a.settings.URLFrom, a.settings.PAKFrom)
	p.files = append(p.files, part{"config.yaml", keyLike.ReplaceAll(append([]byte(used), text...), []byte("***"))})
}

// write makes the archive, which only its owner may read. A file that is there already is left alone.
func (p *parts) write(path string, at time.Time) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user says where
	if err != nil {
		return hint(fmt.Errorf("write the support bundle: %w", err), "name another file with -o")
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write the support bundle: %w", cerr)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	return p.archive(f, strings.TrimSuffix(filepath.Base(path), ".tgz"), at)
}

func (p *parts) archive(w io.Writer, folder string, at time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range p.files {
		err := t.WriteHeader(&tar.Header{Name: folder + "/" + f.name, Mode: 0o600, Size: int64(len(f.text)), ModTime: at, Format: tar.FormatPAX})
		if err == nil {
			_, err = t.Write(f.text)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return nil
}
