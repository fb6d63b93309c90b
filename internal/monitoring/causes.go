package monitoring

// Cause is an alert on what leads to broken promises, or what a person must decide.
type Cause struct{ Alert, Severity, For, Expr, Summary, Says string }

// Causes returns them, the gravest first.
func Causes() []Cause {
	return []Cause{
		{"BrokkrAPIDown", "critical", "5m", `absent(brokkr_build_info{service=~"brokkr-api|brokkr-broker"})`,
			"No API answers", "No process of the API has been scraped for five minutes. Nothing can be published."},
		{"BrokkrGatewayDown", "critical", "5m", `absent(brokkr_build_info{service=~"brokkr-gateway|brokkr-broker"})`,
			"No gateway answers", "No gateway has been scraped for five minutes. Agents keep what they have and hear of nothing new."},
		{"BrokkrSchedulerDown", "critical", "5m", `absent(brokkr_build_info{service=~"brokkr-scheduler|brokkr-broker"})`,
			"No scheduler runs", "No scheduler has been scraped for five minutes. What is published is not decided."},
		{"BrokkrDatabaseUnavailable", "critical", "2m", `sum by (instance) (rate(brokkr_store_duration_seconds_count{outcome="unavailable"}[2m])) > 0`,
			"PostgreSQL cannot be used", "{{ $labels.instance }} has calls to PostgreSQL that fail because it is away or refuses."},
		{"BrokkrSchedulerRoundsFail", "critical", "5m", `sum(rate(brokkr_scheduler_rounds_total{outcome="failed"}[5m])) > 0 unless sum(rate(brokkr_scheduler_rounds_total{outcome="ok"}[5m])) > 0`,
			"No scheduling round succeeds", "Every round of the last five minutes failed; the scheduler's log has the cause."},
		{"BrokkrDecisionsWait", "warning", "10m", `sum(brokkr_scheduler_dirty_stacks) > 0 unless sum(increase(brokkr_scheduler_decisions_total[10m])) > 0`,
			"Stacks wait and nothing is decided", "{{ $value }} stacks have waited for ten minutes without one decision."},
		{"BrokkrNoShardsHeld", "critical", "5m", `sum(brokkr_scheduler_shards_held) == 0`,
			"No scheduler holds a shard", "Schedulers run, but none has a lease."},
		{"BrokkrRemovalsHeld", "warning", "", `sum(increase(brokkr_scheduler_decisions_total{outcome="held"}[30m])) > 0`,
			"Removals wait for approval", "A brake has stopped {{ $value | humanize }} decisions that would remove a stack from many clusters at once."},
		{"BrokkrHeartbeatsNotStored", "warning", "5m", `sum by (instance) (brokkr_gateway_heartbeats_pending) > 0 unless sum by (instance) (rate(brokkr_gateway_heartbeats_flushed_total[5m])) > 0`,
			"Heartbeats are not stored", "{{ $labels.instance }} holds heartbeats and has stored none for five minutes; agents will look away."},
		{"BrokkrSignalsUnhealthy", "warning", "10m", `brokkr_gateway_signals_healthy == 0`,
			"Signals do not come through", "Probe signals of {{ $labels.instance }} do not come back. Changes arrive with the next look at PostgreSQL, seconds later."},
		{"BrokkrAgentsLeave", "warning", "10m", `sum(brokkr_gateway_parked_syncs) < 0.8 * avg_over_time(sum(brokkr_gateway_parked_syncs)[1h:1m])`,
			"Many agents have gone", "A fifth fewer agents wait at the gateways than in the last hour."},
		{"BrokkrDuplicateAgents", "warning", "", `sum(increase(brokkr_gateway_duplicate_agents_total[15m])) > 0`,
			"Two processes use one agent's identity", "A PAK was copied, or a second agent was installed with it. The gateway's log names the agent."},
		{"BrokkrDatabaseConnectionsUsedUp", "warning", "10m", `brokkr_database_connections{state="in_use"} / ignoring (state) brokkr_database_connections_max > 0.9`,
			"Connections to PostgreSQL are used up", "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of the connections that it may have."},
		{"BrokkrTelemetryDropped", "warning", "15m", `sum(rate(brokkr_gateway_telemetry_total{outcome="dropped"}[5m])) > 0`,
			"Telemetry of agents is dropped", "{{ $value | humanize }} events and log lines a second are not kept."},
		{"BrokkrWebhooksDead", "warning", "", `sum(increase(brokkr_webhook_settled_total{status="dead"}[1h])) > 0`,
			"Webhook deliveries are given up", "{{ $value | humanize }} deliveries of the last hour used up their attempts."},
		{"BrokkrAuthFailures", "warning", "10m", `sum by (instance) (rate(brokkr_auth_failures_total[5m])) > 1`,
			"Many failed authentications", "{{ $value | humanize }} a second at {{ $labels.instance }}: a key that has ended is still used, or somebody is trying."},
		{"BrokkrClusterUnreachable", "warning", "5m", `brokkr_agent_kubernetes_up == 0`,
			"An agent does not reach its API server", "{{ $labels.instance }} has not reached its Kubernetes API server for five minutes. It changes nothing meanwhile."},
		{"BrokkrAgentPassesFail", "warning", "15m", `sum by (instance) (rate(brokkr_agent_passes_total{outcome="failed"}[10m])) > 0 unless sum by (instance) (rate(brokkr_agent_passes_total{outcome="ok"}[10m])) > 0`,
			"An agent cannot apply anything", "Every pass of {{ $labels.instance }} has failed for a quarter of an hour."},
		{"BrokkrDriftContested", "warning", "15m", `sum by (instance) (rate(brokkr_agent_drift_total{outcome="contested"}[15m])) > 0`,
			"Two managers fight over a field", "{{ $labels.instance }} keeps correcting what another manager keeps changing; the health of the stack names it."},
	}
}
