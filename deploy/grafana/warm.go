package main

// warmRestarts returns the dashboard of the restarts of one switch.
func warmRestarts() dashboard {
	const of = `{job="$job", instance="$instance"}`
	bad := func(p panel) panel { p.zeroIsGood = true; return p }
	wide := func(p panel, width int) panel { p.width = width; return p }
	return dashboard{
		uid: "portsyncd-warm", title: "portsyncd / Warm restarts",
		description: "Restarts of portsyncd on a switch, and whether the next warm restart will succeed. Counters are kept across restarts.",
		variables:   []variable{chooseJob, chooseInstance},
		rows: []row{
			{"All restarts", 4, []panel{
				stat("Warm", "short", `portsyncd_warm_restarts`+of, "Number of warm starts, in which the ports stay up."),
				stat("Cold", "short", `portsyncd_cold_starts`+of, "Number of cold starts: cold boots, config reload and restarts of swss."),
				stat("Initial dumps completed", "short", `portsyncd_eoiu_detected`+of, "Number of starts that completed the initial link dump (EOIU)."),
				bad(stat("Initial dumps timed out", "short", `portsyncd_eoiu_timeouts`+of, "Number of starts whose initial link dump timed out. Normal: 0.")),
				bad(stat("Corrupt files", "short", `portsyncd_corruptions_detected`+of, "Number of corrupt files found at startup. Normal: 0.")),
				stat("Backups used", "short", `portsyncd_state_recoveries`+of, "Number of corrupt, missing or outdated files restored from a backup."),
			}},
			{"Next warm restart", 4, []panel{
				wide(stat("Ports in PortConfigDone", "short", `portsyncd_port_config_done_ports`+of,
					"Number of ports announced to orchagent in PortConfigDone."), 6),
				wide(stat("Ports in APPL_DB", "short", `portsyncd_port_table_rows`+of,
					"Number of ports in APPL_DB. A warm restart requires it to equal the number in PortConfigDone."), 6),
				wide(bad(stat("Difference", "short", `abs(portsyncd_port_config_done_ports`+of+` - portsyncd_port_table_rows`+of+`)`,
					"Difference between the number of ports in PortConfigDone and in APPL_DB. Normal: 0.")), 6),
				wide(bad(stat("Disk faulty", "short", `portsyncd_disk_faulty`+of,
					"1 if at least one file cannot be written, otherwise 0. A restart would then load outdated data. Normal: 0.")), 6),
			}},
			{"Restarts over time", 8, []panel{
				lines("Restarts", "short", "Number of restarts by kind. After an unexpected restart, check the log before it.",
					query{`increase(portsyncd_warm_restarts` + of + `[$__rate_interval])`, "warm"},
					query{`increase(portsyncd_cold_starts` + of + `[$__rate_interval])`, "cold"},
					query{`changes(process_start_time_seconds` + of + `[$__rate_interval])`, "process restarted"}),
				states12("Ready", "Whether the initial sync is complete.",
					query{`portsyncd_ready` + of, "ready"}),
			}},
			{"Duration and repairs", 8, []panel{
				lines("Duration of the initial sync", "s", "Quantiles of the duration of the initial sync over all recorded starts. "+
					"An increase means that Redis or the kernel has become slower.",
					query{`histogram_quantile(0.5, portsyncd_sync_duration_seconds_bucket` + of + `)`, "p50"},
					query{`histogram_quantile(0.95, portsyncd_sync_duration_seconds_bucket` + of + `)`, "p95"},
					query{`portsyncd_sync_duration_seconds_sum` + of + ` / portsyncd_sync_duration_seconds_count` + of, "mean"}),
				lines("Repairs", "short", "Number of incorrect rows repaired. Repairs at startup are changes that were made while the daemon was down.",
					query{`increase(portsyncd_repairs_total` + of + `[$__rate_interval])`, "{{kind}}"}),
			}},
			{"State files", 8, []panel{
				lines("File age", "s", "Time since each file was last written. state is written when a port changes, the other files at each save interval.",
					query{`time() - (portsyncd_snapshot_saved_timestamp_seconds` + of + ` > 0)`, "{{file}}"}),
				lines("File size", "bytes", "Size of each file after the last write.",
					query{`portsyncd_snapshot_size_bytes` + of, "{{file}}"}),
			}},
			{"Writes", 8, []panel{
				lines("Files written", "ops", "Successful file writes per second, by file.",
					query{`rate(portsyncd_snapshot_saves_total` + of + `[$__rate_interval])`, "{{file}}"}),
				lines("Failed writes", "ops", "Failed file writes per second, by file. Normal: 0.",
					query{`rate(portsyncd_snapshot_failures_total` + of + `[$__rate_interval])`, "{{file}}"}),
			}},
		},
	}
}

// states12 is like states, but returns a panel of half the width.
func states12(title, description string, queries ...query) panel {
	p := states(title, description, queries...)
	p.width = 12
	return p
}
