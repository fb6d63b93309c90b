package agent

import "github.com/colliery-io/brokkr/pkg/domain/page"

// List says how agents are listed.
func List() page.List[Agent] {
	name, cluster := func(a Agent) string { return a.Name }, func(a Agent) string { return a.ClusterName }
	return page.List[Agent]{
		ID: func(a Agent) string { return string(a.ID) },
		Sorts: []page.Sort[Agent]{
			{Name: "name", Key: name},
			{Name: "cluster_name", Key: cluster},
			{Name: "created_at", Kind: page.Moment, Key: func(a Agent) string { return page.Time(a.CreatedAt) }},
		},
		Filters: []page.Filter[Agent]{
			{Name: "name", Of: name},
			{Name: "cluster_name", Of: cluster},
			{Name: "status", Parse: page.OneOf("status", Active, Inactive), Of: func(a Agent) string { return string(a.Status) }},
			{Name: "generator_id", Alias: "pak_id", Parse: page.ID("generator_id")}, // registered with it
		},
		Search: []func(Agent) string{name, cluster},
		Labels: true, Annotations: true,
	}
}

// EventList says how agents' events are listed: in the order in which they were stored, the newest first. No two have the same key.
func EventList() page.List[Event] {
	return page.List[Event]{
		ID:    func(e Event) string { return string(e.ID) },
		Sorts: []page.Sort[Event]{{Name: "created_at", Kind: page.Number, Key: func(e Event) string { return page.Integer(e.Ordinal) }}},
		Filters: []page.Filter[Event]{
			{Name: "agent_id", Parse: page.ID("agent_id"), Of: func(e Event) string { return string(e.Agent) }},
			{Name: "deployment_object_id", Parse: page.ID("deployment_object_id"), Of: func(e Event) string { return string(e.Object) }},
			{Name: "event_type", Of: func(e Event) string { return e.Type }},
			{Name: "status", Of: func(e Event) string { return e.Status }},
			{Name: "generator_id", Alias: "pak_id", Parse: page.ID("generator_id")}, // which owns the stack of the object
		},
		Descending: true,
	}
}

// LabelList says how the labels of an agent are listed.
func LabelList() page.List[Label] {
	return page.List[Label]{
		ID:    func(l Label) string { return string(l.ID) },
		Sorts: []page.Sort[Label]{{Name: "label", Key: func(l Label) string { return l.Label }}},
	}
}

// AnnotationList says how the annotations of an agent are listed.
func AnnotationList() page.List[Annotation] {
	return page.List[Annotation]{
		ID:    func(a Annotation) string { return string(a.ID) },
		Sorts: []page.Sort[Annotation]{{Name: "key", Key: func(a Annotation) string { return a.Key }}},
	}
}

// TargetList says how the targets of an agent are listed.
func TargetList() page.List[Target] {
	return page.List[Target]{
		ID:    func(t Target) string { return string(t.ID) },
		Sorts: []page.Sort[Target]{{Name: "stack_id", Key: func(t Target) string { return string(t.Stack) }}},
	}
}
