package main

// oneSwitch returns the dashboard of one switch.
func oneSwitch() dashboard {
	const of = `{job="$job", instance="$instance"}`
	rate := func(metric string) string { return `rate(` + metric + of + `[$__rate_interval])` }
	return dashboard{
		uid: "portsyncd-switch", title: "portsyncd / Switch",
		description: "Ports, kernel events, databases and process of a single switch.",
		variables:   []variable{chooseJob, chooseInstance},
		rows: []row{
			{"Now", 4, switchNow(of)},
			{"Health", 6, []panel{
				states12("Components", "Whether each component is operational. kernel is 0 briefly during each resync.",
					query{`portsyncd_component_up` + of, "{{component}}"}),
				reasons(of),
			}},
			{"Ports", 8, []panel{
				lines("Ports", "short", "Number of configured ports, of ports with an interface and a row in STATE_DB, and of ports with carrier. "+
					"To find configured ports without an interface, open /ports on the switch.",
					query{`portsyncd_ports_configured` + of, "configured"},
					query{`portsyncd_ports_present` + of, "present"},
					query{`sum(portsyncd_port_oper_up` + of + `)`, "with carrier"}),
				lines("Link-down transitions", "short", "Link-down transitions of the ten ports with the most transitions.",
					query{`topk(10, increase(portsyncd_port_carrier_down_changes_total` + of + `[$__rate_interval]))`, "{{port}}"}),
			}},
			{"All ports", 12, []panel{portTable(of)}},
			{"Kernel", 8, []panel{
				lines("Link messages", "ops", "Link messages, ends of dumps and overruns processed per second, by event.",
					query{rate("portsyncd_events_total"), "{{event}}"}),
				lines("Ignored messages", "ops", "Ignored link messages per second, by reason. "+
					"Messages with the reason `unknown` are about interfaces without a row in APPL_DB.",
					query{rate("portsyncd_events_ignored_total"), "{{reason}}"}),
			}},
			{"Loss and resync", 8, []panel{
				lines("Resyncs", "ops", "Full re-reads of all links per second, by reason. overrun: the kernel dropped messages.",
					query{rate("portsyncd_resyncs_total"), "{{reason}}"}),
				lines("Socket errors", "ops", "Receive buffer overruns and forged, truncated or malformed messages per second. Normal: 0.",
					query{rate("portsyncd_netlink_overruns_total"), "overruns"},
					query{rate("portsyncd_netlink_forged_total"), "forged"},
					query{rate("portsyncd_netlink_truncated_total"), "truncated"},
					query{rate("portsyncd_netlink_malformed_total"), "malformed"}),
			}},
			{"From the kernel to STATE_DB", 8, []panel{
				lines("Latency", "s", "Time from reading a link message until Redis acknowledged the write.",
					query{`histogram_quantile(0.5, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "p50"},
					query{`histogram_quantile(0.9, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "p90"},
					query{`histogram_quantile(0.99, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "p99"}),
				{kind: "heatmap", title: "Latency, all events", unit: "s", width: 12,
					description: "Distribution of the latency over time. A rising latency means that events are queued.",
					queries:     []query{{`sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `)`, "{{le}}"}}},
			}},
			{"Databases", 8, []panel{
				lines("Rows written", "ops", "STATE_DB writes acknowledged by Redis per second.",
					query{rate("portsyncd_database_writes_total"), "{{op}}"}),
				lines("Failures", "ops", "Failed Redis requests by kind, and reconnects, per second. Normal: 0, except while Redis restarts.",
					query{rate("portsyncd_database_errors_total"), "{{kind}}"},
					query{rate("portsyncd_database_reconnects_total"), "reconnects"}),
			}},
			{"Backlog and audits", 8, []panel{
				lines("Backlog", "short", "Ports with a pending write, and messages that have not been processed yet. If either stays above 0 for several seconds, check Redis.",
					query{`portsyncd_backlog_ports` + of, "ports"},
					query{`portsyncd_backlog_events` + of, "messages"}),
				lines("Audits", "ops", "Completed audits and mismatches found, per second. Normal: no mismatches.",
					query{rate("portsyncd_audits_total"), "audits"},
					query{rate("portsyncd_audit_mismatches_total"), "mismatches in {{database}}"}),
			}},
			{"Process", 8, []panel{
				lines("CPU", "percentunit", "CPU usage of the daemon, where 100% is one CPU.",
					query{rate("process_cpu_seconds_total"), "CPU"}),
				lines("Memory", "bytes", "Resident memory and heap in use. If they grow for days, report the problem with a heap profile.",
					query{`process_resident_memory_bytes` + of, "resident"},
					query{`go_memstats_heap_inuse_bytes` + of, "heap in use"}),
			}},
			{"Log and HTTP", 8, []panel{
				lines("Log", "ops", "Log lines by level, and dropped lines, per second.",
					query{rate("portsyncd_log_lines_total"), "{{level}}"},
					query{rate("portsyncd_log_lines_dropped_total"), "dropped"}),
				lines("HTTP", "ops", "HTTP responses by path and status code, and rejected clients, per second.",
					query{`sum by (path, code) (` + rate("portsyncd_http_requests_total") + `)`, "{{path}} {{code}}"},
					query{`sum by (reason) (` + rate("portsyncd_http_rejected_total") + `)`, "rejected: {{reason}}"}),
			}},
			{"Push", 8, []panel{
				lines("Pushed samples", "ops", "Samples accepted by the push receiver per second. 0 if push is disabled.",
					query{rate("portsyncd_push_samples_total"), "samples"}),
				lines("Push failures", "short", "Failed push requests and dropped batches per second, by reason, and the number of queued batches. Normal: 0.",
					query{rate("portsyncd_push_failures_total"), "{{reason}}"},
					query{rate("portsyncd_push_dropped_batches_total"), "dropped: {{reason}}"},
					query{`portsyncd_push_queue_batches` + of, "queued"}),
			}},
		},
	}
}

