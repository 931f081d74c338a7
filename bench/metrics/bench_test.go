package metrics

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	victoria "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	ours "portsyncd/metrics"
)

// BenchmarkScrape renders the same series as text with each library into a reused buffer.
func BenchmarkScrape(b *testing.B) {
	sizes := []struct{ ports, families int }{
		{512, threeFamilies},
		{512, allFamilies},
		{10_000, allFamilies},
	}
	for _, size := range sizes {
		name := fmt.Sprintf("%d_ports_%d_series", size.ports, size.ports*size.families)
		b.Run(name+"/portsyncd", func(b *testing.B) {
			set := ourPorts(size.ports, size.families)
			buf := set.AppendText(nil)
			b.ReportAllocs()
			for b.Loop() {
				buf = set.AppendText(buf[:0])
			}
			b.ReportMetric(float64(len(buf)), "text-bytes")
		})
		b.Run(name+"/client_golang", func(b *testing.B) {
			reg := clientGolangPorts(size.ports, size.families)
			var buf bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				buf.Reset()
				clientGolangScrape(b, reg, &buf)
			}
			b.ReportMetric(float64(buf.Len()), "text-bytes")
		})
		b.Run(name+"/VictoriaMetrics", func(b *testing.B) {
			set := victoriaPorts(size.ports, size.families)
			var buf bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				buf.Reset()
				set.WritePrometheus(&buf)
			}
			b.ReportMetric(float64(buf.Len()), "text-bytes")
		})
	}
}

// clientGolangScrape renders as promhttp does for a text scrape.
func clientGolangScrape(tb testing.TB, reg *prometheus.Registry, w io.Writer) {
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	enc := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkScrapeStandardFamilies renders the families process_* and go_*, with their system
// calls.
func BenchmarkScrapeStandardFamilies(b *testing.B) {
	set := ours.NewSet()
	set.AddGo()
	if err := set.AddProcess(); err != nil {
		b.Fatal(err)
	}
	buf := set.AppendText(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = set.AppendText(buf[:0])
	}
}

// BenchmarkScrapeJSON renders the JSON of 512 ports.
func BenchmarkScrapeJSON(b *testing.B) {
	set := ourPorts(512, allFamilies)
	buf := set.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = set.AppendJSON(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "json-bytes")
}

func BenchmarkCounterInc(b *testing.B) {
	b.Run("portsyncd", func(b *testing.B) {
		c := ours.NewSet().NewCounter("x_total", "help")
		b.ReportAllocs()
		for b.Loop() {
			c.Inc()
		}
	})
	b.Run("client_golang", func(b *testing.B) {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total", Help: "help"})
		b.ReportAllocs()
		for b.Loop() {
			c.Inc()
		}
	})
	b.Run("VictoriaMetrics", func(b *testing.B) {
		c := victoria.NewSet().NewCounter("x_total")
		b.ReportAllocs()
		for b.Loop() {
			c.Inc()
		}
	})
}

// latencyBounds are the bounds of a histogram of seconds from 50 µs up.
var latencyBounds = []float64{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1}

// BenchmarkHistogramObserve observes values in all buckets.
func BenchmarkHistogramObserve(b *testing.B) {
	values := make([]float64, 0, len(latencyBounds)+1)
	for _, v := range latencyBounds {
		values = append(values, v*0.9)
	}
	values = append(values, 2)
	run := func(b *testing.B, observe func(float64)) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			observe(values[i])
			if i++; i == len(values) {
				i = 0
			}
		}
	}
	b.Run("portsyncd", func(b *testing.B) {
		run(b, ours.NewSet().NewHistogram("x_seconds", "help", latencyBounds).Observe)
	})
	b.Run("client_golang", func(b *testing.B) {
		run(b, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "x_seconds", Help: "help", Buckets: latencyBounds}).Observe)
	})
	b.Run("VictoriaMetrics", func(b *testing.B) {
		run(b, victoria.NewSet().NewPrometheusHistogramExt("x_seconds", latencyBounds).Update)
	})
}
