package main

// portDetail returns the dashboard of one port.
func portDetail() dashboard {
	const of = `{job="$job", instance="$instance", port="$port"}`
	flag := func(p panel) panel { p.flag = true; return p }
	return dashboard{
		uid: "portsyncd-port", title: "portsyncd / Port",
		description: "State, flaps and MTU of a single port.",
		variables:   []variable{chooseJob, chooseInstance, choosePort},
		rows: []row{
			{"Now", 4, []panel{
				flag(stat("Link", "short", `portsyncd_port_oper_up`+of, "Whether the port has carrier (IFF_RUNNING).")),
				flag(stat("Admin up", "short", `portsyncd_port_admin_up`+of, "Whether the port is administratively up (IFF_UP).")),
				stat("MTU", "none", `portsyncd_port_mtu_bytes`+of, "MTU of the interface in bytes."),
				stat("Last change", "dateTimeFromNow", `(portsyncd_port_last_change_timestamp_seconds`+of+` > 0) * 1000`,
					"Time since the interface, its state, its MTU or its carrier counters last changed."),
				stat("Time with carrier", "percentunit", `avg_over_time(portsyncd_port_oper_up`+of+`[$__range])`,
					"Percentage of scrapes in the selected time range that found the port up. Shorter changes appear only in the counters."),
				stat("Link-down transitions", "short", `round(increase(portsyncd_port_carrier_down_changes_total`+of+`[$__range]))`,
					"Number of link-down transitions in the selected time range. Normal: 0."),
			}},
			{"State", 6, []panel{
				states("State", "Link state and admin state at each scrape.",
					query{`portsyncd_port_oper_up` + of, "link"},
					query{`portsyncd_port_admin_up` + of, "admin up"}),
			}},
			{"Changes", 8, []panel{
				lines("Carrier", "short", "Number of link-up and link-down transitions counted by the kernel, including transitions whose messages were lost.",
					query{`increase(portsyncd_port_carrier_down_changes_total` + of + `[$__rate_interval])`, "link down"},
					query{`increase(portsyncd_port_carrier_up_changes_total` + of + `[$__rate_interval])`, "link up"}),
				lines("Changed rows", "short", "Number of writes that changed the port's row in STATE_DB. "+
					"If it is much higher than the number of link transitions, another program keeps changing the admin state or the MTU.",
					query{`increase(portsyncd_port_changes_total` + of + `[$__rate_interval])`, "changes"}),
			}},
			{"MTU and other ports", 8, []panel{
				lines("MTU", "none", "MTU of the interface in bytes. Normal: the configured MTU.",
					query{`portsyncd_port_mtu_bytes` + of, "MTU"}),
				{kind: "bargauge", title: "Most frequently flapping ports of this switch", unit: "short", width: 12, linkTo: "portsyncd-port",
					description: "The ten ports of the switch with the most link-down transitions in the selected time range. " +
						"If these ports are connected to the same neighbor, check the neighbor.",
					queries: []query{{`topk(10, round(increase(portsyncd_port_carrier_down_changes_total{job="$job", instance="$instance"}[$__range])))`, "{{port}}"}}},
			}},
		},
	}
}
