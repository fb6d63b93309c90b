package policy

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// ParseQuantity reads an amount as Kubernetes writes it: 500m, 2, 1.5, 4Gi, 1e3.
func ParseQuantity(s string) (float64, bool) {
	units := []struct {
		suffix string
		factor float64
	}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"Pi", 1 << 50}, {"m", 1e-3}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}}
	factor := 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, factor = rest, u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || strings.ContainsAny(s, "xXpP_") {
		return 0, false
	}
	return n * factor, true
}

// ParseVersion reads 1.30, v1.30.2 or v1.31.0-rc.1 (a pre-release counts as its release); missing parts are zero.
func ParseVersion(s string) ([3]int, bool) {
	var out [3]int
	if !versionShape.MatchString(s) {
		return out, false
	}
	s = strings.TrimPrefix(s, "v")
	if cut := strings.IndexAny(s, "-+"); cut >= 0 {
		s = s[:cut]
	}
	for i, part := range strings.Split(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return out, false
		}
		out[i] = n
	}
	return out, true
}

var versionShape = regexp.MustCompile(`^v?\d{1,9}(\.\d{1,9}){0,2}([-+][0-9A-Za-z.+-]*)?$`) //nolint:gochecknoglobals // compiled once
