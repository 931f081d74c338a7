package warmrestart

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchHistory is a storage path with so many samples, 5 minutes apart, of 512
// ports of which some flap, and 100 restarts. The last sample is at noon.
func benchHistory(b *testing.B, samples int) (s storage, bytes int64) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var restarts []Restart
	for i := range manyRestarts {
		at := noon.Add(-time.Duration(manyRestarts-i) * 7 * time.Hour)
		restarts = append(restarts, Restart{At: at, Kind: Warm, Reason: "only the process was restarted",
			Duration: time.Duration(1e6 * math.Exp(r.NormFloat64())), EOIU: true, EOIULatency: time.Duration(1e6 * r.Float64()),
			Process: at, LastAlive: at.Add(-time.Second), Events: 600, Compared: manyPorts})
	}
	s = newStorage(b).restarts(restarts...)
	file, err := os.Create(filepath.Join(s.dir, historyFile))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	line := Sample{Process: noon, Health: "healthy", Score: 100, Configured: manyPorts, Present: manyPorts, Up: manyPorts - 3}
	for i := range samples {
		line.Time = noon.Add(-time.Duration(samples-1-i) * 5 * time.Minute)
		line.Events += r.Uint64N(100)
		line.Writes, line.Exchanges = line.Events, line.Events
		p99 := int64(1e6 * math.Exp(r.NormFloat64()))
		line.Latency = &Latency{Count: 50, Kept: 50, P50: p99 / 4, P95: p99 / 2, P99: p99, Max: 2 * p99}
		line.Flaps = line.Flaps[:0]
		for range r.IntN(4) {
			line.Flaps = append(line.Flaps, PortFlaps{Port: fmt.Sprintf("Ethernet%d", 4*r.IntN(manyPorts)), Downs: 1 + r.Uint64N(3), Penalty: 1000 * (1 + r.Float64())})
		}
		w.Write(append(encode(&line), '\n'))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return s, size(b, file.Name())
}

// BenchmarkHistory measures reading and analyzing the history that the default settings keep:
// 30 days with a sample every 5 minutes.
func BenchmarkHistory(b *testing.B) {
	const samples = 8640
	s, bytes := benchHistory(b, samples)
	b.Run("both", func(b *testing.B) {
		b.SetBytes(bytes)
		b.ReportAllocs()
		for b.Loop() {
			a := Analyze(s.read(time.Time{}, 0), AnalysisOptions{Now: noon, Settings: someSettings})
			if a.Samples != samples || a.Restarts != manyRestarts {
				b.Fatal(a.Samples, a.Restarts)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(bytes)
		b.ReportAllocs()
		for b.Loop() {
			s.read(time.Time{}, 0)
		}
	})
	h := s.read(time.Time{}, 0)
	b.Run("analyze", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Analyze(h, AnalysisOptions{Now: noon, Settings: someSettings})
		}
	})
}
