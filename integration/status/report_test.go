package status

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/daemon"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
)

// storeHistory writes the files of a daemon that ran for ten days: 21 warm starts, 12 hours apart
// and each a millisecond slower than the one before, the 11th of which had a timeout of its dump;
// and a sample each hour, in which Ethernet4 flaps.
func storeHistory(t *testing.T, dir string, now time.Time) {
	t.Helper()
	begin := now.Add(-10 * 24 * time.Hour).Truncate(time.Second).UTC()
	var restarts []warmrestart.Restart
	for i := range 21 {
		at := begin.Add(time.Duration(i) * 12 * time.Hour)
		r := warmrestart.Restart{At: at, Process: at, LastAlive: at.Add(-time.Minute), Kind: warmrestart.Warm, Reason: "SONiC requested a warm restart",
			EOIU: true, Duration: time.Duration(10+i) * time.Millisecond, EOIULatency: time.Duration(5+i) * time.Millisecond, Events: 10}
		if i == 10 {
			r.EOIU, r.TimedOut, r.EOIULatency, r.Duration = false, true, 0, 10*time.Second
		}
		restarts = append(restarts, r)
	}
	body, err := json.Marshal(map[string]any{
		"counters":              warmrestart.Counters{WarmRestarts: 21, EOIUDetected: 20, EOIUTimeouts: 1},
		"sync_duration_seconds": map[string]any{"bounds": []float64{1}, "counts": []int{20, 1}, "sum": 10.4},
		"restarts":              restarts,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := snapshot.File{Path: filepath.Join(dir, "metrics.json"), Schema: 1, Writer: "a test", Keep: snapshot.Limits{Count: 5}}
	for range 2 { // the second save makes a backup
		if err := f.Save(body); err != nil {
			t.Fatal(err)
		}
	}
	var lines []byte
	for i := range 240 {
		at := begin.Add(time.Duration(i) * time.Hour)
		line, err := json.Marshal(&warmrestart.Sample{Time: at, Process: begin.Add(time.Duration(i/12) * 12 * time.Hour), Health: "healthy", Score: 100,
			Events: uint64(i % 12 * 100), Latency: &warmrestart.Latency{Count: 100, Kept: 100, P50: 1000, P95: 2000, P99: 3000, Max: 4000},
			Flaps: []warmrestart.PortFlaps{{Port: "Ethernet4", Downs: 2, Penalty: float64(1000 + i)}}})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	switchtest.WriteFile(t, filepath.Join(dir, "history.jsonl"), string(lines))
}

// contents returns the contents of a directory, to see whether they change.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&all, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// report runs "portsyncd report" on a storage directory and checks that it changes nothing there.
func report(t *testing.T, dir string, args ...string) switchtest.CommandResult {
	t.Helper()
	before := contents(t, dir)
	r := switchtest.RunCommand(t, switchtest.Binary(t), nil, append([]string{"report", "--storage", dir}, args...)...)
	if after := contents(t, dir); after != before {
		t.Errorf("report %q changed the storage:\n%s\nbefore:\n%s", args, after, before)
	}
	return r
}

// TestReport checks the report on a known history.
func TestReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storeHistory(t, dir, time.Now())

	text := report(t, dir)
	for _, want := range []string{"21 restarts, 240 samples", "95.2%  20 of 21", "initial sync         21", "sync_duration_seconds   10 s",
		"Ethernet4", "480", "timed out", "▁", "warm_restart.eoiu_timeout_secs:", "reason: 1 of 21 starts"} {
		if text.Code != daemon.ExitOK || text.Stderr != "" || !strings.Contains(text.Stdout, want) {
			t.Errorf("status %d, stderr %q, no %q in\n%s", text.Code, text.Stderr, want, text.Stdout)
		}
	}

	a := report(t, dir, "--json").Report(t).Analysis
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if a.Recovery.Count != 20 || a.Recovery.Of != 21 || a.Corruption != nil || a.Sync.N != 21 || a.EOIU.N != 20 || !*a.Healthy {
		t.Errorf("analysis: %+v", a)
	}
	near("median of the sync", a.Sync.P50, 0.021) // of 10 to 30 ms without 20, and 10 s
	near("longest sync", a.Sync.Max, 10)
	near("median of the initial dump", a.EOIU.P50, 0.014)
	near("link messages per restart", *a.EventsPerRestart, 10)
	if a.SyncTrend.Verdict != warmrestart.Rising {
		t.Errorf("trend of the sync: %+v", a.SyncTrend)
	}
	if d := a.LinkDowns; len(d) != 1 || d[0].Port != "Ethernet4" || d[0].Downs != 480 || d[0].PeakPenalty != 1239 || len(a.Flapping) > 0 {
		t.Errorf("ports with link-down transitions: %+v, flapping: %+v, want one port, not flapping", d, a.Flapping)
	}

	for since, restarts := range map[string]int{"3d": 6, "36h": 3, time.Now().Add(-73 * time.Hour).Format(time.RFC3339): 7} {
		d := report(t, dir, "--json", "--since", since).Report(t)
		if len(d.Restarts) != restarts || d.Analysis.Restarts != restarts || d.Analysis.Counters.WarmRestarts != 21 {
			t.Errorf("since %s: %d of %d restarts, want %d of 21", since, len(d.Restarts), d.Analysis.Counters.WarmRestarts, restarts)
		}
	}
}

// TestReportPage checks that the report's page replaces an existing file as a whole, and that the
// report writes only to regular files.
func TestReportPage(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	storeHistory(t, dir, time.Now())
	page := filepath.Join(out, "report.html")
	switchtest.WriteFile(t, page, "before")
	if r := report(t, dir, "--html", page); r.Code != daemon.ExitOK || r.Stdout != "" || r.Stderr != "" {
		t.Fatalf("%+v", r)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(text), "<!DOCTYPE html>") || !strings.Contains(string(text), "Ethernet4") {
		t.Errorf("%v, %.200s", err, text)
	}
	if left, _ := os.ReadDir(out); len(left) != 1 {
		t.Errorf("files beside the page: %v", left)
	}
	report(t, dir, "--html", out).CheckFailure(t, "over a directory", daemon.ExitError, out, "regular file")
	report(t, dir, "--html", "/dev/null").CheckFailure(t, "over a device", daemon.ExitError, "/dev/null", "regular file")
	report(t, dir, "--html", filepath.Join(out, "none", "x")).CheckFailure(t, "into no directory", daemon.ExitError, "none")
}

// TestReportDamagedFiles checks that the report uses what it can read, names what is wrong, and
// says so if there is nothing.
func TestReportDamagedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := report(t, dir)
	if r.Code != daemon.ExitOK || r.Stderr != "" || !strings.Contains(r.Stdout, "no restart and no sample recorded") {
		t.Errorf("no history: %+v", r)
	}
	report(t, dir, "--storage", filepath.Join(dir, "none")).CheckFailure(t, "no storage", daemon.ExitError, "none", "no such file")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	report(t, dir, "--storage", pipe).CheckFailure(t, "a pipe as storage", daemon.ExitError, pipe, "not a directory")
	report(t, dir, "--since", "tomorrow").CheckFailure(t, "no time", daemon.ExitError, `"tomorrow"`, "2026-11-01")
	report(t, dir, "now").CheckFailure(t, "argument", daemon.ExitError, `"now"`)

	storeHistory(t, dir, time.Now())
	file := filepath.Join(dir, "metrics.json")
	switchtest.WriteFile(t, file, "\x1b[31m")
	d := report(t, dir, "--json").Report(t)
	if problems := strings.Join(d.Problems, "\n"); len(d.Restarts) != 21 || !strings.Contains(problems, "metrics.json") || !strings.Contains(problems, "backup") {
		t.Errorf("with a backup: %d restarts, problems %q", len(d.Restarts), d.Problems)
	}
	backups, _ := filepath.Glob(file + ".backup-*")
	for _, path := range backups {
		os.Remove(path)
	}
	r = report(t, dir)
	if r.Code != daemon.ExitOK || !strings.Contains(r.Stdout, "240 samples") || !strings.Contains(r.Stdout, "problems") || strings.Contains(r.Stdout, "\x1b") {
		t.Errorf("without a backup: %+v", r)
	}
	os.Remove(filepath.Join(dir, "history.jsonl"))
	report(t, dir).CheckFailure(t, "nothing that can be read", daemon.ExitError, "no history", "metrics.json")
}
