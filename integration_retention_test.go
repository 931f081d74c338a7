package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/config"
	"portsyncd/netlinkraw"
	"portsyncd/snapshot"
	"portsyncd/warmrestart"
)

// These tests change each of the six settings of retention in the file and look
// at what the daemon does, at its start and, where the setting is live, at
// SIGHUP.

// historyLine is one sample.
type historyLine struct {
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

// samples returns the history that the daemon has written.
func (k *keeper) samples() (lines []historyLine) {
	k.t.Helper()
	h := snapshot.Log{Path: k.storage + "/history.jsonl"}
	stats, err := h.Read(time.Time{}, func(text []byte) error {
		var l historyLine
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("sample %q: %w", text, err)
		}
		lines = append(lines, l)
		return nil
	})
	k.must("read the history", err)
	if stats.Bad > 0 {
		k.t.Errorf("%d bad lines in the history", stats.Bad)
	}
	return lines
}

// awaitSamples waits until there are n samples at least.
func (k *keeper) awaitSamples(n int) []historyLine {
	k.t.Helper()
	var lines []historyLine
	eventually(k.t, patience, func() string {
		if lines = k.samples(); len(lines) < n {
			return fmt.Sprintf("%d samples, want %d", len(lines), n)
		}
		return ""
	})
	return lines
}

// TestHistoryFlaps: the samples name each time that the carrier of a port went, as the
// kernel counts, although between two samples the port is created again, and renamed
// away and back.
func TestHistoryFlaps(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	k.write("", "save_interval_secs = 1")
	k.settle(2)
	name := portName(0)
	flap := func(times int) {
		for range times {
			k.must("flap", errors.Join(k.links.SetUp(peerName(name), false), k.links.SetUp(peerName(name), true)))
		}
		k.must("end without carrier", k.links.SetUp(peerName(name), false))
	}
	downs := func(name string) (n uint64) {
		k.must("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			if string(l.Name) == name {
				n = uint64(l.CarrierDown)
			}
		}))
		return n
	}
	flap(5)
	want := downs(name)
	k.must("delete the port", k.links.Delete(name))
	k.addPort(name)
	flap(7)
	k.must("rename it away and back", errors.Join(
		k.links.SetUp(name, false), k.links.Rename(name, "eth77"), k.links.Rename("eth77", name), k.links.SetUp(name, true)))
	flap(3)
	again := downs(name)
	if want < 5 || again < 10 {
		t.Fatalf("the kernel counted %d and %d flaps, want at least 5 and 10", want, again)
	}
	want += again
	eventually(t, patience, func() string {
		got := uint64(0)
		for _, s := range k.samples() {
			for _, f := range s.Flaps {
				if f.Port == name {
					got += f.Downs
				}
			}
		}
		if got != want {
			return fmt.Sprintf("the samples have %d flaps of %s, want %d", got, name, want)
		}
		return ""
	})
}

// awaitFile waits until a file under the storage path is there, or is not.
func (k *keeper) awaitFile(name string, there bool) {
	k.t.Helper()
	eventually(k.t, patience, func() string {
		if _, err := os.Stat(filepath.Join(k.storage, name)); (err == nil) != there {
			return fmt.Sprintf("%s: %v, want it to be there: %v", name, err, there)
		}
		return ""
	})
}

// old puts a file under the storage path that was last written some days ago.
func (k *keeper) old(name string, days int, text string) {
	k.t.Helper()
	path, at := filepath.Join(k.storage, name), time.Now().AddDate(0, 0, -days)
	k.must("write "+name, errors.Join(
		os.MkdirAll(k.storage, 0o750), os.WriteFile(path, []byte(text), 0o640), os.Chtimes(path, at, at)))
}

