//go:build !linux

package cel_test

import "time"

// used returns the time of day here.
func used() time.Duration { return time.Duration(time.Now().UnixNano()) }
