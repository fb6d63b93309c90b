package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/config"
	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

func (a *app) login() *cobra.Command {
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   "login [--url URL] [--pak PAK | --pak-stdin]",
		Short: "Check a key and keep it, with the broker's URL, for the commands to come",
		Long: `Checks a key (PAK) at the broker and keeps both under a name (--context, "default" if not given) in
$XDG_CONFIG_HOME/brokkr/config.yaml, readable by you only; with them --ca-file or --insecure-skip-verify. Without --pak it asks for the key.`,
		Example: `  brokkr login --url https://brokkr.example.com
  printenv PAK | brokkr login --pak-stdin --context prod`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fromStdin && a.flags.PAK != "" {
				return usagef(cmd, "--pak and --pak-stdin exclude each other")
			}
			return a.runLogin(cmd, fromStdin)
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "pak-stdin", false, "read the key from standard input")
	return cmd
}

func (a *app) runLogin(cmd *cobra.Command, fromStdin bool) error {
	file, path, err := a.load()
	if err != nil {
		return err
	}
	name := a.flags.Context
	if name == "" {
		name = config.DefaultContext
	}
	known, _ := file.Get(name)
	a.settings = config.Settings{URL: config.DefaultURL, URLFrom: "the default", Context: name}
	for _, c := range []struct{ url, from string }{
		{known.URL, fmt.Sprintf("context %q", name)}, {a.env.Getenv(config.EnvURL), config.EnvURL}, {a.flags.URL, "--url"},
	} {
		if c.url != "" {
			a.settings.URL, a.settings.URLFrom = c.url, c.from
		}
	}
	if known.URL != a.settings.URL {
		known = config.Context{} // what is trusted there is not trusted here
	}
	if err := a.settings.Trust(known, a.flags, a.env.Getenv); err != nil {
		return err
	}
	if a.settings.CAFile != "" {
		if a.settings.CAFile, err = filepath.Abs(a.settings.CAFile); err != nil { // commands to come run elsewhere
			return fmt.Errorf("find the file of the authorities: %w", err)
		}
	}
	if err := a.readKey(cmd, fromStdin); err != nil {
		return err
	}
	if _, err := pak.Parse(a.settings.PAK.Reveal()); err != nil {
		return hint(fmt.Errorf("the key from %s cannot be right: %s", a.settings.PAKFrom, plain(err)), "copy the whole key, from brokkr_ to its end")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	who, err := a.whoIs(cmd.Context(), c)
	if err != nil {
		return err
	}
	a.warnPlain(c.URL())
	file = file.With(config.Context{Name: name, URL: c.URL(), PAK: a.settings.PAK, CAFile: a.settings.CAFile, Insecure: a.settings.Insecure})
	file.CurrentContext = name
	if err := file.Save(path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.env.Out, "logged in to %s as %s (context %q)\n", c.URL(), who, name)
	return err
}

// readKey takes the key from the place that was named, or asks.
func (a *app) readKey(cmd *cobra.Command, fromStdin bool) error {
	var key, from string
	switch {
	case fromStdin:
		line, err := bufio.NewReader(io.LimitReader(a.env.In, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the key from standard input: %w", err)
		}
		key, from = line, "standard input"
	case a.flags.PAK != "":
		key, from = a.flags.PAK, "--pak"
	case a.env.Getenv(config.EnvPAK) != "":
		key, from = a.env.Getenv(config.EnvPAK), config.EnvPAK
	case a.env.Terminal.In:
		_, _ = fmt.Fprintf(a.env.Err, "PAK for %s: ", a.settings.URL)
		line, err := a.env.Terminal.ReadSecret()
		a.progress("")
		if err != nil {
			return fmt.Errorf("read the key: %w", err)
		}
		key, from = line, "the prompt"
	default:
		return usagef(cmd, "no key given: use --pak-stdin, --pak or BROKKR_PAK")
	}
	a.settings.PAK, a.settings.PAKFrom = config.Secret(strings.TrimSpace(key)), from
	return nil
}

// whoIs says in words who the client's key is.
func (a *app) whoIs(ctx context.Context, c *client.Client) (string, error) {
	auth, err := c.Auth(ctx)
	if err != nil {
		return "", err
	}
	suffix := ""
	if auth.ReadOnly {
		suffix = " (read only)"
	}
	switch {
	case auth.Generator != nil:
		g, err := c.Generator(ctx, *auth.Generator)
		if err != nil {
			return "generator " + *auth.Generator + suffix, nil //nolint:nilerr // the name is a courtesy; the key is good
		}
		return fmt.Sprintf("generator %s%s", render.Clean(g.Name), suffix), nil
	case auth.Agent != nil:
		return "agent " + *auth.Agent + suffix, nil
	case auth.Admin:
		return "admin" + suffix, nil
	case auth.Role != "":
		return render.Clean(auth.Role) + suffix, nil
	default:
		return "a user without admin rights" + suffix, nil
	}
}

// warnPlain tells that a key travels without encryption.
func (a *app) warnPlain(base string) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || isLoopback(u.Hostname()) {
		return
	}
	a.progress("warning: %s is plain http: the key and the manifests travel unencrypted", base)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}

func (a *app) contexts() *cobra.Command {
	cmd := &cobra.Command{Use: "context", Aliases: []string{"contexts"}, Short: "List, show, choose and forget logins"}
	var o output
	list := &cobra.Command{Use: "list", Short: "List the logins", Args: atMost(0), RunE: func(cmd *cobra.Command, _ []string) error {
		file, _, err := a.load()
		if err != nil {
			return err
		}
		grid := &render.Grid{Columns: render.Columns("CURRENT", "NAME", "URL")}
		type entry struct {
			Name    string `json:"name"`
			URL     string `json:"url"`
			Current bool   `json:"current"`
		}
		entries := []entry{}
		for _, c := range file.Contexts {
			mark := ""
			if c.Name == file.CurrentContext {
				mark = "*"
			}
			grid.Add(render.Texts(mark, c.Name, c.URL)...)
			entries = append(entries, entry{c.Name, c.URL, mark != ""})
		}
		return a.show(cmd, &o, view{data: entries, names: file.Names(), table: a.grid(grid, &o, "no login yet: brokkr login")})
	}}
	o.flag(list)
	show := &cobra.Command{Use: "show", Short: "Say which broker, which login and who I am", Args: atMost(0), RunE: func(cmd *cobra.Command, _ []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		who, err := a.whoIs(cmd.Context(), c)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.env.Out, "%s at %s (URL from %s, key from %s)\n", who, c.URL(), a.settings.URLFrom, a.settings.PAKFrom)
		return err
	}}
	use := &cobra.Command{Use: "use NAME", Short: "Choose the login that commands use", Args: exactly("NAME"), RunE: func(_ *cobra.Command, args []string) error {
		return a.editContexts(args[0], func(f config.File) config.File { f.CurrentContext = args[0]; return f }, "using")
	}}
	forget := &cobra.Command{Use: "delete NAME", Short: "Forget a login; its key stays valid", Args: exactly("NAME"), RunE: func(_ *cobra.Command, args []string) error {
		return a.editContexts(args[0], func(f config.File) config.File { return f.Without(args[0]) }, "forgot")
	}}
	cmd.AddCommand(list, show, use, forget)
	return group(cmd)
}

func (a *app) editContexts(name string, edit func(config.File) config.File, done string) error {
	file, path, err := a.load()
	if err != nil {
		return err
	}
	if _, ok := file.Get(name); !ok {
		return hint(fmt.Errorf("context %q does not exist", name), "brokkr context list")
	}
	if err := edit(file).Save(path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.env.Out, "%s context %q\n", done, name)
	return err
}