// TestSaveInterval writes a sample each interval, with all that a sample has,
// and takes a new interval at once. An incomplete last line is nobody's harm.
func TestSaveInterval(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	k.old("history.jsonl", 0, `{"time":"2026-10-05T10:11:12Z","torn`)
	d := k.settle(warmPorts)
	if got := k.samples(); len(got) > 0 { // 300 s by default
		t.Errorf("%d samples after a moment", len(got))
	}
	k.write("", "save_interval_secs = 1")
	k.reload(d)
	k.ip("link set " + portName(0) + " mtu 1400")
	lines := k.awaitSamples(3)
	for i := 1; i < len(lines); i++ {
		if gap := lines[i].Time.Sub(lines[i-1].Time); gap < 900*time.Millisecond {
			t.Errorf("samples %v apart, want a second", gap)
		}
	}
	l := lines[len(lines)-1]
	if l.Health != "healthy" || l.Restarts["cold_starts"] != 1 || l.Events == nil || *l.Events == 0 || l.Repairs == nil ||
		l.Up == nil || *l.Up != warmPorts || l.Present == nil || *l.Present != warmPorts {
		t.Errorf("sample %+v", l)
	}
	if l := lines[0].Latency; l == nil || l.Count == 0 || l.P50 <= 0 || l.P99 < l.P50 {
		t.Errorf("latencies %+v in the first sample, want those of the start", l)
	}
	k.write("", "save_interval_secs = 3600")
	k.reload(d)
	n := len(k.samples())
	throughout(t, 1500*time.Millisecond, func() string {
		if got := len(k.samples()); got > n {
			return fmt.Sprintf("%d samples, want no more than %d", got, n)
		}
		return ""
	})
	text, err := os.ReadFile(k.storage + "/history.jsonl")
	k.must("read the history", err)
	prom, err := os.ReadFile(k.storage + "/portsyncd.prom")
	k.must("read the export", err)
	last := bytes.LastIndexByte(text[:len(text)-1], '\n')
	t.Logf("a sample has %d bytes, so a day of 288 has %d; the export of %d ports has %d",
		len(text)-last-1, 288*(len(text)-last-1), warmPorts, len(prom))
}

