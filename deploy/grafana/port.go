package main

// portDetail returns the dashboard of one port.
func portDetail() dashboard {
	const of = `{job="$job", instance="$instance", port="$port"}`
	flag := func(p panel) panel { p.flag = true; return p }
	return dashboard{
		uid: "portsyncd-port", title: "portsyncd / Port",
		description: "One port of one switch: state, flaps, MTU.",
		variables:   []variable{chooseJob, chooseInstance, choosePort},
		rows: []row{
			{"Now", 4, []panel{
				flag(stat("Link", "short", `portsyncd_port_oper_up`+of, "Whether the port has carrier (IFF_RUNNING).")),
				flag(stat("Admin up", "short", `portsyncd_port_admin_up`+of, "Whether the port is administratively up (IFF_UP).")),
				stat("MTU", "decbytes", `portsyncd_port_mtu_bytes`+of, "MTU of the interface."),
				stat("Last change", "dateTimeFromNow", `portsyncd_port_last_change_timestamp_seconds`+of+` * 1000`,
					"Time of the last change of state, MTU or carrier count that portsyncd received."),
				stat("Time with carrier", "percentunit", `avg_over_time(portsyncd_port_oper_up`+of+`[$__range])`,
					"Share of scrapes in the selected time range that found the port up. The counters below include changes between scrapes."),
				stat("Link-down transitions", "short", `round(increase(portsyncd_port_carrier_down_changes_total`+of+`[$__range]))`,
					"Link-down transitions in the selected time range, counted by the kernel. Normal: 0."),
			}},
			{"State", 6, []panel{
				states("State", "Link state and admin state at each scrape.",
					query{`portsyncd_port_oper_up` + of, "link"},
					query{`portsyncd_port_admin_up` + of, "admin up"}),
			}},
			{"Changes", 8, []panel{
				lines("Carrier", "short", "Link-up and link-down transitions counted by the kernel, including those whose messages were lost. "+
					"The two differ by at most one.",
					query{`increase(portsyncd_port_carrier_down_changes_total` + of + `[$__rate_interval])`, "link down"},
					query{`increase(portsyncd_port_carrier_up_changes_total` + of + `[$__rate_interval])`, "link up"}),
				lines("Changed rows", "short", "Writes of the STATE_DB row of the port that changed it. "+
					"If there are many more than transitions, something toggles the admin state or the MTU.",
					query{`increase(portsyncd_port_changes_total` + of + `[$__rate_interval])`, "changes"}),
			}},
			{"MTU and neighbors", 8, []panel{
				lines("MTU", "decbytes", "MTU of the interface. It follows the configuration.",
					query{`portsyncd_port_mtu_bytes` + of, "MTU"}),
				{kind: "bargauge", title: "Ports of this switch that flap most", unit: "short", width: 12, linkTo: "portsyncd-port",
					description: "The ten ports of the switch with the most link-down transitions in the selected time range. " +
						"Check whether other ports to the same neighbor are affected.",
					queries: []query{{`topk(10, round(increase(portsyncd_port_carrier_down_changes_total{job="$job", instance="$instance"}[$__range])))`, "{{port}}"}}},
			}},
		},
	}
}