// switchNow returns the panels with the current values of the switch.
func switchNow(of string) []panel {
	flag := func(p panel) panel { p.flag = true; return p }
	pending := stat("Pending ports", "short", `portsyncd_ports_pending`+of, "Number of ports that PortInitDone waits for: they have no interface, or no row in APPL_DB. Normal: 0.")
	pending.zeroIsGood = true
	return []panel{
		flag(stat("Healthy", "short", `portsyncd_healthy`+of, "Whether the daemon is healthy or degraded. If it is unhealthy, STATE_DB may differ from the kernel.")),
		flag(stat("Ready", "short", `portsyncd_ready`+of, "Whether the initial sync has completed.")),
		stat("Ports up", "short", `sum(portsyncd_port_oper_up`+of+`)`, "Number of ports with carrier."),
		pending,
		stat("Uptime", "s", `time() - process_start_time_seconds`+of, "Time since the process started."),
		stat("Last Redis request", "s", `time() - portsyncd_last_progress_timestamp_seconds`+of,
			"Time since the last successful Redis request. Normal: less than the audit interval."),
	}
}

// portTable returns the table of all ports. The columns are joined by the name of the port.
func portTable(of string) panel {
	return panel{
		kind: "table", title: "All ports", unit: "none", width: 24, linkTo: "portsyncd-port",
		description: "One row for each port. Click a row to open the dashboard of the port. " +
			"Alias, description and speed are read from CONFIG_DB. The number of link-down transitions covers the selected time range.",
		labels:      []labelColumn{{"port", "Port"}, {"alias", "Alias"}, {"description", "Description"}, {"speed", "Speed (Mbit/s)"}},
		columns:     map[string]string{"Last change": "dateTimeFromNow"},
		flagColumns: []string{"Link", "Admin"},
		queries: []query{
			{`max by (port, alias, description, speed) (portsyncd_port_info` + of + `)`, "Labels"},
			{`max by (port) (portsyncd_port_oper_up` + of + `)`, "Link"},
			{`max by (port) (portsyncd_port_admin_up` + of + `)`, "Admin"},
			{`round(max by (port) (increase(portsyncd_port_carrier_down_changes_total` + of + `[$__range])))`, "Link-down transitions"},
			{`1000 * max by (port) (portsyncd_port_last_change_timestamp_seconds` + of + ` > 0)`, "Last change"},
		},
	}
}

// reasons returns the panel that shows the health reasons.
func reasons(of string) panel {
	p := states12("Health reasons", "When each health reason was active. docs/HEALTH.md describes what to do.",
		query{`portsyncd_health_reason` + of, "{{code}}"})
	p.badIsYes = true
	return p
}
