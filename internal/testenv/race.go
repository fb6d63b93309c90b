//go:build race

package testenv

// raceEnabled says that the tests run with the race detector, so what they build should, too.
const raceEnabled = true
