package monitoring

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Objective is a promise about a share of events: at least Target of them are good.
type Objective struct {
	Name   string  // in the names of recorded series: brokkr:<name>:ratio_rate5m
	Alert  string  // of the burn alerts
	Target float64 // above 0, below 1
	Says   string
	Bad    string // PromQL of the rate of bad events; WINDOW stands for the range
	All    string // and of all events
}

// Objectives are the promises that are watched.
func Objectives() []Objective {
	slow := func(histogram, le string) (bad, all string) {
		all = "sum(rate(" + histogram + "_count[WINDOW]))"
		return "(" + all + ` - sum(rate(` + histogram + `_bucket{le="` + le + `"}[WINDOW])))`, all
	}
	decisionBad, decisionAll := slow("brokkr_scheduler_publish_to_decision_seconds", "1.024")
	appliedBad, appliedAll := slow("brokkr_gateway_assigned_to_applied_seconds", "20.48")
	syncBad, syncAll := slow("brokkr_gateway_delivery_seconds", "0.256")
	return []Objective{
		{"api_errors", "BrokkrAPIErrors", 0.999, "99.9 % of API requests do not fail by our fault",
			`(sum(rate(brokkr_operation_duration_seconds_count{service="brokkr-api", outcome=~"internal|unavailable"}[WINDOW])) or vector(0))`,
			`sum(rate(brokkr_operation_duration_seconds_count{service="brokkr-api"}[WINDOW]))`},
		{"slow_decisions", "BrokkrDecisionsSlow", 0.99, "99 % of published objects are decided within 1.024 s", decisionBad, decisionAll},
		{"slow_applies", "BrokkrAppliesSlow", 0.95, "95 % of assignments are applied within 20.48 s", appliedBad, appliedAll},
		{"slow_syncs", "BrokkrSyncsSlow", 0.99, "99 % of woken syncs are answered within 0.256 s", syncBad, syncAll},
	}
}

// windows over which the share of bad events is recorded.
func windows() []string { return []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} }

// burn is one pair of windows of an alert on how fast the budget of 30 days goes: both must burn, so that it is neither a
// blip nor long over. The factors are those of the Google SRE workbook, chapter 5.
type burn struct {
	long, short string
	factor      float64
	severity    string
}

func burns() []burn {
	return []burn{{"1h", "5m", 14.4, "critical"}, {"6h", "30m", 6, "critical"}, {"1d", "2h", 3, "warning"}, {"3d", "6h", 1, "warning"}}
}

type ruleFile struct {
	Groups []ruleGroup `json:"groups"`
}

type ruleGroup struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Recording returns the recording rules as YAML.
func Recording() ([]byte, error) {
	var f ruleFile
	for _, o := range Objectives() {
		g := ruleGroup{Name: "brokkr-" + strings.ReplaceAll(o.Name, "_", "-")}
		for _, w := range windows() {
			g.Rules = append(g.Rules, rule{Record: recorded(o.Name, w), Expr: strings.ReplaceAll(o.Bad+" / "+o.All, "WINDOW", w)})
		}
		f.Groups = append(f.Groups, g)
	}
	return encode(f)
}

// Alerts returns the alert rules as YAML.
func Alerts() ([]byte, error) {
	slos, causes := ruleGroup{Name: "brokkr-objectives"}, ruleGroup{Name: "brokkr-causes"}
	for _, o := range Objectives() {
		for _, b := range burns() {
			limit := fmt.Sprintf("%.4g", b.factor*(1-o.Target))
			slos.Rules = append(slos.Rules, rule{
				Alert:  o.Alert,
				Expr:   fmt.Sprintf("%s > %s and %s > %s", recorded(o.Name, b.long), limit, recorded(o.Name, b.short), limit),
				Labels: map[string]string{"severity": b.severity, "window": b.long},
				Annotations: about(o.Alert, "Objective at risk: "+o.Says,
					fmt.Sprintf("{{ $value | humanizePercentage }} were bad in the last %s; at this rate the budget of 30 days is gone in %s.", b.long, gone(b.factor))),
			})
		}
	}
	for _, c := range Causes() {
		causes.Rules = append(causes.Rules, rule{Alert: c.Alert, Expr: c.Expr, For: c.For, Labels: map[string]string{"severity": c.Severity}, Annotations: about(c.Alert, c.Summary, c.Says)})
	}
	return encode(ruleFile{Groups: []ruleGroup{slos, causes}})
}

func gone(factor float64) string {
	days := 30 / factor
	if days < 3 {
		return fmt.Sprintf("%.0f hours", days*24)
	}
	return fmt.Sprintf("%.0f days", days)
}

// Runbooks is where every alert has a section of its own name.
const Runbooks = "https://github.com/colliery-io/brokkr/blob/main/docs/runbooks.md"

func about(alert, summary, description string) map[string]string {
	return map[string]string{"summary": summary, "description": description, "runbook_url": Runbooks + "#" + strings.ToLower(alert)}
}

func recorded(name, window string) string { return "brokkr:" + name + ":ratio_rate" + window }

func encode(f ruleFile) ([]byte, error) {
	out, err := yaml.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode rules: %w", err)
	}
	return append([]byte("# Made by `make monitoring` from internal/monitoring; do not edit.\n"), out...), nil
}
