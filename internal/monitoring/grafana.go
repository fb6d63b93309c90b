// Package monitoring makes what deploy/grafana and deploy/prometheus hold from a few lines each: dashboards that look alike,
// rules and alerts whose windows are the same everywhere. A test holds every query against the metrics that the code has.
package monitoring

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Dashboard is a page of panels.
type Dashboard struct {
	UID, Title, About string
	Rows              []Row
}

// Row is a titled group of panels, each a third of the width, or half of it if there are two or four.
type Row struct {
	Title  string
	Panels []Panel
}

// Kind of a panel.
type Kind string

// The kinds.
const (
	Graph   Kind = "timeseries"
	Number  Kind = "stat"
	Heatmap Kind = "heatmap"
)

// Panel shows queries. In a query $i stands for the matchers of the dashboard's variables.
type Panel struct {
	Title, About string
	Kind         Kind   // Graph if empty
	Unit         string // of Grafana: s, ops, short, bytes, percentunit
	Queries      []Query
	Exemplars    bool
}

// Query is PromQL with the legend of its series.
type Query struct{ Expr, Legend string }

const matchers = `instance=~"$instance"`

// expand puts the matchers where a query has $i.
func expand(expr string) string { return strings.ReplaceAll(expr, "$i", matchers) }

// JSON returns the dashboard as Grafana imports it.
func (d Dashboard) JSON() ([]byte, error) {
	var panels []any
	id, y := 0, 0
	for _, r := range d.Rows {
		id++
		panels = append(panels, map[string]any{"id": id, "type": "row", "title": r.Title, "collapsed": false, "panels": []any{},
			"gridPos": place(24, 1, 0, y)})
		y++
		columns := 3
		if len(r.Panels) == 2 || len(r.Panels) == 4 {
			columns = 2
		}
		const height = 8
		for i, p := range r.Panels {
			id++
			panels = append(panels, p.json(id, place(24/columns, height, i%columns*(24/columns), y+i/columns*height)))
		}
		y += (len(r.Panels) + columns - 1) / columns * height
	}
	out, err := json.MarshalIndent(map[string]any{
		"uid": d.UID, "title": d.Title, "description": d.About, "tags": []string{"brokkr"}, "schemaVersion": 39, "version": 1,
		"editable": true, "refresh": "30s", "time": map[string]string{"from": "now-3h", "to": "now"}, "timezone": "browser",
		"graphTooltip": 1, "panels": panels, "annotations": map[string]any{"list": []any{}}, "links": []any{map[string]any{
			"type": "dashboards", "title": "Brokkr", "tags": []string{"brokkr"}, "asDropdown": true, "includeVars": true, "keepTime": true}},
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
			map[string]any{"name": "instance", "type": "query", "label": "Instance", "datasource": source(), "refresh": 2, "multi": true, "includeAll": true,
				"allValue": ".*", "sort": 1, "query": map[string]string{"query": "label_values(brokkr_build_info, instance)", "refId": "instance"}},
		}},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode dashboard %s: %w", d.UID, err)
	}
	return append(out, '\n'), nil
}

