package main

// warmRestarts is how one switch bore its restarts, and whether the next one will
// go well.
func warmRestarts() dashboard {
	const of = `{job="$job", instance="$instance"}`
	bad := func(p panel) panel { p.zeroIsGood = true; return p }
	wide := func(p panel, width int) panel { p.width = width; return p }
	return dashboard{
		uid: "portsyncd-warm", title: "portsyncd / Warm restarts",
		description: "How a switch bore its restarts, and whether the next one will go well. The counters outlive the process.",
		variables:   []variable{chooseJob, chooseInstance},
		rows: []row{
			{"All restarts", 4, []panel{
				stat("Warm", "short", `portsyncd_warm_restarts`+of, "Starts that kept what was known, and the ports."),
				stat("Cold", "short", `portsyncd_cold_starts`+of, "Starts from nothing."),
				stat("Dumps that ended", "short", `portsyncd_eoiu_detected`+of, "Starts at which the kernel's first list of links came to its end (EOIU)."),
				bad(stat("Dumps that did not", "short", `portsyncd_eoiu_timeouts`+of, "Starts that went on without the end of that list. Good: 0.")),
				bad(stat("Damaged files", "short", `portsyncd_corruptions_detected`+of, "Files that had not the content that was written into them. Good: 0.")),
				stat("Backups that stood in", "short", `portsyncd_state_recoveries`+of, "Damaged files that a backup replaced. As many as damaged files is good."),
			}},
			{"The next one", 4, []panel{
				wide(stat("Ports announced", "short", `portsyncd_port_config_done_ports`+of,
					"Ports that PortConfigDone in APPL_DB announces."), 6),
				wide(stat("Ports in APPL_DB", "short", `portsyncd_port_table_rows`+of,
					"Ports in APPL_DB. It must be the number announced, or a warm restart of orchagent starts cold."), 6),
				wide(bad(stat("Difference", "short", `abs(portsyncd_port_config_done_ports`+of+` - portsyncd_port_table_rows`+of+`)`,
					"Between the two. Good: 0.")), 6),
				wide(bad(stat("Disk faulty", "short", `portsyncd_disk_faulty`+of,
					"1 while files cannot be written; then a restart remembers what the last good file says. Good: 0.")), 6),
			}},
			{"When", 8, []panel{
				lines("Restarts", "short", "Restarts by kind. One that nobody asked for: the log before it says why.",
					query{`increase(portsyncd_warm_restarts` + of + `[$__rate_interval])`, "warm"},
					query{`increase(portsyncd_cold_starts` + of + `[$__rate_interval])`, "cold"},
					query{`changes(process_start_time_seconds` + of + `[$__rate_interval])`, "process is another one"}),
				states12("Ready", "Whether the initial sync is in the databases.",
					query{`portsyncd_ready` + of, "ready"}),
			}},
			{"How long", 8, []panel{
				lines("Duration of the sync, all restarts", "s", "From the request of the first list of links to the acknowledgement of what it brought: "+
					"quantiles over all restarts that are remembered. Growing from start to start: Redis or kernel became slower.",
					query{`histogram_quantile(0.5, portsyncd_sync_duration_seconds_bucket` + of + `)`, "half of them within"},
					query{`histogram_quantile(0.95, portsyncd_sync_duration_seconds_bucket` + of + `)`, "95 of 100 within"},
					query{`portsyncd_sync_duration_seconds_sum` + of + ` / portsyncd_sync_duration_seconds_count` + of, "mean"}),
				lines("Repairs", "short", "Rows that a comparison found wrong and mended: at a start, what changed while the daemon was away.",
					query{`increase(portsyncd_repairs_total` + of + `[$__rate_interval])`, "{{kind}}"}),
			}},
			{"What is remembered", 8, []panel{
				lines("Age of the files", "s", "Since each file was last written. state is written when a port changes, the others at each save interval.",
					query{`time() - (portsyncd_snapshot_saved_timestamp_seconds` + of + ` > 0)`, "{{file}}"}),
				lines("Size of the files", "bytes", "What was last written.",
					query{`portsyncd_snapshot_size_bytes` + of, "{{file}}"}),
			}},
			{"Writing", 8, []panel{
				lines("Files written", "ops", "Files written, a second.",
					query{`rate(portsyncd_snapshot_saves_total` + of + `[$__rate_interval])`, "{{file}}"}),
				lines("Files that could not be written", "ops", "Attempts that failed, a second. Good: 0.",
					query{`rate(portsyncd_snapshot_failures_total` + of + `[$__rate_interval])`, "{{file}}"}),
			}},
		},
	}
}

// states12 is states on half of the width.
func states12(title, description string, queries ...query) panel {
	p := states(title, description, queries...)
	p.width = 12
	return p
}
