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

// These tests change each of the six settings of retention in the file and look
// at what the daemon does, at its start and, where the setting is live, at
// SIGHUP.

// TestHistoryFlaps: the samples name each time that the carrier of a port went, as the
// kernel counts, although between two samples the port is created again, and renamed
// away and back.
func TestHistoryFlaps(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	k.Write("", "save_interval_secs = 1")
	k.Settle(2)
	name := switchtest.PortName(0)
	flap := func(times int) {
		for range times {
			k.Must("flap", errors.Join(k.Links.SetUp(switchtest.PeerName(name), false), k.Links.SetUp(switchtest.PeerName(name), true)))
		}
		k.Must("end without carrier", k.Links.SetUp(switchtest.PeerName(name), false))
	}
	downs := func(name string) (n uint64) {
		k.Must("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			if string(l.Name) == name {
				n = uint64(l.CarrierDown)
			}
		}))
		return n
	}
	flap(5)
	want := downs(name)
	k.Must("delete the port", k.Links.Delete(name))
	k.AddPort(name)
	flap(7)
	k.Must("rename it away and back", errors.Join(
		k.Links.SetUp(name, false), k.Links.Rename(name, "eth77"), k.Links.Rename("eth77", name), k.Links.SetUp(name, true)))
	flap(3)
	again := downs(name)
	if want < 5 || again < 10 {
		t.Fatalf("the kernel counted %d and %d flaps, want at least 5 and 10", want, again)
	}
	want += again
	switchtest.Eventually(t, switchtest.Patience, func() string {
		got := uint64(0)
		for _, s := range k.Samples() {
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
func awaitFile(k *switchtest.Keeper, name string, there bool) {
	k.T.Helper()
	switchtest.Eventually(k.T, switchtest.Patience, func() string {
		if _, err := os.Stat(filepath.Join(k.Storage, name)); (err == nil) != there {
			return fmt.Sprintf("%s: %v, want it to be there: %v", name, err, there)
		}
		return ""
	})
}

// Old puts a file under the storage path that was last written some days ago.
func old(k *switchtest.Keeper, name string, days int, text string) {
	k.T.Helper()
	path, at := filepath.Join(k.Storage, name), time.Now().AddDate(0, 0, -days)
	k.Must("write "+name, errors.Join(
		os.MkdirAll(k.Storage, 0o750), os.WriteFile(path, []byte(text), 0o640), os.Chtimes(path, at, at)))
}

// TestSaveInterval writes a sample each interval, with all that a sample has,
// and takes a new interval at once. An incomplete last line is nobody's harm.
func TestSaveInterval(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	old(k, "history.jsonl", 0, `{"time":"2026-10-05T10:11:12Z","torn`)
	d := k.Settle(switchtest.WarmPorts)
	if got := k.Samples(); len(got) > 0 { // 300 s by default
		t.Errorf("%d samples after a moment", len(got))
	}
	k.Write("", "save_interval_secs = 1")
	k.Reload(d)
	k.Ip("link set " + switchtest.PortName(0) + " mtu 1400")
	lines := k.AwaitSamples(3)
	for i := 1; i < len(lines); i++ {
		if gap := lines[i].Time.Sub(lines[i-1].Time); gap < 900*time.Millisecond {
			t.Errorf("samples %v apart, want a second", gap)
		}
	}
	l := lines[len(lines)-1]
	if l.Health != "healthy" || l.Restarts["cold_starts"] != 1 || l.Events == nil || *l.Events == 0 || l.Repairs == nil ||
		l.Up == nil || *l.Up != switchtest.WarmPorts || l.Present == nil || *l.Present != switchtest.WarmPorts {
		t.Errorf("sample %+v", l)
	}
	if l := lines[0].Latency; l == nil || l.Count == 0 || l.P50 <= 0 || l.P99 < l.P50 {
		t.Errorf("latencies %+v in the first sample, want those of the start", l)
	}
	k.Write("", "save_interval_secs = 3600")
	k.Reload(d)
	n := len(k.Samples())
	switchtest.Throughout(t, 1500*time.Millisecond, func() string {
		if got := len(k.Samples()); got > n {
			return fmt.Sprintf("%d samples, want no more than %d", got, n)
		}
		return ""
	})
	text, err := os.ReadFile(k.Storage + "/history.jsonl")
	k.Must("read the history", err)
	prom, err := os.ReadFile(k.Storage + "/portsyncd.prom")
	k.Must("read the export", err)
	last := bytes.LastIndexByte(text[:len(text)-1], '\n')
	t.Logf("a sample has %d bytes, so a day of 288 has %d; the export of %d ports has %d",
		len(text)-last-1, 288*(len(text)-last-1), switchtest.WarmPorts, len(prom))
}

// TestRetentionDays removes earlier parts of the history, and files set aside,
// once they are old enough, and nothing else.
func TestRetentionDays(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	part := func(n, days int) string {
		return fmt.Sprintf("history-%06d-%s.jsonl", n, time.Now().AddDate(0, 0, -days).UTC().Format("20060102T150405Z"))
	}
	oldest, older, newest := part(1, 40), part(2, 20), part(3, 0)
	foreign := []string{"history-notes.jsonl", "metrics.json.bak", "history.jsonl.old", "core"}
	for name, days := range map[string]int{oldest: 40, older: 20, newest: 0} {
		old(k, name, days, "{}\n")
	}
	for _, name := range foreign {
		old(k, name, 4000, "somebody's")
	}
	k.Write("", "save_interval_secs = 1\nretention_days = 30")
	d := k.Settle(1)
	awaitFile(k, oldest, false)
	awaitFile(k, older, true)
	k.Write("", "save_interval_secs = 1\nretention_days = 10")
	k.Reload(d)
	awaitFile(k, older, false)
	awaitFile(k, newest, true)
	k.AwaitSamples(2)
	for _, name := range foreign {
		if text, err := os.ReadFile(filepath.Join(k.Storage, name)); err != nil || string(text) != "somebody's" {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}

// TestMaxFileSize begins a new file at the size that the setting says.
func TestMaxFileSize(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	line := fmt.Sprintf("{\"time\":%q}\n", time.Now().UTC().Format(time.RFC3339))
	old(k, "history.jsonl", 0, strings.Repeat(line, 1<<20/len(line)))
	parts := func() int { return len(switchtest.Beside(t, k.Storage, "/history-")) }
	k.Write("", "save_interval_secs = 1\nmax_file_size_mb = 2")
	d := k.Settle(1)
	before := len(k.Samples())
	k.AwaitSamples(before + 2)
	if n := parts(); n != 0 {
		t.Errorf("%d finished files below 2 MiB", n)
	}
	k.Write("", "save_interval_secs = 1\nmax_file_size_mb = 1")
	k.Reload(d)
	k.AwaitSamples(len(k.Samples()) + 2)
	if n := parts(); n != 1 {
		t.Errorf("%d finished files, want one of 1 MiB", n)
	}
	if info, err := os.Stat(k.Storage + "/history.jsonl"); err != nil || info.Size() > 10_000 {
		t.Errorf("the new file: %v, %v", info, err)
	}
}

// TestExportFormat writes the files that the setting asks for, and removes those
// that it does not ask for any more.
func TestExportFormat(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	const text, structured = "portsyncd.prom", "metrics-export.json"
	k.Write("", "save_interval_secs = 1")
	d := k.Settle(switchtest.WarmPorts)
	awaitFile(k, text, true)
	awaitFile(k, structured, false)
	switchtest.Eventually(t, switchtest.Patience, func() string {
		b, err := os.ReadFile(filepath.Join(k.Storage, text))
		values := switchtest.Samples(string(b))
		if err != nil || values["portsyncd_cold_starts"] != "1" || values["portsyncd_ports_present"] != fmt.Sprint(switchtest.WarmPorts) {
			return fmt.Sprintf("exported are %q, %v", b, err)
		}
		return ""
	})
	if b, err := os.ReadFile(filepath.Join(k.Storage, text)); err != nil || bytes.Contains(b, []byte("\ngo_")) || bytes.Contains(b, []byte("\nprocess_")) {
		t.Errorf("exported is what node_exporter has of itself: %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(k.Storage, text)); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; want one that node_exporter can read", info.Mode(), err)
	}
	for _, c := range []struct {
		format           string
		text, structured bool
	}{{"json", false, true}, {"both", true, true}, {"prometheus", true, false}} {
		k.Write("", fmt.Sprintf("save_interval_secs = 1\nexport_format = %q", c.format))
		k.Reload(d)
		awaitFile(k, text, c.text)
		awaitFile(k, structured, c.structured)
		if c.structured {
			b, err := os.ReadFile(filepath.Join(k.Storage, structured))
			if err != nil || !json.Valid(b) || !bytes.Contains(b, []byte("portsyncd_cold_starts")) {
				t.Errorf("exported are %q, %v", b, err)
			}
		}
	}
}

// TestMetricsDisabled keeps nothing and listens nowhere, and synchronises ports.
// The state file is another matter.
func TestMetricsDisabled(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	k.Write("", "enabled = false\nsave_interval_secs = 1")
	d := k.Settle(switchtest.WarmPorts)
	switchtest.Throughout(t, 1200*time.Millisecond, func() string {
		if _, err := os.Stat(k.Storage); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s: %v, want nothing", k.Storage, err)
		}
		return ""
	})
	if conn, err := net.Dial("tcp", switchtest.MetricsAddress); err == nil {
		conn.Close()
		t.Error("something listens at " + switchtest.MetricsAddress)
	}
	needsRestart(k, d, "", "save_interval_secs = 1", "metrics.enabled")
	if _, err := os.Stat(k.Storage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want nothing before the restart", k.Storage, err)
	}
	d.Kill()
	k.Launch()
	if r := k.AwaitRecord(1); r.Kind != "warm" {
		t.Errorf("record %+v, want a warm start by the state file", r)
	}
	awaitFile(k, "history.jsonl", true)
}

// TestStoragePath moves the files at the next start, and not before.
func TestStoragePath(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	k.Write("", "save_interval_secs = 1")
	d := k.Settle(1)
	first := k.Storage
	awaitFile(k, "history.jsonl", true)
	k.Storage += "-elsewhere/deeper"
	needsRestart(k, d, "", "save_interval_secs = 1", "metrics.storage_path", k.Storage)
	if _, err := os.Stat(k.Storage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want nothing before the restart", k.Storage, err)
	}
	d.Kill()
	k.Launch()
	for _, name := range []string{"metrics.json", "history.jsonl", "portsyncd.prom"} {
		awaitFile(k, name, true)
	}
	if r := k.AwaitRecord(1); r.Kind != "warm" {
		t.Errorf("record %+v", r)
	}
	if info, err := os.Stat(k.Storage); err != nil || info.Mode() != os.ModeDir|0o755 {
		t.Errorf("mode %v, %v; want 0755", info.Mode(), err)
	}
	k.Storage = first
	if m := k.Stored(); len(m.Restarts) != 1 {
		t.Errorf("the former place has %+v", m)
	}
}

// needsRestart reloads a file with a setting that is not live: the log says so.
func needsRestart(k *switchtest.Keeper, d *switchtest.Program, warmRestart, metrics, key string, words ...string) {
	k.T.Helper()
	if slices.Contains(config.LiveKeys(), key) {
		k.T.Errorf("%s is live", key)
	}
	k.Write(warmRestart, metrics)
	lines := k.Logs.Len()
	k.Reload(d)
	k.AwaitLog(lines, switchtest.Patience, append(words, key, "needs a restart")...)
}

// TestHistoryMaxRestarts keeps as many records as the setting says, from the
// moment that it says so.
func TestHistoryMaxRestarts(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	d := k.Settle(1)
	for n := range 2 {
		k.AwaitRecord(n + 1)
		d.Kill()
		d = k.Launch()
	}
	k.AwaitRecord(3)
	k.Write("history_max_restarts = 2", "")
	k.Reload(d)
	k.AwaitRecord(2)
	d.Kill()
	k.Launch()
	switchtest.Eventually(t, switchtest.Patience, func() string {
		if m := k.Stored(); m.Counters.WarmRestarts != 3 || len(m.Restarts) != 2 {
			return fmt.Sprintf("%+v with %d records, want 3 warm restarts with 2", m.Counters, len(m.Restarts))
		}
		return ""
	})
}
