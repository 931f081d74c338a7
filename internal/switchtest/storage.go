package switchtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/warmrestart"
)

// StorageSwitch is a switch whose daemon has a configuration file and keeps its files in the
// test's directory.
type StorageSwitch struct {
	*Switch
	ConfigPath string // path of the configuration file
	StatePath  string // path of the state file
	StorageDir string // directory of all other files
}

// NewWithStorage is like New, but the daemon has a configuration file and directories for the files
// that it keeps across restarts.
func NewWithStorage(t T) *StorageSwitch {
	t.Helper()
	sw := New(t)
	if sw == nil {
		return nil
	}
	s := &StorageSwitch{Switch: sw, ConfigPath: sw.Dir + "/portsyncd.conf", StatePath: sw.Dir + "/state/port_state.json", StorageDir: sw.Dir + "/metrics"}
	s.WriteSettings("", "")
	return s
}

// WriteSettings writes the configuration file with additional lines in the tables warm_restart and
// metrics.
func (sw *StorageSwitch) WriteSettings(warmRestart, metrics string) {
	sw.T.Helper()
	WriteFile(sw.T, sw.ConfigPath, fmt.Sprintf("[warm_restart]\nstate_file = %q\n%s\n[metrics]\nstorage_path = %q\n%s\n",
		sw.StatePath, warmRestart, sw.StorageDir, metrics))
}

// StartConfigured starts the daemon with the configuration file and waits for READY=1.
func (sw *StorageSwitch) StartConfigured() *Daemon {
	sw.T.Helper()
	d := sw.Start(StartOptions{Args: []string{"-c", sw.ConfigPath}})
	d.AwaitReady()
	return d
}

// Reload sends SIGHUP and waits for READY=1.
func (sw *StorageSwitch) Reload(d *Daemon) {
	sw.T.Helper()
	n := d.Notifications.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitNotification(n, Timeout, "READY=1")
}

// StartEarlier leaves the files of an earlier life of the switch: a journal that is larger than what the
// daemon keeps, and what the given number of cold starts with these ports write.
func (sw *StorageSwitch) StartEarlier(starts, ports int) {
	sw.T.Helper()
	const size = 2 << 20 // bytes of events
	var text []byte
	for n := 0; len(text) < size; n++ {
		e := journal.Event{Time: time.Now().Add(-time.Hour), Seq: uint64(n + 1), Kind: journal.LinkDown, Port: PortName(n % ports),
			Flaps: 1, After: time.Minute, Index: int32(n%ports + 2), Admin: journal.Up, Oper: journal.Down, MTU: 9100, CarrierDown: uint32(n)}
		text = append(e.AppendJSON(text), '\n')
	}
	sw.NoError("create the storage directory", os.MkdirAll(sw.StorageDir, 0o755))
	WriteFile(sw.T, filepath.Join(sw.StorageDir, journal.FileName), string(text))
	sw.ConfigurePorts(ports)
	for range starts {
		sw.StartConfigured().EndBySignal(syscall.SIGTERM, "an earlier start")
		sw.Do("APPL_DB", "FLUSHDB")
		sw.Do("STATE_DB", "FLUSHDB")
	}
}

// BringUpSaved is like BringUp but uses the configuration file. It waits until the state file shows
// all ports as up.
func (sw *StorageSwitch) BringUpSaved(ports int) *Daemon {
	sw.T.Helper()
	sw.ConfigurePorts(ports)
	d := sw.StartConfigured()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout)
	Eventually(sw.T, Timeout, func() string {
		up := 0
		for _, p := range sw.SavedPorts() {
			if p.Oper {
				up++
			}
		}
		if up != ports {
			return fmt.Sprintf("%d ports are up in the state file, want %d", up, ports)
		}
		return ""
	})
	return d
}

// StateFile returns a snapshot.File with which a test can read the daemon's state file.
func (sw *StorageSwitch) StateFile() *snapshot.File {
	return &snapshot.File{Path: sw.StatePath, Schema: 1}
}

// SavedPorts returns the ports in the state file, or nil if the file cannot be read.
func (sw *StorageSwitch) SavedPorts() []warmrestart.Port {
	got, err := sw.StateFile().Peek()
	if err != nil {
		return nil
	}
	var body struct{ Ports []warmrestart.Port }
	sw.NoError("read the state file", json.Unmarshal(got.Body, &body))
	return body.Ports
}

// MetricsFile is the body of metrics.json.
type MetricsFile struct {
	Counters warmrestart.Counters
	Restarts []warmrestart.Restart
}

// ReadMetricsFile returns the body of metrics.json. It fails the test if the file cannot be read.
func (sw *StorageSwitch) ReadMetricsFile() MetricsFile {
	sw.T.Helper()
	m, err := sw.tryMetricsFile()
	sw.NoError("read metrics.json", err)
	return m
}

// tryMetricsFile is like ReadMetricsFile but returns the error.
func (sw *StorageSwitch) tryMetricsFile() (m MetricsFile, err error) {
	f := snapshot.File{Path: sw.StorageDir + "/metrics.json", Schema: 1}
	got, err := f.Peek()
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(got.Body, &m)
}

// AwaitRestarts waits until metrics.json exists and contains n restart records, and returns the last
// one.
func (sw *StorageSwitch) AwaitRestarts(n int) warmrestart.Restart {
	sw.T.Helper()
	var m MetricsFile
	Eventually(sw.T, Timeout, func() string {
		var err error
		if m, err = sw.tryMetricsFile(); err != nil || len(m.Restarts) != n {
			return fmt.Sprintf("%d records, %v, want %d", len(m.Restarts), err, n)
		}
		return ""
	})
	return m.Restarts[n-1]
}

// HistorySample is a line of history.jsonl.
type HistorySample struct {
	Time     time.Time
	Health   string
	Restarts map[string]uint64
	Events   *uint64
	Repairs  *uint64
	Up       *int `json:"ports_up"`
	Present  *int `json:"ports_present"`
	Flaps    []warmrestart.PortFlaps
	Latency  *struct {
		Count uint64
		P50   int64 `json:"p50_ns"`
		P99   int64 `json:"p99_ns"`
	}
}

// ReadHistory returns the samples in history.jsonl. It fails the test if a line is corrupt.
func (sw *StorageSwitch) ReadHistory() (lines []HistorySample) {
	sw.T.Helper()
	h := snapshot.Log{Path: sw.StorageDir + "/history.jsonl"}
	stats, err := h.Read(time.Time{}, func(text []byte) error {
		var l HistorySample
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("decode sample %q: %w", text, err)
		}
		lines = append(lines, l)
		return nil
	})
	sw.NoError("read the history", err)
	if stats.Bad > 0 {
		sw.T.Errorf("history has %d invalid lines", stats.Bad)
	}
	return lines
}

// AwaitHistory waits until history.jsonl has at least n samples.
func (sw *StorageSwitch) AwaitHistory(n int) []HistorySample {
	sw.T.Helper()
	var lines []HistorySample
	Eventually(sw.T, Timeout, func() string {
		if lines = sw.ReadHistory(); len(lines) < n {
			return fmt.Sprintf("%d samples, want %d", len(lines), n)
		}
		return ""
	})
	return lines
}
