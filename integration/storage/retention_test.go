package storage

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
	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// These tests change each of the six retention settings and check their effect at the start and,
// for live settings, after SIGHUP.

// TestHistoryFlaps checks that the samples count each link down of a port as the kernel does, even
// if the port is made again, or renamed away and back, between two samples.
func TestHistoryFlaps(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	sw.WriteSettings("", "save_interval_secs = 1")
	sw.BringUpSaved(2)
	name := switchtest.PortName(0)
	flap := func(times int) {
		for range times {
			sw.NoError("flap", errors.Join(sw.Links.SetUp(switchtest.PeerName(name), false), sw.Links.SetUp(switchtest.PeerName(name), true)))
		}
		sw.NoError("end without carrier", sw.Links.SetUp(switchtest.PeerName(name), false))
	}
	downs := func(name string) (n uint64) {
		sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			if string(l.Name) == name {
				n = uint64(l.CarrierDown)
			}
		}))
		return n
	}
	flap(5)
	want := downs(name)
	sw.NoError("delete the port", sw.Links.Delete(name))
	sw.AddPort(name)
	flap(7)
	sw.NoError("rename the port away and back", errors.Join(
		sw.Links.SetUp(name, false), sw.Links.Rename(name, "eth77"), sw.Links.Rename("eth77", name), sw.Links.SetUp(name, true)))
	flap(3)
	again := downs(name)
	if want < 5 || again < 10 {
		t.Fatalf("the kernel counted %d and %d flaps, want at least 5 and 10", want, again)
	}
	want += again
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		got := uint64(0)
		for _, s := range sw.ReadHistory() {
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

// awaitFile waits until a file in the storage directory exists, or does not exist.
func awaitFile(sw *switchtest.StorageSwitch, name string, there bool) {
	sw.T.Helper()
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		if _, err := os.Stat(filepath.Join(sw.StorageDir, name)); (err == nil) != there {
			return fmt.Sprintf("%s: %v, want it to exist: %v", name, err, there)
		}
		return ""
	})
}

// makeOld writes a file in the storage directory whose last change is some days ago.
func makeOld(sw *switchtest.StorageSwitch, name string, days int, text string) {
	sw.T.Helper()
	path, at := filepath.Join(sw.StorageDir, name), time.Now().AddDate(0, 0, -days)
	sw.NoError("write "+name, errors.Join(
		os.MkdirAll(sw.StorageDir, 0o750), os.WriteFile(path, []byte(text), 0o640), os.Chtimes(path, at, at)))
}

// TestSaveInterval checks that a complete sample is written each interval, that a new interval
// takes effect at once, and that an incomplete last line does no harm.
func TestSaveInterval(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	makeOld(sw, "history.jsonl", 0, `{"time":"2026-10-05T10:11:12Z","torn`)
	d := sw.BringUpSaved(switchtest.FewPorts)
	if got := sw.ReadHistory(); len(got) > 0 { // 300 s by default
		t.Errorf("%d samples", len(got))
	}
	sw.WriteSettings("", "save_interval_secs = 1")
	begin := time.Now()
	sw.Reload(d)
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
	lines := sw.AwaitHistory(3)
	for i, l := range lines { // a delayed sample does not delay the next one
		if after := l.Time.Sub(begin); float64(i) > after.Seconds()+0.1 {
			t.Errorf("%d samples within %v, want one each second", i+1, after)
		}
	}
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		lines = sw.ReadHistory()
		l := lines[len(lines)-1]
		if l.Health != "healthy" || l.Restarts["cold_starts"] != 1 || l.Events == nil || *l.Events == 0 || l.Repairs == nil ||
			l.Up == nil || *l.Up != switchtest.FewPorts || l.Present == nil || *l.Present != switchtest.FewPorts {
			return fmt.Sprintf("sample %+v", l)
		}
		return ""
	})
	if l := lines[0].Latency; l == nil || l.Count == 0 || l.P50 <= 0 || l.P99 < l.P50 {
		t.Errorf("latencies %+v in the first sample, want those of the start", l)
	}
	sw.WriteSettings("", "save_interval_secs = 3600")
	sw.Reload(d)
	n := len(sw.ReadHistory()) + 1 // one may be in progress
	switchtest.Consistently(t, 2500*time.Millisecond, func() string {
		if got := len(sw.ReadHistory()); got > n {
			return fmt.Sprintf("%d samples, want no more than %d", got, n)
		}
		return ""
	})
	text, err := os.ReadFile(sw.StorageDir + "/history.jsonl")
	sw.NoError("read the history", err)
	prom, err := os.ReadFile(sw.StorageDir + "/portsyncd.prom")
	sw.NoError("read the export", err)
	last := bytes.LastIndexByte(text[:len(text)-1], '\n')
	t.Logf("a sample has %d bytes, so a day of 288 has %d; the export of %d ports has %d",
		len(text)-last-1, 288*(len(text)-last-1), switchtest.FewPorts, len(prom))
}

