package main

// fleet is all switches at a glance: which one wants a look.
func fleet() dashboard {
	bad := func(p panel) panel { p.zeroIsGood = true; return p }
	return dashboard{
		uid: "portsyncd-fleet", title: "portsyncd / Fleet",
		description: "All switches: which one wants a look.",
		variables:   []variable{chooseJob},
		rows: []row{
			{"At a glance", 4, []panel{
				stat("Switches", "short", `count(up{job="$job"})`,
					"Switches that Prometheus knows of, whether they answer or not."),
				bad(stat("Not answering", "short", `count(up{job="$job"} == 0) or vector(0)`,
					"Switches whose last scrape failed. Good: 0.")),
				bad(stat("Unhealthy", "short", `count(portsyncd_healthy{job="$job"} == 0) or vector(0)`,
					"Switches whose daemon says that STATE_DB may not be what the kernel says. Good: 0.")),
				bad(stat("Starting", "short", `count(portsyncd_ready{job="$job"} == 0) or vector(0)`,
					"Switches whose initial sync is not complete. Good: 0, but for moments after a restart.")),
				stat("Ports up", "short", `sum(portsyncd_port_oper_up{job="$job"})`,
					"Ports with a link, over all switches."),
				bad(stat("Lost carriers in this range", "short",
					`round(sum(increase(portsyncd_port_carrier_down_changes_total{job="$job"}[$__range])))`,
					"Times that a port lost its carrier, over all switches, as the kernels count. Good: 0.")),
			}},
			{"Switches", 10, []panel{{
				kind: "table", title: "Switches", unit: "short", width: 24, linkTo: "portsyncd-switch",
				description: "One line for each switch; a click opens it. Healthy and ready are 1 where all is well. " +
					"The latency is the 99th percentile from the kernel to STATE_DB within the last 5 minutes, and none without events.",
				columns: map[string]string{"Latency p99": "s", "Uptime": "s"},
				queries: []query{
					{`max by (instance) (portsyncd_healthy{job="$job"})`, "Healthy"},
					{`max by (instance) (portsyncd_ready{job="$job"})`, "Ready"},
					{`sum by (instance) (portsyncd_port_oper_up{job="$job"})`, "Ports up"},
					{`max by (instance) (portsyncd_ports_present{job="$job"})`, "Ports"},
					{`round(sum by (instance) (increase(portsyncd_port_carrier_down_changes_total{job="$job"}[1h])))`, "Lost carriers, 1 h"},
					{`histogram_quantile(0.99, sum by (instance, le) (rate(portsyncd_event_latency_seconds_bucket{job="$job"}[5m])))`, "Latency p99"},
					{`time() - max by (instance) (process_start_time_seconds{job="$job"})`, "Uptime"},
				},
			}}},
			{"Over time", 8, []panel{
				lines("Ports up", "short", "Ports with a link, by switch. A step down that all share is a neighbour or a line card.",
					query{`sum by (instance) (portsyncd_port_oper_up{job="$job"})`, "{{instance}}"}),
				lines("Lost carriers", "short", "Times that ports lost their carrier, by switch, as the kernel counts.",
					query{`sum by (instance) (increase(portsyncd_port_carrier_down_changes_total{job="$job"}[$__rate_interval]))`, "{{instance}}"}),
			}},
			{"Databases", 8, []panel{
				lines("Latency p99", "s", "From the kernel to STATE_DB, 99th percentile. As a rule below a millisecond.",
					query{`histogram_quantile(0.99, sum by (instance, le) (rate(portsyncd_event_latency_seconds_bucket{job="$job"}[$__rate_interval])))`, "{{instance}}"}),
				lines("Failed exchanges", "ops", "Exchanges with the databases that failed, a second. Good: 0, but for a restart of Redis.",
					query{`sum by (instance) (rate(portsyncd_database_errors_total{job="$job"}[$__rate_interval]))`, "{{instance}}"}),
			}},
			{"What stands out", 8, []panel{
				{kind: "bargauge", title: "Ports that flap most", unit: "short", width: 12, linkTo: "portsyncd-port",
					description: "The ten ports that lost their carrier most often within the range of time shown; a click opens the port.",
					queries:     []query{{`topk(10, round(increase(portsyncd_port_carrier_down_changes_total{job="$job"}[$__range])))`, "{{instance}} {{port}}"}}},
				{kind: "table", title: "Versions", unit: "short", width: 12,
					description: "How many switches run which build.",
					queries:     []query{{`count by (version, revision, goversion) (portsyncd_build_info{job="$job"})`, "Switches"}}},
			}},
		},
	}
}
