package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/stacktemplate"
)

func (a *app) templateRender() *cobra.Command {
	var f templateFiles
	var p parameters
	cmd := &cobra.Command{
		Use:   "render [TEMPLATE | -f FILE]",
		Short: "Show what a template makes of parameters, and change nothing",
		Long: `Shows what a template makes of parameters: one of the broker's, or a file (then nothing is asked of the broker). It is rendered
here as the broker would, parameters and result are checked alike.`,
		Args: atMost(1), ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f.content == "") == (len(args) == 0) || f.content == "" && f.schema != "" {
				return usagef(cmd, "name a template, or a file with -f (and its --schema)")
			}
			values, err := p.read(cmd)
			if err != nil {
				return err
			}
			text, err := a.templateText(cmd, args, &f)
			if err != nil {
				return err
			}
			bundle, err := renderTemplate(cmd, text, values)
			if err != nil {
				return err
			}
			_, err = a.env.Out.Write(bundle)
			return err
		},
	}
	f.flags(cmd)
	p.flags(cmd)
	return cmd
}

func (a *app) templateText(cmd *cobra.Command, args []string, f *templateFiles) (client.TemplateText, error) {
	if f.content != "" {
		return f.read(cmd, a.env.In, nil)
	}
	c, err := a.connect()
	if err != nil {
		return client.TemplateText{}, err
	}
	t, err := findTemplate(cmd.Context(), c, args[0])
	return client.TemplateText{TemplateContent: t.TemplateContent, ParametersSchema: t.ParametersSchema}, err
}

// renderTemplate does what the broker does: it checks, renders, and checks the bundle.
func renderTemplate(cmd *cobra.Command, text client.TemplateText, values map[string]any) ([]byte, error) {
	t, err := stacktemplate.Compile(text.TemplateContent, text.ParametersSchema)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("write the parameters as JSON: %w", err)
	}
	p, err := t.Parameters(raw)
	if err != nil {
		return nil, everyProblem(err)
	}
	bundle, err := t.Render(cmd.Context(), p)
	if err != nil {
		return nil, err
	}
	if _, err := client.NewBundle("the template", client.Part{Name: "the rendered text", Text: string(bundle)}); err != nil {
		return nil, err
	}
	return bundle, nil
}

// everyProblem says all that is wrong with parameters, not only the first.
func everyProblem(err error) error {
	f, ok := fault.As(err)
	if !ok {
		return err
	}
	problems, _ := f.Details["validation_errors"].([]string)
	if len(problems) < 2 {
		return err
	}
	return fmt.Errorf("the parameters do not fit the template's schema:\n  %s", strings.Join(problems, "\n  "))
}

func (a *app) templateInstantiate() *cobra.Command {
	var p parameters
	var stack string
	var waitFor bool
	var wait waitOptions
	var o output
	cmd := &cobra.Command{
		Use:   "instantiate TEMPLATE --stack STACK",
		Short: "Publish what a template makes of parameters as a stack's newest revision",
		Long: `Publishes what a template makes of parameters as the newest revision of a stack, which must be there and have the labels and
annotations of the template. Each call is a revision: unlike apply it is not compared with the newest one.`,
		Args: exactly("TEMPLATE"), ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			if stack == "" {
				return usagef(cmd, "name the stack with --stack")
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			values, err := p.read(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := findTemplate(ctx, c, args[0])
			if err != nil {
				return err
			}
			s, err := findStack(ctx, c, stack)
			if err != nil {
				return err
			}
			object, err := c.InstantiateTemplate(ctx, s.ID, t.ID, values)
			if err != nil {
				err = fmt.Errorf("instantiate %s: %w", templateName(t), err)
				if client.IsCode(err, "template_stack_mismatch") {
					err = hint(err, "brokkr stack label %s LABEL adds what the template demands", s.Name)
				}
				return err
			}
			if err := a.show(cmd, &o, view{data: object, names: []string{"stack/" + s.Name}, table: func(w io.Writer, _ bool) error {
				_, err := fmt.Fprintf(w, "stack/%s updated (sequence %d) from %s\n", s.Name, object.SequenceID, templateName(t))
				return err
			}}); err != nil {
				return err
			}
			if !waitFor {
				return nil
			}
			return a.waitHealthy(ctx, c, s, object, wait)
		},
	}
	cmd.Flags().StringVar(&stack, "stack", "", "name or id of the stack (required)")
	cmd.Flags().BoolVar(&waitFor, "wait", false, "wait until the stack is healthy in every cluster that is to run it")
	wait.flags(cmd, "with --wait, ")
	p.flags(cmd)
	o.flag(cmd)
	return cmd
}
