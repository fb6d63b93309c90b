package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/cmd/brokkr/internal/source"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/template"
)

func (a *app) template() *cobra.Command {
	cmd := &cobra.Command{
		Use: "template", Short: "Write templates of stacks, and publish what they make of parameters",
		Long: `A template is a text in the language of Tera with a JSON Schema of its parameters. TEMPLATE is a name (its newest version),
name@version, or an id.

  brokkr template create web -f web.yaml.tera --schema web.schema.json
  brokkr template render web --param name=shop --param replicas=3
  brokkr template instantiate web --stack shop --param name=shop --param replicas=3`,
	}
	find := func(ctx context.Context, c *client.Client, ref string) (marked, error) {
		t, err := findTemplate(ctx, c, ref)
		return marked{what: templateName(t), labels: c.TemplateLabels, addLabel: c.AddTemplateLabel, dropLabel: c.RemoveTemplateLabel,
			annotations: c.TemplateAnnotations, annotate: c.AddTemplateAnnotation, dropKey: c.RemoveTemplateAnnotation, id: t.ID}, err
	}
	label, annotate := a.labelCommand("template", find), a.annotateCommand("template", find)
	label.ValidArgsFunction, annotate.ValidArgsFunction = a.completeTemplates, a.completeTemplates
	cmd.AddCommand(
		a.getList("list [NAME]", nil, "List templates, every version", &listing{orders: sortsOf(template.List()), scoped: true, filters: []*filter{
			labelFilter("that have"), annotationFilter("that have"), generatorFilter("only templates of this"), searchFilter("name"),
		}}, a.listTemplates, a.completeTemplates),
		a.templateGet(), a.templateCreate(), a.templateUpdate(), a.templateDelete(), label, annotate, a.templateRender(), a.templateInstantiate())
	return group(cmd)
}

func templateName(t client.Template) string { return fmt.Sprintf("template/%s@%d", t.Name, t.Version) }

func (a *app) completeTemplates(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, args, prefix, func(ctx context.Context, c *client.Client) (book, error) {
		all, err := c.Templates(ctx, "")
		names := book{}
		for _, t := range all {
			names[t.Name] = t.Name // once a name, whatever its versions
		}
		return names, err
	})
}

// findTemplate returns what ref names: an id, name@version, or the newest version of a name.
func findTemplate(ctx context.Context, c *client.Client, ref string) (client.Template, error) {
	if isID(ref) {
		t, err := c.Template(ctx, strings.ToLower(ref))
		if client.IsStatus(err, http.StatusNotFound) {
			err = hint(fmt.Errorf("template %s not found", ref), "brokkr template list shows what this key can see")
		}
		return t, err
	}
	name, version := ref, 0
	if before, after, ok := strings.Cut(ref, "@"); ok {
		if n, err := strconv.Atoi(after); err == nil && n > 0 {
			name, version = before, n
		}
	}
	all, err := c.Templates(ctx, name)
	if err != nil {
		return client.Template{}, err
	}
	newest := map[string]client.Template{} // by owner
	for _, t := range all {
		owner := deref(t.GeneratorID)
		if t.Name != name || version > 0 && t.Version != version {
			continue
		}
		if known, ok := newest[owner]; !ok || known.Version < t.Version {
			newest[owner] = t
		}
	}
	var found []client.Template
	for _, t := range newest {
		found = append(found, t)
	}
	t, err := one("template", ref, found, func(t client.Template) string {
		if t.GeneratorID == nil {
			return "template " + t.ID + " of the platform"
		}
		return "template " + t.ID + " of generator " + *t.GeneratorID
	})
	if len(found) == 0 {
		err = hint(fmt.Errorf("template %q not found", ref), "brokkr template list shows what this key can see")
	}
	return t, err
}

func (a *app) listTemplates(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	if ref != "" {
		q = with(q, "name", ref)
	}
	chosen, err := c.TemplatesBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	v := a.templateView(chosen.Items, chosen.Items, o)
	v.rest = chosen.Rest
	return v, nil
}

func (a *app) templateView(data any, all []client.Template, o *output) view {
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("NAME", "VERSION", "OWNER", "DESCRIPTION", "AGE", "+ID", "+CHECKSUM")}
	for _, t := range all {
		v.names = append(v.names, templateName(t))
		owner := "platform"
		if t.GeneratorID != nil {
			owner = *t.GeneratorID
		}
		g.Add(render.Texts(t.Name, strconv.Itoa(t.Version), owner, orNone(deref(t.Description)), render.Age(a.env.Now(), &t.CreatedAt), t.ID, t.Checksum)...)
	}
	v.table = a.grid(g, o, "no templates yet: brokkr template create NAME -f FILE")
	return v
}

func (a *app) templateGet() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "get TEMPLATE", Short: "Show a template's text; with -o all of it", Args: exactly("TEMPLATE"), ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := findTemplate(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			v := a.templateView(t, []client.Template{t}, &o)
			if o.value == "" {
				v.table = func(w io.Writer, _ bool) error {
					_, err := io.WriteString(w, t.TemplateContent)
					return err
				}
			}
			return a.show(cmd, &o, v)
		},
	}
	o.flag(cmd)
	return cmd
}

