package main

// oneSwitch returns the dashboard of one switch.
func oneSwitch() dashboard {
	const of = `{job="$job", instance="$instance"}`
	rate := func(metric string) string { return `rate(` + metric + of + `[$__rate_interval])` }
	return dashboard{
		uid: "portsyncd-switch", title: "portsyncd / Switch",
		description: "One switch: ports, kernel, databases, process.",
		variables:   []variable{chooseJob, chooseInstance},
		rows: []row{
			{"Now", 4, switchNow(of)},
			{"Health", 6, []panel{
				states12("Components", "Whether each component works. kernel is 0 briefly during each resync.",
					query{`portsyncd_component_up` + of, "{{component}}"}),
				reasons(of),
			}},
			{"Ports", 8, []panel{
				lines("Ports", "short", "Configured ports, ports with an interface and a row, and ports with carrier. "+
					"If fewer are present than configured, /ports on the switch shows which are missing.",
					query{`portsyncd_ports_configured` + of, "configured"},
					query{`portsyncd_ports_present` + of, "present"},
					query{`sum(portsyncd_port_oper_up` + of + `)`, "with carrier"}),
				lines("Link-down transitions", "short", "Link-down transitions counted by the kernel, for the ten worst ports.",
					query{`topk(10, increase(portsyncd_port_carrier_down_changes_total` + of + `[$__rate_interval]))`, "{{port}}"}),
			}},
			{"Kernel", 8, []panel{
				lines("Link messages", "ops", "Processed kernel messages per second.",
					query{rate("portsyncd_events_total"), "{{event}}"}),
				lines("Ignored messages", "ops", "Link messages that led to no write, by reason. "+
					"If unknown increases during operation, an interface has no row in APPL_DB.",
					query{rate("portsyncd_events_ignored_total"), "{{reason}}"}),
			}},
			{"Loss and resync", 8, []panel{
				lines("Resyncs", "ops", "Resyncs per second, by reason. overrun: the kernel dropped messages.",
					query{rate("portsyncd_resyncs_total"), "{{reason}}"}),
				lines("Socket errors", "ops", "Overruns of the kernel's queue, and forged, truncated or malformed messages. Normal: 0.",
					query{rate("portsyncd_netlink_overruns_total"), "overruns"},
					query{rate("portsyncd_netlink_forged_total"), "forged"},
					query{rate("portsyncd_netlink_truncated_total"), "truncated"},
					query{rate("portsyncd_netlink_malformed_total"), "malformed"}),
			}},
			{"From the kernel to STATE_DB", 8, []panel{
				lines("Latency", "s", "Time from the read of a link message to the acknowledgement of its row.",
					query{`histogram_quantile(0.5, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "p50"},
					query{`histogram_quantile(0.9, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "p90"},
					query{`histogram_quantile(0.99, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "p99"}),
				{kind: "heatmap", title: "Latency, all events", unit: "s", width: 12,
					description: "The same events by bucket. A rising band means that events queue up.",
					queries:     []query{{`sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `)`, "{{le}}"}}},
			}},
			{"Databases", 8, []panel{
				lines("Rows written", "ops", "Acknowledged writes of rows per second.",
					query{rate("portsyncd_database_writes_total"), "{{op}}"}),
				lines("Failures", "ops", "Failed exchanges by kind, and reconnects, per second. Normal: 0, except during a restart of Redis.",
					query{rate("portsyncd_database_errors_total"), "{{kind}}"},
					query{rate("portsyncd_database_reconnects_total"), "reconnects"}),
			}},
			{"Backlog and audits", 8, []panel{
				lines("Backlog", "short", "Ports whose row is pending, and messages that are not processed yet. If it is above 0 for seconds, check Redis.",
					query{`portsyncd_backlog_ports` + of, "ports"},
					query{`portsyncd_backlog_events` + of, "messages"}),
				lines("Audits", "ops", "Completed audits per second, and the differences that they found, by database. Normal: no differences.",
					query{rate("portsyncd_audits_total"), "audits"},
					query{rate("portsyncd_audit_mismatches_total"), "differences in {{database}}"}),
			}},
			{"Process", 8, []panel{
				lines("CPU", "percentunit", "CPU time as a share of one CPU.",
					query{rate("process_cpu_seconds_total"), "CPU"}),
				lines("Memory", "bytes", "Resident memory and heap in use. If they grow for days, report it with a heap profile.",
					query{`process_resident_memory_bytes` + of, "resident"},
					query{`go_memstats_heap_inuse_bytes` + of, "heap in use"}),
			}},
			{"Log and HTTP", 8, []panel{
				lines("Log", "ops", "Lines written to the log by level, and dropped lines, per second.",
					query{rate("portsyncd_log_lines_total"), "{{level}}"},
					query{rate("portsyncd_log_lines_dropped_total"), "dropped"}),
				lines("HTTP", "ops", "Answers by path and status, and rejected clients, per second.",
					query{`sum by (path, code) (` + rate("portsyncd_http_requests_total") + `)`, "{{path}} {{code}}"},
					query{`sum by (reason) (` + rate("portsyncd_http_rejected_total") + `)`, "rejected: {{reason}}"}),
			}},
			{"Push", 8, []panel{
				lines("Pushed samples", "ops", "Samples accepted by the receiver of push.url per second. 0 if push is disabled.",
					query{rate("portsyncd_push_samples_total"), "samples"}),
				lines("Push failures", "short", "Failed requests by reason and dropped batches per second, and queued batches. Normal: 0.",
					query{rate("portsyncd_push_failures_total"), "{{reason}}"},
					query{rate("portsyncd_push_dropped_batches_total"), "dropped: {{reason}}"},
					query{`portsyncd_push_queue_batches` + of, "queued"}),
			}},
		},
	}
}

// switchNow returns the row of single values.
func switchNow(of string) []panel {
	flag := func(p panel) panel { p.flag = true; return p }
	pending := stat("Pending ports", "short", `portsyncd_ports_pending`+of, "Ports that PortInitDone is waiting for. Normal: 0.")
	pending.zeroIsGood = true
	return []panel{
		flag(stat("Healthy", "short", `portsyncd_healthy`+of, "Whether the daemon is not unhealthy. If it is 0, STATE_DB may differ from the kernel.")),
		flag(stat("Ready", "short", `portsyncd_ready`+of, "Whether the initial sync is complete.")),
		stat("Ports up", "short", `sum(portsyncd_port_oper_up`+of+`)`, "Ports with carrier."),
		pending,
		stat("Uptime", "s", `time() - process_start_time_seconds`+of, "Time since the start of the process."),
		stat("Last acknowledgement", "s", `time() - portsyncd_last_progress_timestamp_seconds`+of,
			"Time since the databases last acknowledged a command. Normal: less than the audit interval."),
	}
}

// reasons returns the panel of the health reasons.
func reasons(of string) panel {
	p := states12("Health reasons", "When each health reason was present. docs/HEALTH.md says what to do.",
		query{`portsyncd_health_reason` + of, "{{code}}"})
	p.badIsYes = true
	return p
}
