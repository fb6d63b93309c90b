package tenancy

import (
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// GeneratorList says how generators are listed.
func GeneratorList() page.List[Generator] {
	name := func(g Generator) string { return g.Name }
	return page.List[Generator]{
		ID: func(g Generator) string { return string(g.ID) },
		Sorts: []page.Sort[Generator]{
			{Name: "name", Key: name},
			{Name: "created_at", Kind: page.Moment, Key: func(g Generator) string { return page.Time(g.CreatedAt) }},
		},
		Filters: []page.Filter[Generator]{
			{Name: "name", Of: name},
			{Name: "system", Parse: page.OneOf("system", "true", "false"), Of: func(g Generator) string { return strconv.FormatBool(g.System) }},
		},
		Search: []func(Generator) string{name},
	}
}

// UsableNow is the one value of the filter state of credentials. A store is given a moment (page.Time) in its place: it passes
// those that may authenticate then.
const UsableNow = "usable"

// CredentialList says how credentials are listed: the newest first.
func CredentialList() page.List[Credential] {
	name := func(c Credential) string { return c.Name }
	return page.List[Credential]{
		ID:    func(c Credential) string { return string(c.ID) },
		Sorts: []page.Sort[Credential]{{Name: "created_at", Kind: page.Moment, Key: func(c Credential) string { return page.Time(c.CreatedAt) }}},
		Filters: []page.Filter[Credential]{
			{Name: "name", Of: name},
			{Name: "role", Of: func(c Credential) string { return string(c.Role) }},
			{Name: "generator_id", Parse: page.ID("generator_id"), Of: func(c Credential) string { return string(c.Generator) }},
			{Name: "agent_id", Parse: page.ID("agent_id"), Of: func(c Credential) string { return string(c.Agent) }},
			{Name: "state", Parse: page.OneOf("state", UsableNow)},
		},
		Search:     []func(Credential) string{name},
		Descending: true, InPages: true,
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
