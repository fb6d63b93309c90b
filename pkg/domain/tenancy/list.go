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

// RegistrationList says how registrations are listed: in the order in which they were asked for.
func RegistrationList() page.List[Registration] {
	return page.List[Registration]{
		ID: func(r Registration) string { return string(r.ID) },
		Sorts: []page.Sort[Registration]{
			{Name: "registered_at", Kind: page.Moment, Key: func(r Registration) string { return page.Time(r.RegisteredAt) }},
		},
		Filters: []page.Filter[Registration]{
			{Name: "state", Parse: page.OneOf("state", RegistrationPending, RegistrationApproved), Of: func(r Registration) string { return string(r.State) }},
			{Name: "agent_id", Parse: page.ID("agent_id"), Of: func(r Registration) string { return string(r.Agent) }},
			{Name: "generator_id", Parse: page.ID("generator_id"), Of: func(r Registration) string { return string(r.Generator) }},
		},
	}
}