// TestRetentionDays checks that old parts of the history and old renamed files are deleted, and
// nothing else.
func TestRetentionDays(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	part := func(n, days int) string {
		return fmt.Sprintf("history-%06d-%s.jsonl", n, time.Now().AddDate(0, 0, -days).UTC().Format("20060102T150405Z"))
	}
	oldest, older, newest := part(1, 40), part(2, 20), part(3, 0)
	foreign := []string{"history-notes.jsonl", "metrics.json.bak", "history.jsonl.old", "core"}
	for name, days := range map[string]int{oldest: 40, older: 20, newest: 0} {
		makeOld(sw, name, days, "{}\n")
	}
	for _, name := range foreign {
		makeOld(sw, name, 4000, "somebody's")
	}
	sw.WriteSettings("", "save_interval_secs = 1\nretention_days = 30")
	d := sw.BringUpSaved(1)
	awaitFile(sw, oldest, false)
	awaitFile(sw, older, true)
	sw.WriteSettings("", "save_interval_secs = 1\nretention_days = 10")
	sw.Reload(d)
	awaitFile(sw, older, false)
	awaitFile(sw, newest, true)
	sw.AwaitHistory(2)
	for _, name := range foreign {
		if text, err := os.ReadFile(filepath.Join(sw.StorageDir, name)); err != nil || string(text) != "somebody's" {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}

// TestMaxFileSize checks that a new file is started at the configured size.
func TestMaxFileSize(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	line := fmt.Sprintf("{\"time\":%q}\n", time.Now().UTC().Format(time.RFC3339))
	makeOld(sw, "history.jsonl", 0, strings.Repeat(line, 1<<20/len(line)))
	parts := func() int { return len(switchtest.FilesWithPrefix(t, sw.StorageDir, "/history-")) }
	sw.WriteSettings("", "save_interval_secs = 1\nmax_file_size_mb = 2")
	d := sw.BringUpSaved(1)
	before := len(sw.ReadHistory())
	sw.AwaitHistory(before + 2)
	if n := parts(); n != 0 {
		t.Errorf("%d finished files below 2 MiB", n)
	}
	sw.WriteSettings("", "save_interval_secs = 1\nmax_file_size_mb = 1")
	sw.Reload(d)
	sw.AwaitHistory(len(sw.ReadHistory()) + 2)
	if n := parts(); n != 1 {
		t.Errorf("%d finished files, want one of 1 MiB", n)
	}
	if info, err := os.Stat(sw.StorageDir + "/history.jsonl"); err != nil || info.Size() > 10_000 {
		t.Errorf("the new file: %v, %v", info, err)
	}
}

// TestExportFormat checks that the daemon writes the configured exports and deletes those that are
// no longer configured.
func TestExportFormat(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	const text, structured = "portsyncd.prom", "metrics-export.json"
	sw.WriteSettings("", "save_interval_secs = 1")
	d := sw.BringUpSaved(switchtest.FewPorts)
	awaitFile(sw, text, true)
	awaitFile(sw, structured, false)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		b, err := os.ReadFile(filepath.Join(sw.StorageDir, text))
		if err != nil {
			return err.Error()
		}
		e, err := switchtest.ParseExposition(string(b))
		if err != nil || e.Samples["portsyncd_cold_starts"] != 1 || e.Samples["portsyncd_ports_present"] != switchtest.FewPorts {
			return fmt.Sprintf("the export is %q, %v", b, err)
		}
		return ""
	})
	if b, err := os.ReadFile(filepath.Join(sw.StorageDir, text)); err != nil || bytes.Contains(b, []byte("\ngo_")) || bytes.Contains(b, []byte("\nprocess_")) {
		t.Errorf("the export has metrics that node_exporter exports itself: %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(sw.StorageDir, text)); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; want one that node_exporter can read", info.Mode(), err)
	}
	for _, c := range []struct {
		format           string
		text, structured bool
	}{{"json", false, true}, {"both", true, true}, {"prometheus", true, false}} {
		sw.WriteSettings("", fmt.Sprintf("save_interval_secs = 1\nexport_format = %q", c.format))
		sw.Reload(d)
		awaitFile(sw, text, c.text)
		awaitFile(sw, structured, c.structured)
		if c.structured {
			b, err := os.ReadFile(filepath.Join(sw.StorageDir, structured))
			if err != nil || !json.Valid(b) || !bytes.Contains(b, []byte("portsyncd_cold_starts")) {
				t.Errorf("the export is %q, %v", b, err)
			}
		}
	}
}

