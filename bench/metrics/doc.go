// Package metrics compares the exposition of portsyncd/metrics with other libraries: Prometheus'
// own parser reads its text, promlint checks it, and benchmarks compare its speed with
// prometheus/client_golang and VictoriaMetrics/metrics. Run
//
//	go test ./metrics
//	go test ./metrics -run '^$' -bench . -benchmem
package metrics
