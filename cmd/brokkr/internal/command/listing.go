package command

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// listing is what a person wants of a list: how many, in which order, which ones. The broker chooses; every list has its flags
// from here.
type listing struct {
	orders  []string // by which the list can be sorted; the first is its own. None: it has one order alone
	filters []*filter
	whose   string // without this argument there is only --limit; empty: there is everything
	scoped  bool   // an argument says whose the list is, or is a name that the list is narrowed by: not one item

	limit int // 0: all
	sort  string
}

// filter is a flag that narrows a list.
type filter struct {
	flag, short, help string
	param             string              // its name in the API
	words             []string            // its only values, if there are any
	spell             func(string) string // how the API writes a word; nil: so
	set               string              // the flag is a switch, and this is what it sets
	many              bool                // it may be given several times: all must hold
	order             string              // the only one that the list has with it; empty: any
	check             func(cmd *cobra.Command, values []string) error
	id                func(ctx context.Context, c *client.Client, ref string) (string, error) // what it names, by name or id; nil: itself

	value  string
	values []string
	on     bool
}

func (l *listing) flags(cmd *cobra.Command) {
	if l == nil { // what is named is all there is
		return
	}
	f := cmd.Flags()
	f.IntVar(&l.limit, "limit", l.limit, "how many at most; 0 is all")
	// The only errors are that a flag does not exist.
	complete := func(flag string, words []string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	if len(l.orders) > 0 {
		f.StringVar(&l.sort, "sort", "", "order: "+strings.Join(l.orders, ", ")+"; with - before it descending")
		words := slices.Clone(l.orders)
		for _, o := range l.orders {
			words = append(words, "-"+o)
		}
		complete("sort", words)
	}
	for _, n := range l.filters {
		switch {
		case n.set != "":
			f.BoolVar(&n.on, n.flag, false, n.help)
		case n.many:
			f.StringArrayVarP(&n.values, n.flag, n.short, nil, n.help+" (repeatable)")
		default:
			f.StringVarP(&n.value, n.flag, n.short, "", n.help)
		}
		if len(n.words) > 0 {
			complete(n.flag, n.words)
		}
	}
}

// given returns the first flag of the list that was used, but for some, if any.
func (l *listing) given(cmd *cobra.Command, but ...string) (string, bool) {
	names := []string{"limit", "sort"}
	for _, n := range l.filters {
		names = append(names, n.flag)
	}
	for _, name := range names {
		if cmd.Flags().Changed(name) && !slices.Contains(but, name) {
			return name, true
		}
	}
	return "", false
}

// read checks what can be checked without the broker: a value that is none is refused by the name of its flag.
func (l *listing) read(cmd *cobra.Command, args []string) error {
	if l == nil {
		return nil
	}
	if flag, ok := l.given(cmd); ok && len(args) > 0 && !l.scoped {
		return usagef(cmd, "--%s chooses of the list, and %s is one already; leave one of them out", flag, args[0])
	}
	if flag, ok := l.given(cmd, "limit"); ok && len(args) == 0 && l.whose != "" {
		return usagef(cmd, "--%s chooses of what one %s has; name it", flag, l.whose)
	}
	if l.limit < 0 {
		return usagef(cmd, "--limit %d is less than 0", l.limit)
	}
	if order := strings.TrimPrefix(l.sort, "-"); cmd.Flags().Changed("sort") && !slices.Contains(l.orders, order) {
		return usagef(cmd, "--sort %q is not one of %v, with - before it for descending", l.sort, l.orders)
	}
	sets := map[string]string{}
	for _, n := range l.filters {
		if other := sets[n.param]; n.on && other != "" {
			return usagef(cmd, "--%s and --%s exclude each other; give neither for both", other, n.flag)
		} else if n.on {
			sets[n.param] = n.flag
		}
		if n.on && n.order != "" && l.sort != "" {
			return usagef(cmd, "with --%s there is one order alone, %s; leave --sort out", n.flag, n.order)
		}
		if err := n.read(cmd); err != nil {
			return err
		}
	}
	return nil
}

func (n *filter) read(cmd *cobra.Command) error {
	if !cmd.Flags().Changed(n.flag) || n.set != "" {
		return nil
	}
	if !n.many {
		n.values = []string{n.value}
	}
	if slices.Contains(n.values, "") {
		return usagef(cmd, "--%s is empty", n.flag)
	}
	if len(n.words) > 0 && !slices.ContainsFunc(n.words, func(w string) bool { return strings.EqualFold(w, n.value) }) {
		return usagef(cmd, "--%s %q is not one of %v", n.flag, n.value, n.words)
	}
	if n.check != nil {
		if err := n.check(cmd, n.values); err != nil {
			return usagef(cmd, "--%s: %v", n.flag, err)
		}
	}
	return nil
}

// choice is what the broker is asked for. Things that were named are looked up.
func (l *listing) choice(ctx context.Context, c *client.Client) (client.Choice, error) {
	if l == nil {
		return client.Choice{}, nil
	}
	q := client.Choice{Filters: url.Values{}, Sort: l.sort, Limit: l.limit}
	for _, n := range l.filters {
		if n.on {
			q.Filters.Set(n.param, n.set)
		}
		for _, v := range n.values {
			if len(n.words) > 0 {
				v = strings.ToLower(v)
			}
			if n.spell != nil {
				v = n.spell(v)
			}
			if n.id != nil {
				var err error
				if v, err = n.id(ctx, c, v); err != nil {
					return q, err
				}
			}
			q.Filters.Add(n.param, v)
		}
	}
	return q, nil
}

// with is q narrowed by one filter more.
func with(q client.Choice, param, value string) client.Choice {
	q.Filters = maps.Clone(q.Filters)
	if q.Filters == nil {
		q.Filters = url.Values{}
	}
	q.Filters.Set(param, value)
	return q
}

// inOrder is what came in the order that was asked for; else in that in which a person looks for things.
func inOrder[T any](q client.Choice, all []T, name func(T) string) []T {
	if q.Sort != "" {
		return all
	}
	return sorted(all, name)
}

// orNothing is v, which says of a list of which q leaves nothing that it is the filters, not that there is nothing.
func (a *app) orNothing(q client.Choice, v view) view {
	if q.Narrows() && len(v.names) == 0 {
		v.table = func(io.Writer, bool) error {
			a.progress("nothing in the list is so")
			return nil
		}
	}
	return v
}

// more says that a list goes on.
func (a *app) more(rest int) {
	switch {
	case rest < 0:
		a.progress("there are more; --limit shows more, and filters fewer")
	case rest > 0:
		a.progress("%d more; --limit shows more, and filters fewer", rest)
	}
}

// sortsOf are the orders of a list, its own first.
func sortsOf[T any](l page.List[T]) []string {
	out := make([]string, len(l.Sorts))
	for i, s := range l.Sorts {
		out[i] = s.Name
	}
	return out
}

func searchFilter(in string) *filter {
	return &filter{flag: "search", param: page.ParamSearch, help: "only those with this in " + in}
}

func labelFilter(whose string) *filter {
	return &filter{flag: "label", short: "l", param: page.ParamLabel, many: true, help: "only those " + whose + " this label", check: parseLabels}
}

func annotationFilter(whose string) *filter {
	return &filter{flag: "annotation", param: page.ParamAnnotation, many: true, help: "only those " + whose + " this annotation, key=value",
		check: func(cmd *cobra.Command, values []string) error {
			_, err := annotationsOf(cmd, values)
			return err
		}}
}

func generatorFilter(help string) *filter {
	return &filter{flag: "generator", param: "generator_id", help: help + " generator, by name or id",
		id: func(ctx context.Context, c *client.Client, ref string) (string, error) {
			g, err := findGenerator(ctx, c, ref)
			return g.ID, err
		}}
}

func agentFilter(help string) *filter {
	return &filter{flag: "agent", param: "agent_id", help: help + " agent, by name or id",
		id: func(ctx context.Context, c *client.Client, ref string) (string, error) {
			v, err := findAgent(ctx, c, ref)
			return v.ID, err
		}}
}

// wordFilter takes one of a closed set of words.
func wordFilter[W ~string](flag, param, help string, spell func(string) string, words ...W) *filter {
	n := &filter{flag: flag, param: param, spell: spell}
	for _, w := range words {
		n.words = append(n.words, strings.ToLower(string(w)))
	}
	n.help = fmt.Sprintf("%s: %s", help, strings.Join(n.words, ", "))
	return n
}

// agentFilters are those of every list that is one of agents.
func agentFilters() []*filter {
	return []*filter{
		labelFilter("whose agent has"), annotationFilter("whose agent has"), wordFilter("status", "status", "only agents that are", strings.ToUpper, agent.Active, agent.Inactive),
		generatorFilter("only agents that are registered with this"), {flag: "cluster-name", param: "cluster_name", help: "only those of this cluster"},
		searchFilter("the agent's or the cluster's name"),
	}
}

// yesNo is a filter by a switch of the thing.
func yesNo(flag, param, help string) *filter {
	return wordFilter(flag, param, help, nil, strconv.FormatBool(true), strconv.FormatBool(false))
}
