package main

// oneSwitch is one daemon in depth.
func oneSwitch() dashboard {
	const of = `{job="$job", instance="$instance"}`
	rate := func(metric string) string { return `rate(` + metric + of + `[$__rate_interval])` }
	return dashboard{
		uid: "portsyncd-switch", title: "portsyncd / Switch",
		description: "One switch in depth: ports, kernel, databases, process.",
		variables:   []variable{chooseJob, chooseInstance},
		rows: []row{
			{"Now", 4, switchNow(of)},
			{"Health", 6, []panel{
				states12("Parts", "Whether each part works. kernel is down for a moment at each list of links.",
					query{`portsyncd_component_up` + of, "{{component}}"}),
				reasons(of),
			}},
			{"Ports", 8, []panel{
				lines("Ports", "short", "Ports that are configured, that have an interface and a row, and that have a link. "+
					"Present below configured: /ports on the switch says which are missing.",
					query{`portsyncd_ports_configured` + of, "configured"},
					query{`portsyncd_ports_present` + of, "present"},
					query{`sum(portsyncd_port_oper_up` + of + `)`, "with a link"}),
				lines("Lost carriers", "short", "Times that a port lost its carrier, as the kernel counts; the worst ten.",
					query{`topk(10, increase(portsyncd_port_carrier_down_changes_total` + of + `[$__rate_interval]))`, "{{port}}"}),
			}},
			{"Kernel", 8, []panel{
				lines("Link messages", "ops", "Messages of the kernel that were decided on, a second.",
					query{rate("portsyncd_events_total"), "{{event}}"}),
				lines("Messages that led to nothing", "ops", "By the test that they did not pass. "+
					"unknown growing during operation: an interface without a row in APPL_DB.",
					query{rate("portsyncd_events_ignored_total"), "{{reason}}"}),
			}},
			{"Loss and its remedy", 8, []panel{
				lines("Lists of all links", "ops", "Times that the kernel was asked for all links, by reason. audit is regular; overrun: messages were lost.",
					query{rate("portsyncd_resyncs_total"), "{{reason}}"}),
				lines("Trouble on the socket", "ops", "Overruns of the kernel's queue, and messages that were forged, truncated or malformed. Good: 0.",
					query{rate("portsyncd_netlink_overruns_total"), "overruns"},
					query{rate("portsyncd_netlink_forged_total"), "forged"},
					query{rate("portsyncd_netlink_truncated_total"), "truncated"},
					query{rate("portsyncd_netlink_malformed_total"), "malformed"}),
			}},
			{"From the kernel to STATE_DB", 8, []panel{
				lines("Latency", "s", "From the read of a link message to the acknowledgement of its row.",
					query{`histogram_quantile(0.5, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "half of them within"},
					query{`histogram_quantile(0.9, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "9 of 10 within"},
					query{`histogram_quantile(0.99, sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `))`, "99 of 100 within"}),
				{kind: "heatmap", title: "Latency, all events", unit: "s", width: 12,
					description: "The same events by bucket: two bands are two kinds of events, a rising one is a queue.",
					queries:     []query{{`sum by (le) (` + rate("portsyncd_event_latency_seconds_bucket") + `)`, "{{le}}"}}},
			}},
			{"Databases", 8, []panel{
				lines("Rows written", "ops", "Acknowledged writes of rows, a second.",
					query{rate("portsyncd_database_writes_total"), "{{op}}"}),
				lines("Failures", "ops", "Failed exchanges, by kind, and connections made again, a second. Good: 0, but for a restart of Redis.",
					query{rate("portsyncd_database_errors_total"), "{{kind}}"},
					query{rate("portsyncd_database_reconnects_total"), "reconnects"}),
			}},
			{"In step", 8, []panel{
				lines("What waits", "short", "Ports whose row waits to be written, and messages not yet decided on. Above 0 for seconds: look at Redis.",
					query{`portsyncd_backlog_ports` + of, "ports"},
					query{`portsyncd_backlog_events` + of, "messages"}),
				lines("Audits and what they found", "ops", "Completed comparisons of STATE_DB with the kernel, and differences by where they were. Good: no differences.",
					query{rate("portsyncd_audits_total"), "audits"},
					query{rate("portsyncd_audit_mismatches_total"), "differences in {{database}}"}),
			}},
			{"Process", 8, []panel{
				lines("CPU", "percentunit", "CPU time, in shares of one CPU.",
					query{rate("process_cpu_seconds_total"), "CPU"}),
				lines("Memory", "bytes", "Resident memory, and what of it is heap. Growing for days: report it, with a heap profile.",
					query{`process_resident_memory_bytes` + of, "resident"},
					query{`go_memstats_heap_inuse_bytes` + of, "heap in use"}),
			}},
			{"Around it", 8, []panel{
				lines("Log", "ops", "Lines written to the log, by level, and lines that nobody took, a second.",
					query{rate("portsyncd_log_lines_total"), "{{level}}"},
					query{rate("portsyncd_log_lines_dropped_total"), "dropped"}),
				lines("HTTP", "ops", "Answers by path and status, and clients turned away, a second.",
					query{`sum by (path, code) (` + rate("portsyncd_http_requests_total") + `)`, "{{path}} {{code}}"},
					query{`sum by (reason) (` + rate("portsyncd_http_rejected_total") + `)`, "turned away: {{reason}}"}),
			}},
			{"Push", 8, []panel{
				lines("Pushed samples", "ops", "Samples that the receiver of push.url took, a second. 0 where nothing is pushed.",
					query{rate("portsyncd_push_samples_total"), "samples"}),
				lines("Trouble with pushing", "short", "Failed requests by reason and dropped batches, a second, and batches that wait. Good: 0.",
					query{rate("portsyncd_push_failures_total"), "{{reason}}"},
					query{rate("portsyncd_push_dropped_batches_total"), "dropped: {{reason}}"},
					query{`portsyncd_push_queue_batches` + of, "waiting"}),
			}},
		},
	}
}

// switchNow is the line of single values.
func switchNow(of string) []panel {
	flag := func(p panel) panel { p.flag = true; return p }
	pending := stat("Ports awaited", "short", `portsyncd_ports_pending`+of, "Ports that PortInitDone still waits for. Good: 0.")
	pending.zeroIsGood = true
	return []panel{
		flag(stat("Healthy", "short", `portsyncd_healthy`+of, "The daemon's own judgement: STATE_DB is what the kernel says.")),
		flag(stat("Ready", "short", `portsyncd_ready`+of, "Whether the initial sync is in the databases.")),
		stat("Ports with a link", "short", `sum(portsyncd_port_oper_up`+of+`)`, "Ports that have carrier and run."),
		pending,
		stat("Running for", "s", `time() - process_start_time_seconds`+of, "Time since the start of the process."),
		stat("Last answer of the databases", "s", `time() - portsyncd_last_progress_timestamp_seconds`+of,
			"Time since the databases last acknowledged something. Good: below the interval of audits."),
	}
}

// reasons shows what the daemon has against its own health.
func reasons(of string) panel {
	p := states12("Reasons not to be healthy", "Each reason that the daemon can have, and when it had it. README_DEPLOYMENT.md says what to do.",
		query{`portsyncd_health_reason` + of, "{{code}}"})
	p.badIsYes = true
	return p
}
