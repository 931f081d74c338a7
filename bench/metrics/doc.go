// Package metrics holds the exposition of portsyncd/metrics against others:
// its text is read by Prometheus' own parser and judged by promtool's linter,
// and its speed stands beside that of prometheus/client_golang and
// VictoriaMetrics/metrics. Run
//
//	go test ./metrics
//	go test ./metrics -run '^$' -bench . -benchmem
package metrics
