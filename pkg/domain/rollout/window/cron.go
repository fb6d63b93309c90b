package window

import (
	"strconv"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

// Cron names moments: minute, hour, day of the month, month, day of the week.
type Cron struct {
	minute, hour, day, month, weekday uint64 // sets of bits
	anyDay, anyWeekday                bool   // the field is *: the other one alone says which days
}

type field struct {
	name     string
	min, max int
	names    []string // of min, min+1, ...
}

func fields() [5]field {
	return [5]field{
		{name: "minute", max: 59},
		{name: "hour", max: 23},
		{name: "day of the month", min: 1, max: 31},
		{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{name: "day of the week", max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
}

// Parse reads five fields of lists, ranges and steps (*/15, 1-5, mon-fri, 0,30). Sunday is 0 or 7. If both days are given,
// either suffices. Anything else is Invalid, naming the field.
func Parse(expression string) (Cron, error) {
	parts := strings.Fields(expression)
	if len(parts) != 5 {
		return Cron{}, fault.Newf(fault.Invalid, "invalid_window", "cron %q has %d fields, not the five of minute, hour, day, month and weekday", expression, len(parts))
	}
	var sets [5]uint64
	for i, f := range fields() {
		set, ok := f.parse(strings.ToLower(parts[i]))
		if !ok {
			return Cron{}, fault.Newf(fault.Invalid, "invalid_window", "cron %q: %q is no %s of %d to %d", expression, parts[i], f.name, f.min, f.max)
		}
		sets[i] = set
	}
	c := Cron{minute: sets[0], hour: sets[1], day: sets[2], month: sets[3], weekday: sets[4], anyDay: parts[2] == "*", anyWeekday: parts[4] == "*"}
	if c.weekday&(1<<7) != 0 {
		c.weekday |= 1
	}
	if c.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Cron{}, fault.Newf(fault.Invalid, "invalid_window", "cron %q names a day that never comes", expression)
	}
	return c, nil
}

func (f field) parse(text string) (uint64, bool) {
	var set uint64
	for _, item := range strings.Split(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(stepText)
			if err != nil || n < 1 {
				return 0, false
			}
			step = n
		}
		from, to := f.min, f.max
		if span != "*" {
			lo, hi, ranged := strings.Cut(span, "-")
			var ok bool
			if from, ok = f.value(lo); !ok {
				return 0, false
			}
			switch {
			case ranged:
				if to, ok = f.value(hi); !ok || to < from {
					return 0, false
				}
			case !stepped:
				to = from
			}
		}
		for v := from; v <= to; v += step {
			set |= 1 << v
		}
	}
	return set, true
}

func (f field) value(text string) (int, bool) {
	for i, name := range f.names {
		if text == name {
			return f.min + i, true
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= f.min && n <= f.max
}

// Next returns the first moment after t, in t's time zone; zero if there is none for years. A moment that a change of the clock
// leaves out comes when the clock has been changed; one that it repeats comes once.
func (c Cron) Next(t time.Time) time.Time {
	loc := t.Location()
	date := time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, loc)
	for range horizon {
		if c.names(date) {
			if at, ok := c.onDay(date, t); ok {
				return at
			}
		}
		date = date.AddDate(0, 0, 1)
	}
	return time.Time{}
}

// Last returns the newest moment that is after since and not after t, in t's time zone; zero if there is none. Its work grows with
// the days between them, and not with the moments.
func (c Cron) Last(t, since time.Time) time.Time {
	date := time.Date(t.Year(), t.Month(), t.Day()+1, 12, 0, 0, 0, t.Location()) // a change of the clock may bring one from the next day
	for first := since.AddDate(0, 0, -1); date.After(first); date = date.AddDate(0, 0, -1) {
		if !c.names(date) {
			continue
		}
		if at := c.lastOnDay(date, t); at.After(since) {
			return at
		}
	}
	return time.Time{}
}

// lastOnDay returns the last moment on the day of date that is not after t; zero if there is none.
func (c Cron) lastOnDay(date, t time.Time) time.Time {
	var out time.Time
	found := 0
	for h := 23; h >= 0; h-- {
		if !out.IsZero() && h < found-2 { // no clock is changed by more than that
			break
		}
		if c.hour&(1<<h) == 0 {
			continue
		}
		for m := range 60 {
			if c.minute&(1<<m) == 0 {
				continue
			}
			if at := time.Date(date.Year(), date.Month(), date.Day(), h, m, 0, 0, date.Location()); !at.After(t) && at.After(out) {
				out, found = at, max(found, h)
			}
		}
	}
	return out
}

// onDay returns the first moment on the day of date that is after t.
func (c Cron) onDay(date, t time.Time) (time.Time, bool) {
	for h := range 24 {
		if c.hour&(1<<h) == 0 {
			continue
		}
		for m := range 60 {
			if c.minute&(1<<m) == 0 {
				continue
			}
			if at := time.Date(date.Year(), date.Month(), date.Day(), h, m, 0, 0, date.Location()); at.After(t) {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

func (c Cron) names(date time.Time) bool {
	if c.month&(1<<date.Month()) == 0 {
		return false
	}
	day, weekday := c.day&(1<<date.Day()) != 0, c.weekday&(1<<date.Weekday()) != 0
	if c.anyDay || c.anyWeekday {
		return day && weekday
	}
	return day || weekday
}
