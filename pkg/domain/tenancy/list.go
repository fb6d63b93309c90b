package tenancy

import "github.com/colliery-io/brokkr/pkg/domain/page"

// GeneratorList says how generators are listed.
func GeneratorList() page.List[Generator] {
	name := func(g Generator) string { return g.Name }
	return page.List[Generator]{
		ID: func(g Generator) string { return string(g.ID) },
		Sorts: []page.Sort[Generator]{
			{Name: "name", Key: name},
			{Name: "created_at", Kind: page.Moment, Key: func(g Generator) string { return page.Time(g.CreatedAt) }},
		},
		Filters: []page.Filter[Generator]{{Name: "name", Of: name}},
		Search:  []func(Generator) string{name},
	}
}
