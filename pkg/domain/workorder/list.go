package workorder

import (
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// List says how orders that are not finished are listed: the newest first.
func List() page.List[Order] {
	return page.List[Order]{
		ID:    func(o Order) string { return string(o.ID) },
		Sorts: []page.Sort[Order]{{Name: "created_at", Kind: page.Moment, Key: func(o Order) string { return page.Time(o.CreatedAt) }}},
		Filters: []page.Filter[Order]{
			{Name: "status", Of: func(o Order) string { return string(o.Status) }, Parse: func(s string) (string, error) {
				v, err := ParseStatus(s)
				return string(v), err
			}},
			{Name: "work_type", Of: func(o Order) string { return o.Type }},
			{Name: "agent_id", Parse: page.ID("agent_id"), Of: func(o Order) string { // that has claimed it
				if o.Claim == nil {
					return ""
				}
				return string(o.Claim.Agent)
			}},
		},
		Descending: true,
	}
}

// LogList says how the log is listed: the last completed first.
func LogList() page.List[Entry] {
	return page.List[Entry]{
		ID:    func(e Entry) string { return string(e.ID) },
		Sorts: []page.Sort[Entry]{{Name: "completed_at", Kind: page.Moment, Key: func(e Entry) string { return page.Time(e.CompletedAt) }}},
		Filters: []page.Filter[Entry]{
			{Name: "work_type", Of: func(e Entry) string { return e.Type }},
			{Name: "success", Parse: page.OneOf("success", "true", "false"), Of: func(e Entry) string { return strconv.FormatBool(e.Success) }},
			{Name: "agent_id", Parse: page.ID("agent_id"), Of: func(e Entry) string { return string(e.ClaimedBy) }},
		},
		Descending: true, InPages: true,
	}
}
