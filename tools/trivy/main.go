// trivy holds Kubernetes manifests and Dockerfiles to the checks that come with Trivy, without a network. What is high or critical fails, what
// is medium is a warning, what is low is counted. A finding that is meant to be is named in a file, with the reason:
//
//	trivy -accept FILE [-github] DIR...
//
// A line of FILE is: check, file or *, and why. One that nothing needs any more fails too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy/pkg/iac/rego"
	"github.com/aquasecurity/trivy/pkg/iac/scan"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/dockerfile"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/kubernetes"
	"github.com/aquasecurity/trivy/pkg/iac/severity"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trivy:", err)
		os.Exit(1)
	}
}

// accepted is a finding that is meant to be.
type accepted struct {
	check, file, why string
	used             bool
}

func read(file string) ([]*accepted, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []*accepted
	for n, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 4 {
			return nil, fmt.Errorf("%s:%d: want a check, a file or *, and why, got %q", file, n+1, line)
		}
		if _, err := path.Match(f[1], ""); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", file, n+1, f[1], err)
		}
		out = append(out, &accepted{check: f[0], file: f[1], why: strings.Join(f[2:], " ")})
	}
	return out, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("trivy", flag.ContinueOnError)
	accept := flags.String("accept", "", "file with the findings that are meant to be")
	github := flags.Bool("github", false, "tell findings as annotations of a workflow of GitHub")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("usage: trivy [-accept FILE] [-github] DIR...")
	}
	list, err := read(*accept)
	if err != nil {
		return err
	}
	count := map[severity.Severity]int{}
	checked := 0
	for _, dir := range flags.Args() {
		results, err := check(ctx, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if len(results) == 0 {
			return fmt.Errorf("%s has nothing that could be checked", dir)
		}
		checked += len(results)
		for _, r := range results {
			if r.Status() != scan.StatusFailed || meant(list, r) {
				continue
			}
			count[r.Severity()]++
			where := path.Join(dir, r.Range().GetFilename())
			switch {
			case r.Severity() == severity.Low:
			case *github:
				kind := "error"
				if r.Severity() == severity.Medium {
					kind = "warning"
				}
				fmt.Fprintf(out, "::%s file=%s,line=%d,title=%s::%s\n", kind, where, r.Range().GetStartLine(), r.Rule().ID, r.Description())
			default:
				fmt.Fprintf(out, "%s %s %s:%d: %s\n", r.Severity(), r.Rule().ID, where, r.Range().GetStartLine(), r.Description())
			}
		}
	}
	fmt.Fprintf(out, "%d checks: %d critical, %d high, %d medium, %d low, beside what is accepted\n", checked,
		count[severity.Critical], count[severity.High], count[severity.Medium], count[severity.Low])
	for _, a := range list {
		if !a.used {
			return fmt.Errorf("%s: %s %s is found nowhere: take the line out", *accept, a.check, a.file)
		}
	}
	if n := count[severity.Critical] + count[severity.High]; n > 0 {
		return fmt.Errorf("%d findings are high or critical: mend them, or say in %s why they are meant to be", n, *accept)
	}
	return nil
}

func meant(list []*accepted, r scan.Result) bool {
	found := false
	for _, a := range list {
		if ok, _ := path.Match(a.file, path.Base(r.Range().GetFilename())); ok && r.Rule().HasID(a.check) {
			a.used, found = true, true
		}
	}
	return found
}

// check is the order of Trivy's own results: by file, line and check.
func check(ctx context.Context, dir string) (scan.Results, error) {
	fsys := os.DirFS(dir)
	var results scan.Results
	manifests, err := kubernetes.NewScanner(rego.WithEmbeddedPolicies(true), rego.WithEmbeddedLibraries(true)).ScanFS(ctx, fsys, ".")
	if err != nil {
		return nil, err
	}
	files, err := dockerfile.NewScanner(rego.WithEmbeddedPolicies(true), rego.WithEmbeddedLibraries(true)).ScanFS(ctx, fsys, ".")
	if err != nil {
		return nil, err
	}
	results = append(manifests, files...)
	slices.SortStableFunc(results, func(a, b scan.Result) int {
		x, y := a.Range(), b.Range()
		if c := strings.Compare(x.GetFilename(), y.GetFilename()); c != 0 {
			return c
		}
		if x.GetStartLine() != y.GetStartLine() {
			return x.GetStartLine() - y.GetStartLine()
		}
		return strings.Compare(a.Rule().ID, b.Rule().ID)
	})
	return results, nil
}