func (p Panel) json(id int, pos any) any {
	kind := p.Kind
	if kind == "" {
		kind = Graph
	}
	targets := make([]any, 0, len(p.Queries))
	for i, q := range p.Queries {
		t := map[string]any{"refId": string(rune('A' + i)), "expr": expand(q.Expr), "legendFormat": q.Legend, "datasource": source(), "exemplar": p.Exemplars}
		if kind == Heatmap {
			t["format"] = "heatmap"
		}
		targets = append(targets, t)
	}
	return map[string]any{"id": id, "type": kind, "title": p.Title, "description": p.About, "gridPos": pos, "datasource": source(), "targets": targets,
		"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.Unit, "min": 0}, "overrides": []any{}}, "options": options(kind)}
}

func options(k Kind) any {
	switch k {
	case Number:
		return map[string]any{"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}}, "colorMode": "value"}
	case Heatmap:
		return map[string]any{"calculate": false, "yAxis": map[string]any{"unit": "s"}, "exemplars": map[string]any{"color": "orange"}}
	case Graph:
	}
	return map[string]any{"legend": map[string]any{"displayMode": "table", "placement": "bottom", "calcs": []string{"lastNotNull", "max"}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"}}
}

func source() any { return map[string]string{"type": "prometheus", "uid": "${datasource}"} }

func place(w, h, x, y int) any { return map[string]int{"w": w, "h": h, "x": x, "y": y} }

// Traced are the histograms that tell which sampled trace was counted, as exemplars.
func Traced() []string {
	return []string{
		"brokkr_gateway_assigned_to_applied_seconds", "brokkr_gateway_delivery_seconds", "brokkr_operation_duration_seconds",
		"brokkr_scheduler_commit_seconds", "brokkr_scheduler_publish_to_decision_seconds", "brokkr_store_duration_seconds",
	}
}

// quantiles is a panel of the 50th, 90th and 99th percentile of a histogram, with exemplars if it has any.
func quantiles(title, about, histogram string) Panel {
	p := Panel{Title: title, About: about, Unit: "s", Exemplars: slices.Contains(Traced(), histogram)}
	for _, q := range []struct{ share, legend string }{{"0.5", "p50"}, {"0.9", "p90"}, {"0.99", "p99"}} {
		p.Queries = append(p.Queries, Query{fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket{$i}[$__rate_interval])))", q.share, histogram), q.legend})
	}
	return p
}

// rates is a panel of a counter's rate by a label, or of its whole if the label is empty.
func rates(title, about, counter, label string) Panel {
	if label == "" {
		return Panel{Title: title, About: about, Unit: "ops", Queries: []Query{{fmt.Sprintf("sum(rate(%s{$i}[$__rate_interval]))", counter), "all"}}}
	}
	return Panel{Title: title, About: about, Unit: "ops", Queries: []Query{{fmt.Sprintf("sum by (%s) (rate(%s{$i}[$__rate_interval]))", label, counter), "{{" + label + "}}"}}}
}

// sums is a panel of a gauge over all instances, by a label if there is one.
func sums(title, about, gauge, label string) Panel {
	if label == "" {
		return Panel{Title: title, About: about, Unit: "short", Queries: []Query{{fmt.Sprintf("sum(%s{$i})", gauge), "all"}}}
	}
	return Panel{Title: title, About: about, Unit: "short", Queries: []Query{{fmt.Sprintf("sum by (%s) (%s{$i})", label, gauge), "{{" + label + "}}"}}}
}

// process is the row of what every process of ours has. The all-in-one broker is shown with each service that it runs.
func process(service string) Row {
	of := func(expr string) string {
		return expr + ` * on (instance) group_left () brokkr_build_info{service=~"` + service + `|brokkr-broker"}`
	}
	return Row{"Process", []Panel{
		{Title: "CPU", Unit: "percentunit", Queries: []Query{{of("rate(process_cpu_seconds_total{$i}[$__rate_interval])"), "{{instance}}"}}},
		{Title: "Resident memory", Unit: "bytes", Queries: []Query{{of("process_resident_memory_bytes{$i}"), "{{instance}}"}}},
		{Title: "Goroutines", Unit: "short", Queries: []Query{{of("go_goroutines{$i}"), "{{instance}}"}}},
		{Title: "Reloads of the configuration", About: "In the last hour; a failed one leaves what was.", Unit: "short",
			Queries: []Query{{"sum by (instance, result) (increase(brokkr_config_reloads_total{$i}[1h]))", "{{instance}} {{result}}"}}},
		{Title: "Certificates end in", Unit: "s", Queries: []Query{{"brokkr_tls_certificate_ends_timestamp_seconds{$i} - time()", "{{instance}} {{listener}}"}}},
	}}
}