// templateFiles are the flags that name a template's halves.
type templateFiles struct{ content, schema, description string }

func (f *templateFiles) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.content, "filename", "f", "", "the template's text, or - for standard input")
	cmd.Flags().StringVar(&f.schema, "schema", "", "JSON Schema of the parameters, as JSON or YAML")
}

// openSchema is the schema of a template that says nothing of its parameters.
const openSchema = `{"type":"object"}`

// read returns the text; former fills in what is not named.
func (f *templateFiles) read(cmd *cobra.Command, stdin io.Reader, former *client.Template) (client.TemplateText, error) {
	var out client.TemplateText
	if former != nil {
		out.TemplateContent, out.ParametersSchema = former.TemplateContent, former.ParametersSchema
	} else {
		out.ParametersSchema = openSchema
	}
	if cmd.Flags().Changed("description") {
		out.Description = &f.description
	}
	if f.content != "" {
		text, err := readAll(f.content, stdin)
		if err != nil {
			return out, fmt.Errorf("read the template: %w", err)
		}
		out.TemplateContent = string(text)
	}
	if f.schema != "" {
		text, err := os.ReadFile(f.schema)
		if err != nil {
			return out, fmt.Errorf("read the schema: %w", err)
		}
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return out, fmt.Errorf("read the schema %s: %w", f.schema, err)
		}
		out.ParametersSchema = string(text)
	}
	return out, nil
}

const maxTemplateFile = 1 << 20

func readAll(path string, stdin io.Reader) ([]byte, error) {
	if path != source.Stdin {
		return os.ReadFile(path)
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxTemplateFile+1))
	if err == nil && len(text) > maxTemplateFile {
		err = fmt.Errorf("standard input has more than %d bytes", maxTemplateFile)
	}
	return text, err
}

func (a *app) templateCreate() *cobra.Command {
	var f templateFiles
	cmd := &cobra.Command{
		Use: "create NAME -f FILE", Short: "Make a template; of a name that you have already the next version", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.content == "" {
				return usagef(cmd, "say where the template's text is with -f")
			}
			text, err := f.read(cmd, a.env.In, nil)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := c.CreateTemplate(cmd.Context(), args[0], text)
			if err != nil {
				return fmt.Errorf("create template %s: %w", args[0], err)
			}
			a.said("%s created", templateName(t))
			return nil
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.description, "description", "", "what the template is for")
	return cmd
}

func (a *app) templateUpdate() *cobra.Command {
	var f templateFiles
	cmd := &cobra.Command{
		Use: "update TEMPLATE", Short: "Make the next version of a template; what is not given stays, labels and annotations too", Args: exactly("TEMPLATE"),
		ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.content == "" && f.schema == "" && !cmd.Flags().Changed("description") {
				return usagef(cmd, "say what is new with -f, --schema or --description")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			former, err := findTemplate(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			text, err := f.read(cmd, a.env.In, &former)
			if err != nil {
				return err
			}
			t, err := c.UpdateTemplate(cmd.Context(), former.ID, text)
			if err != nil {
				return fmt.Errorf("update %s: %w", templateName(former), err)
			}
			a.said("%s created", templateName(t))
			return nil
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.description, "description", "", "what the template is for")
	return cmd
}

func (a *app) templateDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete TEMPLATE", Short: "Delete one version of a template; what was made of it stays", Args: exactly("TEMPLATE"), ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := findTemplate(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := a.sure(cmd, &deleteOptions{yes: yes}, fmt.Sprintf("delete %s?", templateName(t))); err != nil {
				return err
			}
			if err := c.DeleteTemplate(cmd.Context(), t.ID); err != nil {
				return err
			}
			a.said("%s deleted", templateName(t))
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// parameters are the flags that give a template its parameters.
type parameters struct {
	values []string
	pairs  []string
}

func (p *parameters) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&p.values, "values", nil, "file of parameters, JSON or YAML; a later one wins (repeatable)")
	cmd.Flags().StringArrayVar(&p.pairs, "param", nil, "parameter name=value, the value as YAML has it: 3, true, text, [a, b]; wins over files (repeatable)")
}

func (p *parameters) read(cmd *cobra.Command) (map[string]any, error) {
	out := map[string]any{}
	for _, path := range p.values {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the parameters: %w", err)
		}
		var values map[string]any
		if err := yaml.UnmarshalStrict(text, &values); err != nil {
			return nil, fmt.Errorf("read the parameters of %s: %w", path, err)
		}
		for k, v := range values {
			out[k] = v
		}
	}
	seen := []string{}
	for _, pair := range p.pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef(cmd, "parameter %q must be name=value", pair)
		}
		if slices.Contains(seen, name) {
			return nil, usagef(cmd, "parameter %q is given twice", name)
		}
		seen = append(seen, name)
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			v = text // a text that YAML would read as something broken is a text
		}
		out[name] = v
	}
	return out, nil
}
