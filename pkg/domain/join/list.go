package join

import "github.com/colliery-io/brokkr/pkg/domain/page"

// UsableNow is the state by which a list can be narrowed. The store reads the moment in the place of the word.
const UsableNow = "usable"

// List says how tokens are listed: the newest first.
func List() page.List[Token] {
	name := func(t Token) string { return t.Name }
	return page.List[Token]{
		ID:         func(t Token) string { return string(t.ID) },
		Sorts:      []page.Sort[Token]{{Name: "created_at", Kind: page.Moment, Key: func(t Token) string { return page.Time(t.CreatedAt) }}},
		Filters:    []page.Filter[Token]{{Name: "name", Of: name}, {Name: "state", Parse: page.OneOf("state", UsableNow)}},
		Search:     []func(Token) string{name},
		Descending: true, InPages: true,
	}
}
