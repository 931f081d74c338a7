package main

// portDetail is one port.
func portDetail() dashboard {
	const of = `{job="$job", instance="$instance", port="$port"}`
	flag := func(p panel) panel { p.flag = true; return p }
	return dashboard{
		uid: "portsyncd-port", title: "portsyncd / Port",
		description: "One port of one switch: state, flaps, MTU.",
		variables:   []variable{chooseJob, chooseInstance, choosePort},
		rows: []row{
			{"Now", 4, []panel{
				flag(stat("Link", "short", `portsyncd_port_oper_up`+of, "Whether the port has carrier and runs (IFF_RUNNING).")),
				flag(stat("Enabled", "short", `portsyncd_port_admin_up`+of, "Whether the port is administratively up (IFF_UP).")),
				stat("MTU", "decbytes", `portsyncd_port_mtu_bytes`+of, "MTU of the interface."),
				stat("Last change", "dateTimeFromNow", `portsyncd_port_last_change_timestamp_seconds`+of+` * 1000`,
					"When state, MTU or carrier count last changed, as far as portsyncd saw."),
				stat("Had a link", "percentunit", `avg_over_time(portsyncd_port_oper_up`+of+`[$__range])`,
					"Share of the time shown in which scrapes found a link. What falls between two scrapes is in the counts below."),
				stat("Lost its carrier", "short", `round(increase(portsyncd_port_carrier_down_changes_total`+of+`[$__range]))`,
					"Times within the range of time shown, as the kernel counts. Good: 0."),
			}},
			{"State", 6, []panel{
				states("State", "Link and administrative state at each scrape.",
					query{`portsyncd_port_oper_up` + of, "link"},
					query{`portsyncd_port_admin_up` + of, "enabled"}),
			}},
			{"Changes", 8, []panel{
				lines("Carrier", "short", "Times that the carrier came and went, as the kernel counts: right even where messages were lost. "+
					"The two differ by one at most.",
					query{`increase(portsyncd_port_carrier_down_changes_total` + of + `[$__rate_interval])`, "went"},
					query{`increase(portsyncd_port_carrier_up_changes_total` + of + `[$__rate_interval])`, "came"}),
				lines("Writes that changed something", "short", "Writes of the port's row in STATE_DB that changed it. "+
					"Many more than changes of the carrier: administrative state or MTU is being switched.",
					query{`increase(portsyncd_port_changes_total` + of + `[$__rate_interval])`, "changes"}),
			}},
			{"Beside it", 8, []panel{
				lines("MTU", "decbytes", "MTU of the interface. It follows the configuration.",
					query{`portsyncd_port_mtu_bytes` + of, "MTU"}),
				{kind: "bargauge", title: "Ports of this switch that flap most", unit: "short", width: 12, linkTo: "portsyncd-port",
					description: "The ten ports of the switch that lost their carrier most often within the range of time shown. " +
						"Is it this port alone, or all to one neighbour?",
					queries: []query{{`topk(10, round(increase(portsyncd_port_carrier_down_changes_total{job="$job", instance="$instance"}[$__range])))`, "{{port}}"}}},
			}},
		},
	}
}