// TestMetricsDisabled checks that the daemon without metrics listens nowhere and keeps only the
// state file, and synchronizes ports.
func TestMetricsDisabled(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	sw.WriteSettings("", "enabled = false\nsave_interval_secs = 1")
	d := sw.BringUpSaved(switchtest.FewPorts)
	switchtest.Consistently(t, 1200*time.Millisecond, func() string {
		if _, err := os.Stat(sw.StorageDir); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s: %v, want no file", sw.StorageDir, err)
		}
		return ""
	})
	if conn, err := net.Dial("tcp", switchtest.HTTPAddress); err == nil {
		conn.Close()
		t.Error("something listens at " + switchtest.HTTPAddress)
	}
	needsRestart(sw, d, "", "save_interval_secs = 1", "metrics.enabled")
	if _, err := os.Stat(sw.StorageDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want no file before the restart", sw.StorageDir, err)
	}
	d.Kill()
	sw.StartConfigured()
	if r := sw.AwaitRestarts(1); r.Kind != "warm" {
		t.Errorf("record %+v, want a warm start by the state file", r)
	}
	awaitFile(sw, "history.jsonl", true)
}

// TestStoragePath checks that a new path takes effect at the next start.
func TestStoragePath(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	sw.WriteSettings("", "save_interval_secs = 1")
	d := sw.BringUpSaved(1)
	first := sw.StorageDir
	awaitFile(sw, "history.jsonl", true)
	sw.StorageDir += "-elsewhere/deeper"
	needsRestart(sw, d, "", "save_interval_secs = 1", "metrics.storage_path", sw.StorageDir)
	if _, err := os.Stat(sw.StorageDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want no file before the restart", sw.StorageDir, err)
	}
	d.Kill()
	sw.StartConfigured()
	for _, name := range []string{"metrics.json", "history.jsonl", "portsyncd.prom"} {
		awaitFile(sw, name, true)
	}
	if r := sw.AwaitRestarts(1); r.Kind != "warm" {
		t.Errorf("record %+v", r)
	}
	if info, err := os.Stat(sw.StorageDir); err != nil || info.Mode() != os.ModeDir|0o755 {
		t.Errorf("mode %v, %v; want 0755", info.Mode(), err)
	}
	sw.StorageDir = first
	if m := sw.ReadMetricsFile(); len(m.Restarts) != 1 {
		t.Errorf("the old directory has %+v", m)
	}
}

// needsRestart reloads a file with a setting that needs a restart, and checks that the log says
// so.
func needsRestart(sw *switchtest.StorageSwitch, d *switchtest.Daemon, warmRestart, metrics, key string, words ...string) {
	sw.T.Helper()
	if slices.Contains(config.LiveKeys(), key) {
		sw.T.Errorf("%s is live", key)
	}
	sw.WriteSettings(warmRestart, metrics)
	lines := sw.Logs.Len()
	sw.Reload(d)
	sw.AwaitLog(lines, switchtest.Timeout, append(words, key, "requires a restart")...)
}

// TestHistoryMaxRestarts checks that the daemon keeps the configured number of restarts, as soon
// as the setting changes.
func TestHistoryMaxRestarts(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(1)
	for n := range 2 {
		sw.AwaitRestarts(n + 1)
		d.Kill()
		d = sw.StartConfigured()
	}
	sw.AwaitRestarts(3)
	sw.WriteSettings("history_max_restarts = 2", "")
	sw.Reload(d)
	sw.AwaitRestarts(2)
	d.Kill()
	sw.StartConfigured()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if m := sw.ReadMetricsFile(); m.Counters.WarmRestarts != 3 || len(m.Restarts) != 2 {
			return fmt.Sprintf("%+v with %d records, want 3 warm restarts with 2", m.Counters, len(m.Restarts))
		}
		return ""
	})
}
