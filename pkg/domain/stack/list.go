package stack

import "github.com/colliery-io/brokkr/pkg/domain/page"

// List says how stacks are listed.
func List() page.List[Stack] {
	return page.List[Stack]{
		ID: func(s Stack) string { return string(s.ID) },
		Sorts: []page.Sort[Stack]{
			{Name: "name", Key: nameOf},
			{Name: "created_at", Kind: page.Moment, Key: func(s Stack) string { return page.Time(s.CreatedAt) }},
		},
		Filters: []page.Filter[Stack]{
			{Name: "name", Of: nameOf},
			{Name: "generator_id", Alias: "pak_id", Parse: page.ID("generator_id"), Of: func(s Stack) string { return string(s.Generator) }},
		},
		Search: []func(Stack) string{nameOf, func(s Stack) string {
			if s.Description == nil {
				return ""
			}
			return *s.Description
		}},
		Labels: true, Annotations: true,
	}
}

func nameOf(s Stack) string { return s.Name }
