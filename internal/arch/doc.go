// Package arch checks which package may import which: the table in rules.go against what `go list` says.
// It is a test's subject and links into nothing.
package arch
