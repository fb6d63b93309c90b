//go:build race

package cel_test

// raced says whether the race detector runs.
const raced = true
