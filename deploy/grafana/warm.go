package main

// warmRestarts returns the dashboard of the restarts of one switch.
func warmRestarts() dashboard {
	const of = `{job="$job", instance="$instance"}`
	bad := func(p panel) panel { p.zeroIsGood = true; return p }
	wide := func(p panel, width int) panel { p.width = width; return p }
	return dashboard{
		uid: "portsyncd-warm", title: "portsyncd / Warm restarts",
		description: "Past restarts of a switch, and whether the next warm restart will work. The counters are kept over restarts.",
		variables:   []variable{chooseJob, chooseInstance},
		rows: []row{
			{"All restarts", 4, []panel{
				stat("Warm", "short", `portsyncd_warm_restarts`+of, "Starts that kept the known state and the ports."),
				stat("Cold", "short", `portsyncd_cold_starts`+of, "Cold starts: cold boots, config reload, and restarts of swss."),
				stat("Initial dumps completed", "short", `portsyncd_eoiu_detected`+of, "Starts whose initial dump of links was read to the end (EOIU)."),
				bad(stat("Initial dumps timed out", "short", `portsyncd_eoiu_timeouts`+of, "Starts that continued without the end of the dump. Normal: 0.")),
				bad(stat("Damaged files", "short", `portsyncd_corruptions_detected`+of, "Damaged files found at a start. Normal: 0.")),
				stat("Backups used", "short", `portsyncd_state_recoveries`+of, "Damaged or missing files that were replaced by a backup."),
			}},
			{"Next warm restart", 4, []panel{
				wide(stat("Ports in PortConfigDone", "short", `portsyncd_port_config_done_ports`+of,
					"The number of ports in PortConfigDone of APPL_DB."), 6),
				wide(stat("Ports in APPL_DB", "short", `portsyncd_port_table_rows`+of,
					"Ports in APPL_DB. If the number differs from PortConfigDone, a warm restart of orchagent becomes a cold start."), 6),
				wide(bad(stat("Difference", "short", `abs(portsyncd_port_config_done_ports`+of+` - portsyncd_port_table_rows`+of+`)`,
					"Difference between the two numbers. Normal: 0.")), 6),
				wide(bad(stat("Disk faulty", "short", `portsyncd_disk_faulty`+of,
					"1 while files cannot be written. A restart then loads the last good file. Normal: 0.")), 6),
			}},
			{"Times of restarts", 8, []panel{
				lines("Restarts", "short", "Restarts by kind. If one was unexpected, read the log before it.",
					query{`increase(portsyncd_warm_restarts` + of + `[$__rate_interval])`, "warm"},
					query{`increase(portsyncd_cold_starts` + of + `[$__rate_interval])`, "cold"},
					query{`changes(process_start_time_seconds` + of + `[$__rate_interval])`, "process restarted"}),
				states12("Ready", "Whether the initial sync is complete.",
					query{`portsyncd_ready` + of, "ready"}),
			}},
			{"Duration and repairs", 8, []panel{
				lines("Duration of the sync, all restarts", "s", "Time from the request of the first dump to the acknowledgement of its rows: "+
					"quantiles over all stored restarts. If it grows, Redis or the kernel has become slower.",
					query{`histogram_quantile(0.5, portsyncd_sync_duration_seconds_bucket` + of + `)`, "p50"},
					query{`histogram_quantile(0.95, portsyncd_sync_duration_seconds_bucket` + of + `)`, "p95"},
					query{`portsyncd_sync_duration_seconds_sum` + of + ` / portsyncd_sync_duration_seconds_count` + of, "mean"}),
				lines("Repairs", "short", "Wrong rows that a comparison found and repaired. At a start these are changes that were made while the daemon was down.",
					query{`increase(portsyncd_repairs_total` + of + `[$__rate_interval])`, "{{kind}}"}),
			}},
			{"State files", 8, []panel{
				lines("Age of the files", "s", "Time since each file was last written. state is written when a port changes, the others at each save interval.",
					query{`time() - (portsyncd_snapshot_saved_timestamp_seconds` + of + ` > 0)`, "{{file}}"}),
				lines("Size of the files", "bytes", "Size at the last write.",
					query{`portsyncd_snapshot_size_bytes` + of, "{{file}}"}),
			}},
			{"Writes", 8, []panel{
				lines("Files written", "ops", "Files written per second.",
					query{`rate(portsyncd_snapshot_saves_total` + of + `[$__rate_interval])`, "{{file}}"}),
				lines("Failed writes", "ops", "Failed writes per second. Normal: 0.",
					query{`rate(portsyncd_snapshot_failures_total` + of + `[$__rate_interval])`, "{{file}}"}),
			}},
		},
	}
}

// states12 returns states with half of the width.
func states12(title, description string, queries ...query) panel {
	p := states(title, description, queries...)
	p.width = 12
	return p
}
