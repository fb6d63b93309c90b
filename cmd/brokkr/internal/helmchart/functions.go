package helmchart

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// world is what templates see of clock and chance. A chart is rendered in two worlds: what differs is no function of the chart and
// its values. Nothing of a world is ever published, for what shows any of it is refused, so a password here may be all one letter.
type world struct {
	now    time.Time
	letter string
	digit  string
	last   bool // whether chance always picks the last
}

func worlds() []world {
	return []world{
		{now: time.Date(2001, time.February, 3, 4, 5, 6, 7, time.UTC), letter: "a", digit: "1"},
		{now: time.Date(2032, time.November, 20, 17, 38, 49, 50, time.UTC), letter: "b", digit: "2", last: true},
	}
}

// functions replaces what of the template language depends on the clock, the time zone of this machine, chance, or the order of maps.
// Keys and certificates are made as always: no two are alike.
func (w world) functions() template.FuncMap {
	inZone, _ := sprig.TxtFuncMap()["dateInZone"].(func(string, any, string) string)
	format := func(layout string, date any, zone string) string { return inZone(layout, w.date(date), zone) }
	return template.FuncMap{
		"now":            func() time.Time { return w.now },
		"ago":            func(date any) string { return w.since(date).Round(time.Second).String() },
		"durationRound":  w.durationRound,
		"date":           func(layout string, date any) string { return format(layout, date, "UTC") },
		"dateInZone":     format,
		"date_in_zone":   format,
		"htmlDate":       func(date any) string { return format(time.DateOnly, date, "UTC") },
		"htmlDateInZone": func(date any, zone string) string { return format(time.DateOnly, date, zone) },
		"toDate":         func(layout, s string) time.Time { t, _ := time.Parse(layout, s); return t },
		"mustToDate":     time.Parse,

		"randAlphaNum": w.word,
		"randAlpha":    w.word,
		"randAscii":    w.word,
		"randNumeric":  func(n int) string { return strings.Repeat(w.digit, max(n, 0)) },
		"randBytes":    func(n int) string { return base64.StdEncoding.EncodeToString([]byte(w.word(n))) },
		"randInt":      w.pick,
		"shuffle":      w.shuffle,

		"keys":   sortedKeys,
		"values": sortedValues,
	}
}

func (w world) word(n int) string { return strings.Repeat(w.letter, max(n, 0)) }

func (w world) pick(from, to int) int {
	if w.last {
		return max(from, to-1)
	}
	return from
}

func (w world) shuffle(s string) string {
	runes := []rune(s)
	slices.Sort(runes)
	if w.last {
		slices.Reverse(runes)
	}
	return string(runes)
}

// date turns what is no date into now, as the template language does.
func (w world) date(d any) any {
	switch d.(type) {
	case time.Time, *time.Time, int64, int, int32:
		return d
	default:
		return w.now
	}
}

func (w world) since(date any) time.Duration {
	switch d := w.date(date).(type) {
	case time.Time:
		return w.now.Sub(d)
	case int64:
		return w.now.Sub(time.Unix(d, 0))
	case int:
		return w.now.Sub(time.Unix(int64(d), 0))
	default:
		return 0
	}
}

// durationRound is the language's own but for times, which it compares with the clock.
func (w world) durationRound(d any) string {
	round, _ := sprig.TxtFuncMap()["durationRound"].(func(any) string)
	if t, ok := d.(time.Time); ok {
		return round(int64(w.now.Sub(t)))
	}
	return round(d)
}

func sortedKeys(dicts ...map[string]any) []string {
	out := []string{}
	for _, d := range dicts {
		out = append(out, slices.Sorted(maps.Keys(d))...)
	}
	return out
}

func sortedValues(dict map[string]any) []any {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(dict)) {
		out = append(out, dict[k])
	}
	return out
}
