package monitoring

// Dashboards returns every dashboard.
func Dashboards() []Dashboard {
	return []Dashboard{Fleet(), API(), Gateway(), Scheduler(), Agent(), Stores()}
}

// Fleet is the page to look at first: do changes reach the clusters, and how fast.
func Fleet() Dashboard {
	return Dashboard{UID: "brokkr-fleet", Title: "Brokkr / Fleet", About: "Do changes reach the clusters, and how fast.", Rows: []Row{
		{"At a glance", []Panel{
			{Title: "Clusters", Kind: Number, Unit: "short", Queries: []Query{{`max(brokkr_scheduler_snapshot_size{kind="clusters", $i})`, ""}}},
			{Title: "Stacks", Kind: Number, Unit: "short", Queries: []Query{{`max(brokkr_scheduler_snapshot_size{kind="stacks", $i})`, ""}}},
			{Title: "Assignments", Kind: Number, Unit: "short", Queries: []Query{{`max(brokkr_scheduler_snapshot_size{kind="assignments", $i})`, ""}}},
			{Title: "Agents that wait at a gateway", Kind: Number, Unit: "short", About: "Parked syncs: agents that hear of a change at once.", Queries: []Query{{"sum(brokkr_gateway_parked_syncs{$i})", ""}}},
			{Title: "Stacks held for approval", Kind: Number, Unit: "short", About: "Removals that a brake has stopped.", Queries: []Query{{"sum(brokkr_scheduler_held_stacks{$i})", ""}}},
			{Title: "Open rollouts", Kind: Number, Unit: "short", Queries: []Query{{"sum(brokkr_rollout_open{$i})", ""}}},
			{Title: "Clusters that policies lack", Kind: Number, Unit: "short", About: "Policies that want more clusters than fit.", Queries: []Query{{"sum(brokkr_scheduler_unmet_clusters{$i})", ""}}},
			{Title: "Duplicate agents", Kind: Number, Unit: "short", About: "Syncs of the last hour that showed two processes with one identity.", Queries: []Query{{"sum(increase(brokkr_gateway_duplicate_agents_total{$i}[1h]))", ""}}},
		}},
		{"The way of a change", []Panel{
			quantiles("Publish to decision", "From publishing an object to the commit of the decision that it caused.", "brokkr_scheduler_publish_to_decision_seconds"),
			quantiles("Assigned to applied", "From an assignment to the agent's report that it is applied; agents that are away count.", "brokkr_gateway_assigned_to_applied_seconds"),
			rates("Reports of agents", "Applied, failed and removed stacks, and reports that came twice.", "brokkr_gateway_reports_total", "kind"),
		}},
		{"What agents do", []Panel{
			sums("Stacks by state", "Needs metrics of the agents.", "brokkr_agent_stacks", "state"),
			rates("Drift", "Objects that were found changed, by what was done about it.", "brokkr_agent_drift_total", "outcome"),
			{Title: "Clusters whose API server answers", Unit: "short", Queries: []Query{{"sum(brokkr_agent_kubernetes_up{$i})", "up"}, {"count(brokkr_agent_kubernetes_up{$i})", "all"}}},
		}},
	}}
}

