package render

import (
	"fmt"
	"time"
)

// None stands for what is not there.
const None = "-"

// Age says how long ago t was, in one or two units; None for nil.
func Age(now time.Time, t *time.Time) string {
	if t == nil || t.IsZero() {
		return None
	}
	return Duration(now.Sub(*t))
}

// Duration writes d roughly, as people say it. Negative ones (clocks differ) count as zero.
func Duration(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}
