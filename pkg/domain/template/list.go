package template

import "github.com/colliery-io/brokkr/pkg/domain/page"

// List says how templates are listed, a row a version: the newest first.
func List() page.List[Template] {
	name := func(t Template) string { return t.Name }
	return page.List[Template]{
		ID: func(t Template) string { return string(t.ID) },
		Sorts: []page.Sort[Template]{
			{Name: "created_at", Kind: page.Moment, Key: func(t Template) string { return page.Time(t.CreatedAt) }},
			{Name: "name", Key: name},
		},
		Descending: true,
		Filters: []page.Filter[Template]{
			{Name: "name", Of: name},
			{Name: "generator_id", Parse: page.ID("generator_id"), Of: func(t Template) string {
				if t.Generator == nil {
					return ""
				}
				return string(*t.Generator)
			}},
		},
		Search: []func(Template) string{name},
		Labels: true, Annotations: true,
		Chunk: 50,
	}
}

// LabelList says how the labels of a template are listed.
func LabelList() page.List[Label] {
	return page.List[Label]{
		ID:    func(l Label) string { return string(l.ID) },
		Sorts: []page.Sort[Label]{{Name: "label", Key: func(l Label) string { return l.Label }}},
	}
}

// AnnotationList says how the annotations of a template are listed.
func AnnotationList() page.List[Annotation] {
	return page.List[Annotation]{
		ID:    func(a Annotation) string { return string(a.ID) },
		Sorts: []page.Sort[Annotation]{{Name: "key", Key: func(a Annotation) string { return a.Key }}},
	}
}
