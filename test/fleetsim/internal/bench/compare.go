package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Read returns the report that Write has stored in a file.
func Read(file string) (Report, error) {
	var r Report
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return Report{}, fmt.Errorf("read the report %s: %w", file, err)
	}
	return r, nil
}

// Compare writes, as a table in Markdown, how the rows of two reports differ, such as those of an amd64 and of an arm64 machine. Rows that one of
// them does not have, or that were measured with another size or seed, are named and not compared; it is an error if none is left.
func Compare(w io.Writer, a, b Report) error {
	var table, left []string
	machines := [2][]string{}
	for _, x := range a.Results {
		y, ok := b.row(x.Row)
		switch {
		case !ok:
			left = append(left, fmt.Sprintf("row %s: only the first has it", x.Row))
			continue
		case x.Scale != y.Scale || x.Seed != y.Seed || x.What != y.What || x.Unit != y.Unit:
			left = append(left, fmt.Sprintf("row %s: the first measured %s (%s, seed %d), the second %s (%s, seed %d)", x.Row, x.What, x.Scale, x.Seed, y.What, y.Scale, y.Seed))
			continue
		case x.Value <= 0 || y.Value <= 0:
			left = append(left, fmt.Sprintf("row %s: one of them has no value", x.Row))
			continue
		}
		for n, r := range []Result{x, y} {
			if m := r.Run.machine(); len(machines[n]) == 0 || machines[n][len(machines[n])-1] != m {
				machines[n] = append(machines[n], m)
			}
		}
		verdict := "slower"
		if faster := y.Value > x.Value; faster == x.Floor {
			verdict = "faster"
		}
		if y.Value == x.Value {
			verdict = "the same"
		}
		table = append(table, fmt.Sprintf("| %s | %s | %s | %s | %s | x %.3g, %s | %s / %s | %s / %s | %s / %s |", x.Row, x.What, x.Scale, number(x.Value)+" "+x.Unit, number(y.Value)+" "+y.Unit,
			y.Value/x.Value, verdict, p99(x), p99(y), number(total(x.CPU, "")), number(total(y.CPU, "")), number(total(x.Peak, "fleetsim")), number(total(y.Peak, "fleetsim"))))
	}
	for _, y := range b.Results {
		if _, ok := a.row(y.Row); !ok {
			left = append(left, fmt.Sprintf("row %s: only the second has it", y.Row))
		}
	}
	if len(table) == 0 {
		return errors.New("the two reports have no row in common: " + strings.Join(append(left, "measure both with the same ROWS, SCALE and SEED"), "; "))
	}
	fmt.Fprintf(w, "first: %s\nsecond: %s\n\n", strings.Join(machines[0], "; "), strings.Join(machines[1], "; "))
	fmt.Fprintln(w, "| row | what | size | first | second | second against first | p99, ms | CPU, s | broker's peak RSS, MiB |\n|---|---|---|---|---|---|---|---|---|")
	fmt.Fprintln(w, strings.Join(table, "\n"))
	for _, l := range left {
		fmt.Fprintf(w, "\nnot compared: %s", l)
	}
	if len(left) > 0 {
		fmt.Fprintln(w)
	}
	return nil
}

func (r Report) row(name string) (Result, bool) {
	for _, x := range r.Results {
		if x.Row == name {
			return x, true
		}
	}
	return Result{}, false
}

// machine is what a run was measured on, and how busy that was.
func (s Start) machine() string {
	return fmt.Sprintf("%s, %d cores, load average %s at %s", s.Go, s.Cores, s.minutes(), s.At.Format("2006-01-02 15:04 MST"))
}

func total(of map[string]float64, without string) float64 {
	sum := 0.0
	for name, v := range of {
		if name != without {
			sum += v
		}
	}
	return sum
}

func p99(r Result) string {
	if r.Times == nil {
		return "-"
	}
	return number(r.Times.P99)
}
