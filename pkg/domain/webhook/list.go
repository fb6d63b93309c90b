package webhook

import (
	"strconv"

	"github.com/colliery-io/brokkr/pkg/domain/page"
)

// List says how subscriptions are listed.
func List() page.List[Subscription] {
	name := func(s Subscription) string { return s.Name }
	return page.List[Subscription]{
		ID: func(s Subscription) string { return string(s.ID) },
		Sorts: []page.Sort[Subscription]{
			{Name: "name", Key: name},
			{Name: "created_at", Kind: page.Moment, Key: func(s Subscription) string { return page.Time(s.CreatedAt) }},
		},
		Filters: []page.Filter[Subscription]{
			{Name: "name", Of: name},
			{Name: "enabled", Parse: page.OneOf("enabled", "true", "false"), Of: func(s Subscription) string { return strconv.FormatBool(s.Enabled) }},
		},
		Search: []func(Subscription) string{name},
	}
}

// DeliveryList says how deliveries are listed: in the order in which they were made, the newest first. No two have the same key.
func DeliveryList() page.List[Delivery] {
	return page.List[Delivery]{
		ID:    func(d Delivery) string { return string(d.ID) },
		Sorts: []page.Sort[Delivery]{{Name: "created_at", Kind: page.Number, Key: func(d Delivery) string { return page.Integer(d.Ordinal) }}},
		Filters: []page.Filter[Delivery]{
			{Name: "subscription_id", Parse: page.ID("subscription_id"), Of: func(d Delivery) string { return string(d.Subscription) }},
			{Name: "status", Of: func(d Delivery) string { return string(d.Status) }, Parse: func(s string) (string, error) {
				v, err := ParseStatus(s)
				return string(v), err
			}},
			{Name: "event_type", Of: func(d Delivery) string { return string(d.EventType) }},
		},
		Descending: true, InPages: true, Default: 50, Skips: true,
	}
}
