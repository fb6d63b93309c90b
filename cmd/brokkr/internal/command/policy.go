package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/policy"
)

func (a *app) policy() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Say which clusters run stacks, and how revisions move across them",
		Long: `A placement policy is a document, YAML or JSON, in revisions that never change. It decides about the stacks that it is attached
to, themselves or by a label that they have; what is attached to a stack itself comes first, then the first by name. POLICY is a
name or an id.

  brokkr policy apply -f web-eu.yaml
  brokkr policy attach web-eu --stack web
  brokkr policy attach web-eu --label tier/web
  brokkr explain web`,
	}
	cmd.AddCommand(
		a.getList("list [NAME]", nil, "List placement policies", &listing{orders: sortsOf(policy.List()), scoped: true, filters: []*filter{
			generatorFilter("only policies of this"), searchFilter("name"),
		}}, a.listPolicies, a.completePolicies),
		a.policyGet(), a.policyApply(), a.policyDiff(), a.policyHistory(), a.policyDelete(), a.policyAttach(), a.policyDetach())
	return group(cmd)
}

func (a *app) completePolicies(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, args, prefix, func(ctx context.Context, c *client.Client) (book, error) {
		all, err := c.Policies(ctx, "")
		names := book{}
		for _, p := range all {
			names[p.ID] = p.Name
		}
		return names, err
	})
}

func policyName(p client.Policy) string { return "policy/" + p.Name }

// findPolicies returns the policies with this name or id, of one generator unless generator is empty.
func findPolicies(ctx context.Context, c *client.Client, ref, generator string) ([]client.Policy, error) {
	if isID(ref) {
		p, err := c.Policy(ctx, strings.ToLower(ref))
		switch {
		case client.IsStatus(err, http.StatusNotFound):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return []client.Policy{p}, nil
	}
	all, err := c.Policies(ctx, ref)
	return only(all, func(p client.Policy) bool { return p.Name == ref && (generator == "" || p.GeneratorID == generator) }), err
}

func findPolicy(ctx context.Context, c *client.Client, ref string) (client.Policy, error) {
	found, err := findPolicies(ctx, c, ref, "")
	if err != nil {
		return client.Policy{}, err
	}
	p, err := one("policy", ref, found, func(p client.Policy) string { return "policy " + p.ID + " of generator " + p.GeneratorID })
	if len(found) == 0 {
		err = hint(fmt.Errorf("policy %q not found", ref), "brokkr policy list shows what this key can see")
	}
	return p, err
}

func (a *app) listPolicies(ctx context.Context, c *client.Client, ref string, q client.Choice, o *output) (view, error) {
	if ref != "" {
		q = with(q, "name", ref)
	}
	chosen, err := c.PoliciesBy(ctx, q)
	if err != nil {
		return view{}, err
	}
	v := a.policyView(chosen.Items, chosen.Items, o)
	v.rest = chosen.Rest
	return v, nil
}

func (a *app) policyView(data any, all []client.Policy, o *output) view {
	v := view{data: data}
	g := &render.Grid{Columns: render.Columns("NAME", "REVISION", "STACKS", "STACK LABELS", "AGE", "+CHANGED", "+GENERATOR-ID", "+ID")}
	for _, p := range all {
		v.names = append(v.names, policyName(p))
		g.Add(render.Texts(p.Name, strconv.Itoa(p.Revision), strconv.Itoa(p.Stacks), orNone(strings.Join(p.StackLabels, ", ")),
			render.Age(a.env.Now(), &p.CreatedAt), render.Age(a.env.Now(), &p.UpdatedAt), p.GeneratorID, p.ID)...)
	}
	v.table = a.grid(g, o, "no placement policies yet: brokkr policy apply -f FILE")
	return v
}

// documentText writes a document as YAML.
func documentText(w io.Writer, document json.RawMessage) error {
	text, err := yaml.JSONToYAML(document)
	if err != nil {
		return fmt.Errorf("read the policy's document: %w", err)
	}
	_, err = w.Write(text)
	return err
}

func (a *app) policyGet() *cobra.Command {
	var o output
	var revision int
	cmd := &cobra.Command{
		Use: "get POLICY", Short: "Show a policy's document; with -o all of it", Args: exactly("POLICY"), ValidArgsFunction: a.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			p, err := findPolicy(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			v := a.policyView(p, []client.Policy{p}, &o)
			document := p.Document
			if revision > 0 {
				r, err := c.PolicyRevision(cmd.Context(), p.ID, revision)
				if err != nil {
					return fmt.Errorf("get revision %d of %s: %w", revision, policyName(p), err)
				}
				v.data, document = r, r.Document
			}
			if o.value == "" {
				v.table = func(w io.Writer, _ bool) error { return documentText(w, document) }
			}
			return a.show(cmd, &o, v)
		},
	}
	cmd.Flags().IntVar(&revision, "revision", 0, "show this revision instead of the newest")
	o.flag(cmd)
	return cmd
}

// policyFile reads a document and the policy's name in it.
func (a *app) policyFile(path string) (name string, document json.RawMessage, err error) {
	text, err := readAll(path, a.env.In)
	if err != nil {
		return "", nil, fmt.Errorf("read the policy: %w", err)
	}
	if document, err = yaml.YAMLToJSONStrict(text); err != nil {
		return "", nil, fmt.Errorf("read the policy %s: %w", path, err)
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(document, &named); err != nil || named.Name == "" {
		return "", nil, hint(fmt.Errorf("the policy %s has no name", path), "begin it with name: NAME")
	}
	return named.Name, document, nil
}

// warnings tells what does not keep a policy from being stored, or content from being published.
func (a *app) warnings(all []client.PolicyProblem) {
	for _, w := range all {
		at := ""
		if w.Path != "" {
			at = " at " + render.Clean(w.Path)
		}
		a.progress("warning%s: %s", at, render.Clean(w.Message))
	}
}

// cycleHint says what to do about stacks that would wait for one another.
func cycleHint(err error) error {
	if client.IsCode(err, "dependency_cycle") {
		return hint(err, "take one of the steps out of depends_on or affinity.with_stacks, or attach a policy without it")
	}
	return err
}

func (a *app) policyApply() *cobra.Command {
	var path, generator, plan string
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Store a policy, or its next revision; what is there already stays", Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usagef(cmd, "say where the policy is with -f")
			}
			name, document, err := a.policyFile(path)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			owner := ""
			if generator != "" {
				g, err := findGenerator(cmd.Context(), c, generator)
				if err != nil {
					return err
				}
				owner = g.ID
			}
			found, err := findPolicies(cmd.Context(), c, name, owner)
			if err != nil {
				return err
			}
			if len(found) == 0 && plan != "" {
				return hint(fmt.Errorf("policy %q not found; a plan is of one that is stored", name), "leave --plan out")
			}
			if len(found) == 0 {
				p, err := c.CreatePolicy(cmd.Context(), owner, document)
				if err != nil {
					return cycleHint(fmt.Errorf("store policy %s: %w", name, err))
				}
				a.warnings(p.Warnings)
				a.said("%s created", policyName(p))
				return nil
			}
			was, err := one("policy", name, found, func(p client.Policy) string { return "policy " + p.ID + " of generator " + p.GeneratorID })
			if err != nil {
				return hint(errors.Unwrap(err), "say whose it is with --generator")
			}
			store := c.UpdatePolicy
			if plan != "" {
				store = func(ctx context.Context, id string, document json.RawMessage) (client.Policy, error) {
					return c.UpdatePolicyUnder(ctx, plan, id, document)
				}
			}
			p, err := store(cmd.Context(), was.ID, document)
			if client.IsCode(err, "plan_outdated") {
				return hint(fmt.Errorf("store policy %s: %w", name, err), "brokkr plan -f %s", path)
			}
			if err != nil {
				return cycleHint(fmt.Errorf("store policy %s: %w", name, err))
			}
			a.warnings(p.Warnings)
			if p.Revision == was.Revision {
				a.said("%s unchanged (revision %d)", policyName(p), p.Revision)
				return nil
			}
			a.said("%s updated to revision %d", policyName(p), p.Revision)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "filename", "f", "", "the policy, YAML or JSON, or - for standard input")
	cmd.Flags().StringVar(&generator, "generator", "", "whose it is, by name or id; yours if it is left out")
	cmd.Flags().StringVar(&plan, "plan", "", "store it only if it still comes to what this plan says")
	return cmd
}

