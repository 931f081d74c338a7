package warmrestart

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// Sizes of a large switch, and of the history that is kept by default.
const (
	manyPorts    = 512
	manyRestarts = 100
)

func fullPorts() []Port {
	ports := make([]Port, manyPorts)
	for i := range ports {
		ports[i] = Port{Name: fmt.Sprintf("Ethernet%d", 4*i), LinkState: netlinkraw.LinkState{Index: int32(i + 3), Admin: true, Oper: true,
			MTU: 9100, CarrierUp: 17, CarrierDown: 16}}
	}
	return ports
}

func fullMetrics() metricsBody {
	b := newMetricsBody()
	for range manyRestarts {
		b.add(Restart{At: time.Now(), Kind: Warm, Reason: "only the process was restarted",
			Duration: 5 * time.Millisecond, EOIU: true, Compared: manyPorts})
	}
	return b
}

// save writes both files.
func save(tb testing.TB, m *Recorder) {
	m.body, m.pendingPorts = fullMetrics(), fullPorts()
	for _, file := range []int{fileState, fileMetrics} {
		m.markDirty(file)
	}
	m.writeDirty()
	if got := m.Problems(); got != nil {
		tb.Fatal(got)
	}
}

// benchRecorder returns a Recorder in a temporary directory.
func benchRecorder(b *testing.B) (*Recorder, Config) {
	c := config(b.TempDir())
	c.Log, c.Families = discard, NewFamilies(metrics.NewSet())
	rec := New(c)
	rec.load()
	return rec, c
}

// BenchmarkSave measures durable writes of both files with 512 ports and 100 restarts.
func BenchmarkSave(b *testing.B) {
	m, c := benchRecorder(b)
	for b.Loop() {
		m.ports = m.file(c.StateFile, portsSchema, checkPorts) // which makes it write
		save(b, m)
	}
	b.ReportMetric(float64(size(b, c.StateFile)), "state-bytes")
	b.ReportMetric(float64(size(b, filepath.Join(c.StoragePath, metricsFile))), "metrics-bytes")
}

// BenchmarkLoad measures reading both files.
func BenchmarkLoad(b *testing.B) {
	m, c := benchRecorder(b)
	save(b, m)
	c.Log = discard
	for b.Loop() {
		c.Families = NewFamilies(metrics.NewSet())
		rec := New(c)
		if rec.load(); !rec.HasState() {
			b.Fatal("no state found")
		}
	}
}

// BenchmarkHandOver measures the time of the event loop for a save.
func BenchmarkHandOver(b *testing.B) {
	m, _ := benchRecorder(b)
	ports := fullPorts()
	b.ReportAllocs()
	for b.Loop() {
		m.RecordPorts(ports)
	}
}

func size(tb testing.TB, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return info.Size()
}
