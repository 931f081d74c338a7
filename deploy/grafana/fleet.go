package main

// fleet returns the dashboard of all switches.
func fleet() dashboard {
	bad := func(p panel) panel { p.zeroIsGood = true; return p }
	return dashboard{
		uid: "portsyncd-fleet", title: "portsyncd / Fleet",
		description: "Overview of all switches.",
		variables:   []variable{chooseJob},
		rows: []row{
			{"Summary", 4, []panel{
				stat("Switches", "short", `count(up{job="$job"})`,
					"Number of switches that Prometheus scrapes, whether they are up or down."),
				bad(stat("Down", "short", `count(up{job="$job"} == 0) or vector(0)`,
					"Number of switches whose last scrape failed. Normal: 0.")),
				bad(stat("Unhealthy", "short", `count(portsyncd_healthy{job="$job"} == 0) or vector(0)`,
					"Number of unhealthy switches. Their STATE_DB may differ from the kernel. Normal: 0.")),
				bad(stat("Starting", "short", `count(portsyncd_ready{job="$job"} == 0) or vector(0)`,
					"Number of switches whose initial sync has not completed. Normal: 0, except briefly after a restart.")),
				stat("Ports up", "short", `sum(portsyncd_port_oper_up{job="$job"})`,
					"Number of ports with carrier, summed over all switches."),
				bad(stat("Link-down transitions", "short",
					`round(sum(increase(portsyncd_port_carrier_down_changes_total{job="$job"}[$__range])))`,
					"Number of link-down transitions in the selected time range, summed over all switches. Normal: 0.")),
			}},
			{"Switches", 10, []panel{{
				kind: "table", title: "Switches", unit: "short", width: 24, linkTo: "portsyncd-switch",
				description: "Click a switch to open its dashboard. Healthy and Ready are normally 1. " +
					"Latency p99 is the 99th percentile of the latency from the kernel to STATE_DB over the last 5 minutes, and is empty if no link changed.",
				columns: map[string]string{"Latency p99": "s", "Uptime": "s"},
				queries: []query{
					{`max by (instance) (portsyncd_healthy{job="$job"})`, "Healthy"},
					{`max by (instance) (portsyncd_ready{job="$job"})`, "Ready"},
					{`sum by (instance) (portsyncd_port_oper_up{job="$job"})`, "Ports up"},
					{`max by (instance) (portsyncd_ports_present{job="$job"})`, "Ports"},
					{`round(sum by (instance) (increase(portsyncd_port_carrier_down_changes_total{job="$job"}[1h])))`, "Link down, 1 h"},
					{`histogram_quantile(0.99, sum by (instance, le) (rate(portsyncd_event_latency_seconds_bucket{job="$job"}[5m])))`, "Latency p99"},
					{`time() - max by (instance) (process_start_time_seconds{job="$job"})`, "Uptime"},
				},
			}}},
			{"Over time", 8, []panel{
				lines("Ports up", "short", "Number of ports with carrier by switch. If several switches lose ports at the same time, check their common neighbor.",
					query{`sum by (instance) (portsyncd_port_oper_up{job="$job"})`, "{{instance}}"}),
				lines("Link-down transitions", "short", "Number of link-down transitions by switch.",
					query{`sum by (instance) (increase(portsyncd_port_carrier_down_changes_total{job="$job"}[$__rate_interval]))`, "{{instance}}"}),
			}},
			{"Databases", 8, []panel{
				lines("Latency p99", "s", "99th percentile of the latency from the kernel to STATE_DB. Normal: less than 1 ms.",
					query{`histogram_quantile(0.99, sum by (instance, le) (rate(portsyncd_event_latency_seconds_bucket{job="$job"}[$__rate_interval])))`, "{{instance}}"}),
				lines("Failed Redis requests", "ops", "Failed Redis requests per second. Normal: 0, except while Redis restarts.",
					query{`sum by (instance) (rate(portsyncd_database_errors_total{job="$job"}[$__rate_interval]))`, "{{instance}}"}),
			}},
			{"Flapping ports and versions", 8, []panel{
				{kind: "bargauge", title: "Most frequently flapping ports", unit: "short", width: 12, linkTo: "portsyncd-port",
					description: "The ten ports with the most link-down transitions in the selected time range. Click a port to open its dashboard.",
					queries:     []query{{`topk(10, round(increase(portsyncd_port_carrier_down_changes_total{job="$job"}[$__range])))`, "{{instance}} {{port}}"}}},
				{kind: "table", title: "Versions", unit: "short", width: 12,
					description: "Number of switches by version.",
					queries:     []query{{`count by (version, revision, goversion) (portsyncd_build_info{job="$job"})`, "Switches"}}},
			}},
		},
	}
}
