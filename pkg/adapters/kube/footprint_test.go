package kube_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/colliery-io/brokkr/internal/testenv"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

// BenchmarkFootprint reports what is resident of a program with the adapter in it, in MiB: idle, and with watches on many
// objects. It measures memory, not time.
func BenchmarkFootprint(b *testing.B) {
	kubeconfig := testenv.Kubeconfigs(b, 1)[0]
	program := testenv.Build(b, "./pkg/adapters/kube/internal/footprint")
	for _, objects := range []int{100, 5000} {
		b.Run(fmt.Sprintf("objects=%d", objects), func(b *testing.B) {
			stack := uuid.NewString()
			fill(b, stack, objects)
			for b.Loop() {
				out, err := exec.CommandContext(b.Context(), program, "-kubeconfig", kubeconfig, "-stack", stack, "-objects", fmt.Sprint(objects)).Output()
				if err != nil {
					b.Fatalf("footprint: %v", err)
				}
				for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
					var phase string
					var rss, peak, kept float64
					if _, err := fmt.Sscan(lines.Text(), &phase, &rss, &peak, &kept); err != nil {
						b.Fatalf("footprint wrote %q: %v", lines.Text(), err)
					}
					b.ReportMetric(rss/1024, phase+"-MiB")
					b.ReportMetric(peak/1024, phase+"-peak-MiB")
					b.ReportMetric(kept/1024, phase+"-kept-MiB")
				}
			}
		})
	}
}

// fill makes ConfigMaps of 1 KB of a stack, in a namespace of their own.
func fill(b *testing.B, stack string, objects int) {
	b.Helper()
	w := newWorld(b)
	text := strings.Repeat("x", 1024)
	m := w.mapping(configMap)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range objects {
		g.Go(func() error {
			u := w.object(configMap, fmt.Sprintf("filling-%d", i), map[string]any{"data": map[string]any{"text": text}})
			u.SetLabels(map[string]string{cluster.LabelStack: stack})
			u.SetAnnotations(map[string]string{cluster.AnnotationStack: stack, cluster.AnnotationOwner: stack, cluster.AnnotationChecksum: strings.Repeat("0", 64)})
			_, err := w.c.Apply(b.Context(), "", m, u, false)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatalf("fill: %v", err)
	}
}
