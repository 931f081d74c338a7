// Package metrics compares the output of portsyncd/metrics with that of other libraries.
// Prometheus's own parser reads its text, promlint checks it, and benchmarks compare its speed with
// prometheus/client_golang and VictoriaMetrics/metrics:
//
//	go test ./metrics
//	go test ./metrics -run '^$' -bench . -benchmem
package metrics
