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

// DeletedList says how stacks are listed that are deleted and can be restored: the last deletion first.
func DeletedList() page.List[Stack] {
	out := List()
	out.Sorts = []page.Sort[Stack]{{Name: "deleted_at", Kind: page.Moment, Key: func(s Stack) string {
		if s.DeletedAt == nil {
			return ""
		}
		return page.Time(*s.DeletedAt)
	}}}
	out.Descending, out.InPages = true, true
	return out
}

func nameOf(s Stack) string { return s.Name }

// ObjectList says how the deployment objects of a stack are listed: the newest first.
func ObjectList() page.List[Object] {
	return page.List[Object]{
		ID:         func(o Object) string { return string(o.ID) },
		Sorts:      []page.Sort[Object]{{Name: "sequence_id", Kind: page.Number, Key: func(o Object) string { return page.Integer(int64(o.Sequence)) }}},
		Filters:    []page.Filter[Object]{{Name: "checksum", Of: func(o Object) string { return string(o.Checksum) }}},
		Descending: true, Chunk: 10,
	}
}

// LabelList says how the labels of a stack are listed.
func LabelList() page.List[Label] {
	return page.List[Label]{
		ID:    func(l Label) string { return string(l.ID) },
		Sorts: []page.Sort[Label]{{Name: "label", Key: func(l Label) string { return l.Label }}},
	}
}

// AnnotationList says how the annotations of a stack are listed.
func AnnotationList() page.List[Annotation] {
	return page.List[Annotation]{
		ID:    func(a Annotation) string { return string(a.ID) },
		Sorts: []page.Sort[Annotation]{{Name: "key", Key: func(a Annotation) string { return a.Key }}},
	}
}
