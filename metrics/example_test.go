package metrics_test

import (
	"fmt"

	"portsyncd/metrics"
)

func ExampleCounter() {
	set := metrics.NewSet()
	events := set.NewCounter("demo_events_total", "Events seen.")
	events.Inc()
	events.Add(1 << 53)
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_events_total Events seen.
	// # TYPE demo_events_total counter
	// demo_events_total 9007199254740993
}

func ExampleGauge() {
	set := metrics.NewSet()
	fill := set.NewGauge("demo_fill_ratio", "Fill level of the buffer, from 0 to 1.")
	fill.Set(0.5)
	fill.Add(-0.25)
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_fill_ratio Fill level of the buffer, from 0 to 1.
	// # TYPE demo_fill_ratio gauge
	// demo_fill_ratio 0.25
}

func ExampleIntGauge() {
	set := metrics.NewSet()
	set.NewIntGauge("demo_balance_bytes", "Bytes in transit.").Add(-9223372036854775808)
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_balance_bytes Bytes in transit.
	// # TYPE demo_balance_bytes gauge
	// demo_balance_bytes -9223372036854775808
}

func ExampleHistogram() {
	set := metrics.NewSet()
	took := set.NewHistogram("demo_wait_seconds", "Time waited, in seconds.", []float64{50e-6, 0.1, 10})
	took.Observe(0.00004)
	took.Observe(0.1) // a bound belongs to its bucket
	took.Observe(60)
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_wait_seconds Time waited, in seconds.
	// # TYPE demo_wait_seconds histogram
	// demo_wait_seconds_bucket{le="5e-05"} 1
	// demo_wait_seconds_bucket{le="0.1"} 2
	// demo_wait_seconds_bucket{le="10"} 2
	// demo_wait_seconds_bucket{le="+Inf"} 3
	// demo_wait_seconds_sum 60.10004
	// demo_wait_seconds_count 3
}

func ExampleVec() {
	set := metrics.NewSet()
	ignored := set.NewCounterVec("demo_ignored_total", "Messages ignored, by reason.", "reason", "team", "old_index")
	const oldIndex = 1 // an enumeration of small integers
	ignored.At(oldIndex).Inc()
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_ignored_total Messages ignored, by reason.
	// # TYPE demo_ignored_total counter
	// demo_ignored_total{reason="team"} 0
	// demo_ignored_total{reason="old_index"} 1
}

func ExampleGroup() {
	set := metrics.NewSet()
	ports := set.NewGroup("port")
	up := ports.NewIntGauge("demo_port_up", "1 if the link is up.")
	changes := ports.NewCounter("demo_port_changes_total", "Link state changes.")

	ten, two := ports.Add("Ethernet10"), ports.Add("Ethernet2")
	up.In(ten).SetBool(true)
	changes.In(two).Add(3)
	fmt.Printf("%s---\n", set.AppendText(nil))
	ten.Remove()
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_port_up 1 if the link is up.
	// # TYPE demo_port_up gauge
	// demo_port_up{port="Ethernet2"} 0
	// demo_port_up{port="Ethernet10"} 1
	// # HELP demo_port_changes_total Link state changes.
	// # TYPE demo_port_changes_total counter
	// demo_port_changes_total{port="Ethernet2"} 3
	// demo_port_changes_total{port="Ethernet10"} 0
	// ---
	// # HELP demo_port_up 1 if the link is up.
	// # TYPE demo_port_up gauge
	// demo_port_up{port="Ethernet2"} 0
	// # HELP demo_port_changes_total Link state changes.
	// # TYPE demo_port_changes_total counter
	// demo_port_changes_total{port="Ethernet2"} 3
}

func ExampleSet_NewCounter() {
	set := metrics.NewSet()
	for _, code := range []string{"200", "404"} {
		set.NewCounter("demo_requests_total", "Requests, by path and code.",
			metrics.Label{Name: "path", Value: "/"}, metrics.Label{Name: "code", Value: code})
	}
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_requests_total Requests, by path and code.
	// # TYPE demo_requests_total counter
	// demo_requests_total{path="/",code="200"} 0
	// demo_requests_total{path="/",code="404"} 0
}

func ExampleSet_NewGaugeFunc() {
	set := metrics.NewSet()
	waiting := []string{"Ethernet0", "Ethernet4"}
	set.NewGaugeFunc("demo_waiting_ports", "Number of waiting ports.", func() float64 { return float64(len(waiting)) })
	set.NewCounterFunc("demo_calls_total", "Function calls.", func() uint64 { return 7 })
	fmt.Printf("%s", set.AppendText(nil))
	// Output:
	// # HELP demo_waiting_ports Number of waiting ports.
	// # TYPE demo_waiting_ports gauge
	// demo_waiting_ports 2
	// # HELP demo_calls_total Function calls.
	// # TYPE demo_calls_total counter
	// demo_calls_total 7
}

func ExampleSet_AppendJSON() {
	set := metrics.NewSet()
	set.NewCounter("demo_events_total", "Events seen.", metrics.Label{Name: "kind", Value: `a "b"`}).Inc()
	set.NewHistogram("demo_wait_seconds", "Time waited, in seconds.", []float64{1}).Observe(3)
	fmt.Printf("%s", set.AppendJSON(nil))
	// Output:
	// {"schema":1,"families":[{"name":"demo_events_total","type":"counter","help":"Events seen.","samples":[{"labels":{"kind":"a \"b\""},"value":1}]},{"name":"demo_wait_seconds","type":"histogram","help":"Time waited, in seconds.","samples":[{"labels":{},"buckets":[{"le":"1","count":0},{"le":"+Inf","count":1}],"sum":3,"count":1}]}]}
}