func (a *app) policyHistory() *cobra.Command {
	var o output
	l := &listing{orders: sortsOf(policy.RevisionList()), scoped: true}
	cmd := &cobra.Command{
		Use: "history POLICY", Short: "List the kept revisions of a policy", Args: exactly("POLICY"), ValidArgsFunction: a.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			if err := l.read(cmd, args); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			p, err := findPolicy(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			q, err := l.choice(cmd.Context(), c)
			if err != nil {
				return err
			}
			chosen, err := c.PolicyRevisionsBy(cmd.Context(), p.ID, q)
			if err != nil {
				return fmt.Errorf("list revisions of %s: %w", policyName(p), err)
			}
			v := view{data: chosen.Items, rest: chosen.Rest}
			g := &render.Grid{Columns: render.Columns("REVISION", "AGE")}
			for _, r := range chosen.Items {
				v.names = append(v.names, fmt.Sprintf("%s@%d", policyName(p), r.Revision))
				g.Add(render.Texts(strconv.Itoa(r.Revision), render.Age(a.env.Now(), &r.CreatedAt))...)
			}
			v.table = a.grid(g, &o, "no revisions")
			return a.show(cmd, &o, v)
		},
	}
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

func (a *app) policyDelete() *cobra.Command {
	var o deleteOptions
	var detach bool
	cmd := &cobra.Command{
		Use: "delete POLICY", Short: "Delete a policy that is attached to nothing", Args: exactly("POLICY"), ValidArgsFunction: a.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			p, err := findPolicy(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			question := fmt.Sprintf("delete %s?", policyName(p))
			if detach && (p.Stacks > 0 || len(p.StackLabels) > 0) {
				question = fmt.Sprintf("delete %s, which is attached to %s and %s?", policyName(p), count(p.Stacks, "stack"), count(len(p.StackLabels), "stack label"))
			}
			if err := a.sure(cmd, &o, question); err != nil {
				return err
			}
			if err := c.DeletePolicy(cmd.Context(), p.ID, detach); err != nil {
				if client.IsCode(err, "placement_policy_attached") {
					err = hint(err, "brokkr policy detach, or --detach to take it from everything")
				}
				return err
			}
			a.said("%s deleted", policyName(p))
			return nil
		},
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&detach, "detach", false, "take it from every stack and label first")
	return cmd
}