// TestRetentionDays removes earlier parts of the history, and files set aside,
// once they are old enough, and nothing else.
func TestRetentionDays(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	part := func(n, days int) string {
		return fmt.Sprintf("history-%06d-%s.jsonl", n, time.Now().AddDate(0, 0, -days).UTC().Format("20060102T150405Z"))
	}
	oldest, older, newest := part(1, 40), part(2, 20), part(3, 0)
	foreign := []string{"history-notes.jsonl", "metrics.json.bak", "history.jsonl.old", "core"}
	for name, days := range map[string]int{oldest: 40, older: 20, newest: 0} {
		k.old(name, days, "{}\n")
	}
	for _, name := range foreign {
		k.old(name, 4000, "somebody's")
	}
	k.write("", "save_interval_secs = 1\nretention_days = 30")
	d := k.settle(1)
	k.awaitFile(oldest, false)
	k.awaitFile(older, true)
	k.write("", "save_interval_secs = 1\nretention_days = 10")
	k.reload(d)
	k.awaitFile(older, false)
	k.awaitFile(newest, true)
	k.awaitSamples(2)
	for _, name := range foreign {
		if text, err := os.ReadFile(filepath.Join(k.storage, name)); err != nil || string(text) != "somebody's" {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}

// TestMaxFileSize begins a new file at the size that the setting says.
func TestMaxFileSize(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	line := fmt.Sprintf("{\"time\":%q}\n", time.Now().UTC().Format(time.RFC3339))
	k.old("history.jsonl", 0, strings.Repeat(line, 1<<20/len(line)))
	parts := func() int { return len(beside(t, k.storage, "/history-")) }
	k.write("", "save_interval_secs = 1\nmax_file_size_mb = 2")
	d := k.settle(1)
	before := len(k.samples())
	k.awaitSamples(before + 2)
	if n := parts(); n != 0 {
		t.Errorf("%d finished files below 2 MiB", n)
	}
	k.write("", "save_interval_secs = 1\nmax_file_size_mb = 1")
	k.reload(d)
	k.awaitSamples(len(k.samples()) + 2)
	if n := parts(); n != 1 {
		t.Errorf("%d finished files, want one of 1 MiB", n)
	}
	if info, err := os.Stat(k.storage + "/history.jsonl"); err != nil || info.Size() > 10_000 {
		t.Errorf("the new file: %v, %v", info, err)
	}
}

// TestExportFormat writes the files that the setting asks for, and removes those
// that it does not ask for any more.
func TestExportFormat(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	const text, structured = "portsyncd.prom", "metrics-export.json"
	k.write("", "save_interval_secs = 1")
	d := k.settle(warmPorts)
	k.awaitFile(text, true)
	k.awaitFile(structured, false)
	eventually(t, patience, func() string {
		b, err := os.ReadFile(filepath.Join(k.storage, text))
		values := samples(string(b))
		if err != nil || values["portsyncd_cold_starts"] != "1" || values["portsyncd_ports_present"] != fmt.Sprint(warmPorts) {
			return fmt.Sprintf("exported are %q, %v", b, err)
		}
		return ""
	})
	if b, err := os.ReadFile(filepath.Join(k.storage, text)); err != nil || bytes.Contains(b, []byte("\ngo_")) || bytes.Contains(b, []byte("\nprocess_")) {
		t.Errorf("exported is what node_exporter has of itself: %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(k.storage, text)); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; want one that node_exporter can read", info.Mode(), err)
	}
	for _, c := range []struct {
		format           string
		text, structured bool
	}{{"json", false, true}, {"both", true, true}, {"prometheus", true, false}} {
		k.write("", fmt.Sprintf("save_interval_secs = 1\nexport_format = %q", c.format))
		k.reload(d)
		k.awaitFile(text, c.text)
		k.awaitFile(structured, c.structured)
		if c.structured {
			b, err := os.ReadFile(filepath.Join(k.storage, structured))
			if err != nil || !json.Valid(b) || !bytes.Contains(b, []byte("portsyncd_cold_starts")) {
				t.Errorf("exported are %q, %v", b, err)
			}
		}
	}
}

// TestMetricsDisabled keeps nothing and listens nowhere, and synchronises ports.
// The state file is another matter.
func TestMetricsDisabled(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	k.write("", "enabled = false\nsave_interval_secs = 1")
	d := k.settle(warmPorts)
	throughout(t, 1200*time.Millisecond, func() string {
		if _, err := os.Stat(k.storage); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s: %v, want nothing", k.storage, err)
		}
		return ""
	})
	if conn, err := net.Dial("tcp", metricsAddress); err == nil {
		conn.Close()
		t.Error("something listens at " + metricsAddress)
	}
	k.needsRestart(d, "", "save_interval_secs = 1", "metrics.enabled")
	if _, err := os.Stat(k.storage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want nothing before the restart", k.storage, err)
	}
	d.kill()
	k.launch()
	if r := k.awaitRecord(1); r.Kind != "warm" {
		t.Errorf("record %+v, want a warm start by the state file", r)
	}
	k.awaitFile("history.jsonl", true)
}

// TestStoragePath moves the files at the next start, and not before.
func TestStoragePath(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	k.write("", "save_interval_secs = 1")
	d := k.settle(1)
	first := k.storage
	k.awaitFile("history.jsonl", true)
	k.storage += "-elsewhere/deeper"
	k.needsRestart(d, "", "save_interval_secs = 1", "metrics.storage_path", k.storage)
	if _, err := os.Stat(k.storage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want nothing before the restart", k.storage, err)
	}
	d.kill()
	k.launch()
	for _, name := range []string{"metrics.json", "history.jsonl", "portsyncd.prom"} {
		k.awaitFile(name, true)
	}
	if r := k.awaitRecord(1); r.Kind != "warm" {
		t.Errorf("record %+v", r)
	}
	if info, err := os.Stat(k.storage); err != nil || info.Mode() != os.ModeDir|0o755 {
		t.Errorf("mode %v, %v; want 0755", info.Mode(), err)
	}
	k.storage = first
	if m := k.stored(); len(m.Restarts) != 1 {
		t.Errorf("the former place has %+v", m)
	}
}

// needsRestart reloads a file with a setting that is not live: the log says so.
func (k *keeper) needsRestart(d *program, warmRestart, metrics, key string, words ...string) {
	k.t.Helper()
	if slices.Contains(config.LiveKeys(), key) {
		k.t.Errorf("%s is live", key)
	}
	k.write(warmRestart, metrics)
	lines := k.logs.len()
	k.reload(d)
	k.awaitLog(lines, patience, append(words, key, "needs a restart")...)
}

// TestHistoryMaxRestarts keeps as many records as the setting says, from the
// moment that it says so.
func TestHistoryMaxRestarts(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	d := k.settle(1)
	for n := range 2 {
		k.awaitRecord(n + 1)
		d.kill()
		d = k.launch()
	}
	k.awaitRecord(3)
	k.write("history_max_restarts = 2", "")
	k.reload(d)
	k.awaitRecord(2)
	d.kill()
	k.launch()
	eventually(t, patience, func() string {
		if m := k.stored(); m.Counters.WarmRestarts != 3 || len(m.Restarts) != 2 {
			return fmt.Sprintf("%+v with %d records, want 3 warm restarts with 2", m.Counters, len(m.Restarts))
		}
		return ""
	})
}