// API is about the admin API.
func API() Dashboard {
	return Dashboard{UID: "brokkr-api", Title: "Brokkr / API", About: "Requests, errors and duration by operation; webhooks; audit.", Rows: []Row{
		{"Requests", []Panel{
			{Title: "Requests", Unit: "ops", Queries: []Query{{`sum by (outcome) (rate(brokkr_operation_duration_seconds_count{service="brokkr-api", $i}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Share of errors", About: "Internal and unavailable; what callers do wrong does not count.", Unit: "percentunit",
				Queries: []Query{{"brokkr:api_errors:ratio_rate5m", "5 min"}, {"brokkr:api_errors:ratio_rate1h", "1 h"}}},
			{Title: "Duration, p99 by operation", Unit: "s", Exemplars: true,
				Queries: []Query{{`topk(10, histogram_quantile(0.99, sum by (le, operation) (rate(brokkr_operation_duration_seconds_bucket{service="brokkr-api", $i}[$__rate_interval]))))`, "{{operation}}"}}},
			{Title: "Duration", Kind: Heatmap, Unit: "s", Exemplars: true,
				Queries: []Query{{`sum by (le) (increase(brokkr_operation_duration_seconds_bucket{service="brokkr-api", $i}[$__rate_interval]))`, "{{le}}"}}},
		}},
		{"Callers", []Panel{
			rates("Failed authentications", "", "brokkr_auth_failures_total", "reason"),
			rates("Idempotency keys", "", "brokkr_idempotency_keys_total", "outcome"),
			rates("Requests beyond a rate", "Of agents too; by whether the source or the credential had asked too often.", "brokkr_rate_limited_total", "by"),
		}},
		{"Plans", []Panel{
			rates("Plans, previews and differences", "By how they got their turn; refused ones were answered 429.", "brokkr_plans_total", "outcome"),
			{Title: "At work", Unit: "short", Queries: []Query{{"sum(brokkr_plans_running{$i})", "running"}, {"sum(brokkr_plans_waiting{$i})", "waiting"}}},
		}},
		{"Webhooks", []Panel{
			rates("Deliveries queued for events", "", "brokkr_webhook_queued_total", ""),
			rates("Attempts", "", "brokkr_webhook_attempts_total", "outcome"),
			rates("Deliveries after an attempt", "", "brokkr_webhook_settled_total", "status"),
			quantiles("How long receivers take", "", "brokkr_webhook_attempt_seconds"),
			{Title: "Attempts that run", Unit: "short", Queries: []Query{{"sum(brokkr_webhook_in_flight{$i})", "in flight"}}},
		}},
		{"Audit", []Panel{rates("Sealed entries", "Entries that were linked into the hash chains.", "brokkr_audit_sealed_total", "")}},
		process("brokkr-api"),
	}}
}

// Gateway is about the agents' edge.
func Gateway() Dashboard {
	return Dashboard{UID: "brokkr-gateway", Title: "Brokkr / Gateway", About: "Syncs, signals, reports and telemetry of agents.", Rows: []Row{
		{"Syncs", []Panel{
			rates("Answered syncs", "", "brokkr_gateway_syncs_total", "outcome"),
			{Title: "Agents", About: "Parked syncs are agents that wait for a change; those that were here in the last minutes may be at another gateway by now.", Unit: "short",
				Queries: []Query{{"sum(brokkr_gateway_parked_syncs{$i})", "parked"}, {"sum(brokkr_gateway_known_agents{$i})", "here in the last minutes"}}},
			quantiles("Waking to answer", "From waking a sync to its changed answer.", "brokkr_gateway_delivery_seconds"),
		}},
		{"Signals", []Panel{
			{Title: "Signals healthy", About: "1 for each gateway to which probe signals come back; 0 costs latency only.", Unit: "short", Queries: []Query{{"brokkr_gateway_signals_healthy{$i}", "{{instance}}"}}},
			quantiles("Signal lag", "", "brokkr_gateway_signal_lag_seconds"),
			{Title: "Lost and missed", Unit: "ops", Queries: []Query{{"sum(rate(brokkr_gateway_signal_losses_total{$i}[$__rate_interval]))", "losses"}, {"sum(rate(brokkr_gateway_signals_missed_total{$i}[$__rate_interval]))", "found by asking"}}},
		}},
		{"Caches", []Panel{
			rates("Target states", "", "brokkr_gateway_target_cache_total", "result"),
			rates("Manifests", "", "brokkr_gateway_blob_cache_total", "result"),
			rates("Target states with contents", "What published agents ask for, by how each got its turn.", "brokkr_gateway_target_states_total", "outcome"),
			rates("Comparisons of all parked syncs with the store", "", "brokkr_gateway_sweeps_total", "outcome"),
		}},
		{"From agents", []Panel{
			rates("Reports", "", "brokkr_gateway_reports_total", "kind"),
			{Title: "Heartbeats", Unit: "ops", Queries: []Query{{"sum(rate(brokkr_gateway_heartbeats_flushed_total{$i}[$__rate_interval]))", "stored"}, {"sum(brokkr_gateway_heartbeats_pending{$i})", "waiting (count)"}}},
			rates("Telemetry", "Kubernetes events, log lines and gaps.", "brokkr_gateway_telemetry_total", "outcome"),
			{Title: "Telemetry that waits to be stored", Unit: "bytes", Queries: []Query{{"sum by (instance) (brokkr_gateway_telemetry_waiting_bytes{$i})", "{{instance}}"}}},
		}},
		{"Live channels", []Panel{
			{Title: "Connections", Unit: "short", Queries: []Query{{"sum(brokkr_gateway_agent_sockets{$i})", "agents"}, {"sum(brokkr_gateway_live_subscribers{$i})", "who watch"}}},
			rates("Frames", "", "brokkr_gateway_frames_total", "outcome"),
			rates("Frames lost to slow readers", "", "brokkr_gateway_live_dropped_total", ""),
		}},
		process("brokkr-gateway"),
	}}
}

// Scheduler is about decisions.
func Scheduler() Dashboard {
	return Dashboard{UID: "brokkr-scheduler", Title: "Brokkr / Scheduler", About: "Decisions: how many, how fast, and what waits; rollouts and drains.", Rows: []Row{
		{"Decisions", []Panel{
			rates("Decisions", "", "brokkr_scheduler_decisions_total", "outcome"),
			quantiles("Deciding, in process", "", "brokkr_scheduler_decide_seconds"),
			quantiles("Commit", "", "brokkr_scheduler_commit_seconds"),
		}},
		{"What waits", []Panel{
			sums("Stacks that wait for a decision", "", "brokkr_scheduler_dirty_stacks", ""),
			rates("Commits that lost a race", "", "brokkr_scheduler_commit_conflicts_total", ""),
			quantiles("Publish to decision", "", "brokkr_scheduler_publish_to_decision_seconds"),
		}},
		{"Rollouts", []Panel{
			sums("Open rollouts", "By phase.", "brokkr_rollout_open", "phase"),
			sums("Clusters of open rollouts", "By how far they are.", "brokkr_rollout_clusters", "state"),
			{Title: "Waiting since", About: "How long the rollout that has waited longest waits, by what it waits for.", Unit: "s",
				Queries: []Query{{"time() - (min by (kind) (brokkr_rollout_blocked_since_timestamp_seconds{$i} > 0))", "{{kind}}"}}},
			rates("Phases come to", "By themselves; completed, failed, paused and rolled_back tell how rollouts end.", "brokkr_rollout_transitions_total", "to"),
			{Title: "Failures and rollbacks", Kind: Number, Unit: "short", About: "In the last day: rollouts that failed, were paused by failures, or were rolled back.",
				Queries: []Query{{`sum by (to) (increase(brokkr_rollout_transitions_total{to=~"failed|paused|rolled_back", $i}[1d]))`, "{{to}}"}}},
			quantiles("Duration of a wave", "From its beginning to that of the next one, or to the end.", "brokkr_rollout_wave_seconds"),
		}},
		{"Demand, brakes and drains", []Panel{
			{Title: "Demand that is not met", Unit: "short", Queries: []Query{{"sum(brokkr_scheduler_unmet_stacks{$i})", "stacks"}, {"sum(brokkr_scheduler_unmet_clusters{$i})", "clusters that they lack"}}},
			sums("Stacks held for approval", "Removals that a brake has stopped.", "brokkr_scheduler_held_stacks", ""),
			{Title: "Drains", Unit: "short", Queries: []Query{{"sum(brokkr_drain_clusters{$i})", "clusters"}, {"sum by (state) (brokkr_drain_stacks{$i})", "stacks, {{state}}"}}},
			rates("Stacks released by drains", "", "brokkr_drain_released_total", ""),
			sums("Clusters whose override cannot be applied", "They keep what they have; the explanation of the stack says what is wrong.", "brokkr_scheduler_blocked_clusters", ""),
			{Title: "Unreachable agents", Unit: "short", Queries: []Query{{"sum(brokkr_scheduler_unreachable_agents{$i})", "unreachable"}, {"max(brokkr_scheduler_agents_outage{$i})", "doubted (1: yes)"}}},
			rates("Agents that fall silent or are heard again", "", "brokkr_scheduler_agent_transitions_total", "to"),
		}},
		{"Shards and rounds", []Panel{
			{Title: "Shards held", About: "Each is held by one replica.", Unit: "short", Queries: []Query{{"sum by (instance) (brokkr_scheduler_shards_held{$i})", "{{instance}}"}}},
			rates("Rounds", "", "brokkr_scheduler_rounds_total", "outcome"),
			{Title: "Snapshot", Unit: "short", Queries: []Query{{"max by (kind) (brokkr_scheduler_snapshot_size{$i})", "{{kind}}"}}},
		}},
		{"Signals", []Panel{rates("Signals to gateways", "", "brokkr_scheduler_signals_total", "outcome")}},
		process("brokkr-scheduler"),
	}}
}

// Agent is about the agents of clusters that are scraped.
func Agent() Dashboard {
	return Dashboard{UID: "brokkr-agent", Title: "Brokkr / Agents", About: "What agents do in clusters whose metrics are collected.", Rows: []Row{
		{"Work", []Panel{
			sums("Stacks by state", "", "brokkr_agent_stacks", "state"),
			{Title: "Passes", Unit: "ops", Queries: []Query{{"sum by (kind, outcome) (rate(brokkr_agent_passes_total{$i}[$__rate_interval]))", "{{kind}} {{outcome}}"}}},
			quantiles("Duration of a pass", "", "brokkr_agent_pass_seconds"),
		}},
		{"Objects", []Panel{
			rates("Writes", "Objects written to clusters, by what was done.", "brokkr_agent_writes_total", "action"),
			rates("Drift", "", "brokkr_agent_drift_total", "outcome"),
		}},
		{"With the broker", []Panel{
			rates("Syncs", "", "brokkr_agent_syncs_total", "outcome"),
			rates("Kubernetes events", "", "brokkr_agent_events_total", "outcome"),
			rates("Lines of pods' logs", "", "brokkr_agent_log_lines_total", "outcome"),
			rates("Webhooks that agents deliver", "", "brokkr_agent_webhooks_total", "class"),
		}},
		{"State", []Panel{
			{Title: "API server answers", Unit: "short", Queries: []Query{{"brokkr_agent_kubernetes_up{$i}", "{{instance}}"}}},
			{Title: "Acts", About: "1 while the process holds the agent's lease; two replicas of one agent have one that acts.", Unit: "short", Queries: []Query{{"brokkr_agent_acting{$i}", "{{instance}}"}}},
		}},
		process("brokkr-agent"),
	}}
}

// Stores is about PostgreSQL and Redis as our processes see them.
func Stores() Dashboard {
	return Dashboard{UID: "brokkr-stores", Title: "Brokkr / PostgreSQL and Redis", About: "The two servers as the processes see them.", Rows: []Row{
		{"PostgreSQL: calls", []Panel{
			{Title: "Calls", Unit: "ops", Queries: []Query{{"sum by (role) (rate(brokkr_store_duration_seconds_count{$i}[$__rate_interval]))", "{{role}}"}}},
			{Title: "Calls that failed", About: "By the kind of fault; not_found and conflict are everyday.", Unit: "ops", Queries: []Query{{`sum by (outcome) (rate(brokkr_store_duration_seconds_count{outcome!="ok", $i}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "The slowest methods, p99", Exemplars: true, Unit: "s", Queries: []Query{{"topk(10, histogram_quantile(0.99, sum by (le, role, method) (rate(brokkr_store_duration_seconds_bucket{$i}[$__rate_interval]))))", "{{role}}.{{method}}"}}},
			{Title: "Where the time goes", About: "Seconds a second that are spent in a method.", Unit: "short", Queries: []Query{{"topk(10, sum by (role, method) (rate(brokkr_store_duration_seconds_sum{$i}[$__rate_interval])))", "{{role}}.{{method}}"}}},
		}},
		{"PostgreSQL: connections", []Panel{
			{Title: "Connections", Unit: "short", Queries: []Query{{"sum by (instance, state) (brokkr_database_connections{$i})", "{{instance}} {{state}}"}}},
			{Title: "Share of connections in use", Unit: "percentunit", Queries: []Query{{`brokkr_database_connections{state="in_use", $i} / ignoring (state) brokkr_database_connections_max{$i}`, "{{instance}}"}}},
			{Title: "Waiting for a connection", About: "Seconds a second, over all calls.", Unit: "short", Queries: []Query{{"rate(brokkr_database_connection_wait_seconds_total{$i}[$__rate_interval])", "{{instance}}"}}},
			rates("Calls that had to wait", "", "brokkr_database_connection_waits_total", "instance"),
		}},
		{"Redis", []Panel{
			{Title: "Connections", Unit: "short", Queries: []Query{{"sum by (instance, state) (brokkr_redis_connections{$i})", "{{instance}} {{state}}"}}},
			{Title: "Share of connections in use", Unit: "percentunit", Queries: []Query{{`brokkr_redis_connections{state="in_use", $i} / ignoring (state) brokkr_redis_connections_max{$i}`, "{{instance}}"}}},
			{Title: "Waiting for a connection", About: "Seconds a second, over all calls.", Unit: "short", Queries: []Query{{"rate(brokkr_redis_connection_wait_seconds_total{$i}[$__rate_interval])", "{{instance}}"}, {"rate(brokkr_redis_connection_waits_total{$i}[$__rate_interval])", "{{instance}} (calls)"}}},
		}},
	}}
}
