package command

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/config"
	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

// app is what all commands of one run share.
type app struct {
	env            Env
	flags          config.Flags
	requestTimeout time.Duration
	settings       config.Settings // as resolved; for error texts
}

// progress writes one line for the person who waits.
func (a *app) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(a.env.Err, format+"\n", args...) // nothing can be done about a broken standard error
}

// load reads the configuration file.
func (a *app) load() (config.File, string, error) {
	path, err := config.Path(a.env.Getenv)
	if err != nil {
		return config.File{}, "", err
	}
	file, open, err := config.Load(path)
	if err != nil {
		return config.File{}, "", hint(err, "mend or delete the file, then run brokkr login again")
	}
	if open && len(file.Contexts) > 0 {
		a.progress("warning: %s holds keys and can be read by others: chmod 600 %s", path, path)
	}
	return file, path, nil
}

// resolve decides which broker and which key this run uses.
func (a *app) resolve() error {
	file, _, err := a.load()
	if err != nil {
		return err
	}
	a.settings, err = config.Resolve(file, a.flags, a.env.Getenv)
	return err
}

// connect returns a client that has a key.
func (a *app) connect() (*client.Client, error) {
	if err := a.resolve(); err != nil {
		return nil, err
	}
	if a.settings.PAK == "" {
		return nil, a.noKey()
	}
	c, err := a.client()
	if err == nil {
		a.warnPlain(c.URL())
	}
	return c, err
}

// noKey says why there is no key to use.
func (a *app) noKey() error {
	s := a.settings
	if s.Withheld != "" {
		return hint(fmt.Errorf("the key of context %q is for %s; it is not sent to %s (from %s)", s.Context, s.Withheld, s.URL, s.URLFrom),
			"a key for that broker in BROKKR_PAK or --pak, or brokkr login --url %s --context NAME", s.URL)
	}
	return hint(fmt.Errorf("there is no key for the broker at %s", s.URL), loginHint)
}

// trust says whose certificate is believed to be the broker's.
func (a *app) trust() (*tls.Config, error) {
	s := a.settings
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.Insecure {
		a.progress("warning: the broker's certificate is not verified (--insecure-skip-verify): whoever is in between can read the key")
		c.InsecureSkipVerify = true // the user has said so, and is told
		return c, nil
	}
	if s.CAFile == "" {
		return c, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, hint(fmt.Errorf("read the authorities of the broker's certificate (from %s): %w", s.CAFileFrom, err), "name the file in --ca-file or BROKKR_CA_FILE")
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, hint(fmt.Errorf("the file %s (from %s) has no certificate in PEM", s.CAFile, s.CAFileFrom), "it begins with -----BEGIN CERTIFICATE-----")
	}
	return c, nil
}

// client returns a client for the resolved settings, with or without a key.
func (a *app) client() (*client.Client, error) {
	trust, err := a.trust()
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Options{
		TLS: trust,
		URL: a.settings.URL, PAK: a.settings.PAK.Reveal(), RequestTimeout: a.requestTimeout,
		UserAgent: "brokkr-cli/" + a.env.Build.Version, Sleep: a.env.Sleep,
	})
	if err != nil {
		return nil, hint(fmt.Errorf("%w (from %s)", err, a.settings.URLFrom), "set it with --url, BROKKR_URL or brokkr login --url URL")
	}
	return c, nil
}

// output is a command's -o flag.
type output struct {
	value string
	bare  bool
}

func (o *output) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.value, "output", "o", "", "json, yaml, name or wide")
	cmd.Flags().BoolVar(&o.bare, "no-headers", false, "leave out the table's header")
	// The only error is that the flag does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml", "name", "wide"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) format(cmd *cobra.Command) (render.Format, error) {
	f, err := render.Parse(o.value)
	if err != nil {
		return f, usagef(cmd, "%v", err)
	}
	return f, nil
}

// view is one result in each of its forms.
type view struct {
	data  any
	names []string // kind/name
	rest  int      // how many more a list has; see client.Chosen
	table func(w io.Writer, wide bool) error
}

// show writes v to standard output in the wanted form, and says on standard error if a list goes on.
func (a *app) show(cmd *cobra.Command, o *output, v view) error {
	f, err := o.format(cmd)
	if err != nil {
		return err
	}
	if err := a.write(f, v); err != nil {
		return err
	}
	a.more(v.rest)
	return nil
}

func (a *app) write(f render.Format, v view) error {
	switch f {
	case render.JSON, render.YAML:
		return render.Encode(a.env.Out, f, v.data)
	case render.Name:
		for _, n := range v.names {
			if _, err := fmt.Fprintln(a.env.Out, n); err != nil {
				return err
			}
		}
		return nil
	case render.Table, render.Wide:
		return v.table(a.env.Out, f == render.Wide)
	default:
		return fmt.Errorf("format %q is not known", f)
	}
}

// colour reports whether standard output may be coloured.
func (a *app) colour() bool {
	return a.env.Terminal.Out && a.env.Getenv("NO_COLOR") == "" && a.env.Getenv("TERM") != "dumb"
}

// grid returns a table writer for g; empty is said on standard error when there is no row.
func (a *app) grid(g *render.Grid, o *output, empty string) func(io.Writer, bool) error {
	return func(w io.Writer, wide bool) error {
		if len(g.Rows) == 0 {
			a.progress("%s", empty)
			return nil
		}
		return g.Write(w, wide, a.colour(), o.bare)
	}
}

// pause waits for the next look.
func (a *app) pause(ctx context.Context) error {
	t := time.NewTimer(a.env.Poll)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// sorted returns a copy of all in the order that a person looks for things; what is equal keeps its order.
func sorted[T any](all []T, name func(T) string) []T {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return all
}
