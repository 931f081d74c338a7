package warmrestart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portsyncd/internal/snapshot"
)

// TestPreviousEnd checks that a record says how the previous process ended.
func TestPreviousEnd(t *testing.T) {
	c := config(t.TempDir())
	process := func(stop bool) string {
		t.Helper()
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		if stop {
			p.RecordStop()
		}
		p.stop()
		all := stored(t, c).Restarts
		return all[len(all)-1].Ended
	}
	for i, want := range []string{"", Stopped, Stopped, "", ""} {
		if got := process(i < 2); got != want {
			t.Errorf("start %d: the process before ended %q, want %q", i, got, want)
		}
	}
	if got := process(true); got != "" {
		t.Errorf("after a crash: ended %q", got)
	}
	damage(t, 0, filepath.Join(c.StoragePath, metricsFile))
	if got := process(true); got != Stopped {
		t.Errorf("after a stop, with metrics.json corrupt: ended %q, want %q", got, Stopped)
	}
	// A process that crashed before its record hides the stop of the one before it.
	start(t, c).stop()
	if got := process(true); got != "" {
		t.Errorf("after a crash without a record: ended %q", got)
	}
	// Of another boot, whatever was saved last.
	p := open(t, c)
	p.metrics.BootID = "11111111-2222-3333-4444-555555555555"
	p.markDirty(fileMetrics)
	p.run().stop()
	if got := process(false); got != Rebooted {
		t.Errorf("after a boot: ended %q, want %q", got, Rebooted)
	}
}

// TestStormsOfCrashes checks that only starts after a crash count for restart storms.
func TestStormsOfCrashes(t *testing.T) {
	const m = time.Minute
	for _, c := range []struct {
		name  string
		mark  func(i int, r *Restart)
		count uint64
	}{
		{"crashes", func(i int, r *Restart) {}, 6},
		{"crashes after the first start on record", func(i int, r *Restart) {
			if i == 0 {
				r.LastAlive = time.Time{}
			}
		}, 5},
		{"starts without a process before", func(i int, r *Restart) { r.LastAlive = time.Time{} }, 0},
		{"stops", func(i int, r *Restart) { r.Ended = Stopped }, 0},
		{"boots", func(i int, r *Restart) { r.Ended = Rebooted }, 0},
		{"warm restarts that SONiC requested", func(i int, r *Restart) { r.Kind, r.Requested = Warm, true }, 0},
		{"warm restarts of the process alone", func(i int, r *Restart) { r.Kind = Warm }, 6},
		{"two crashes among stops", func(i int, r *Restart) {
			if i%3 > 0 {
				r.Ended = Stopped
			}
		}, 0},
		{"four crashes among stops", func(i int, r *Restart) {
			if i%3 == 0 {
				r.Ended = Stopped
			}
		}, 4},
	} {
		restarts := startsAt(0, m, 2*m, 3*m, 4*m, 5*m)
		for i := range restarts {
			c.mark(i, &restarts[i])
		}
		storm, ok := RestartStorm(restarts, noon.Add(6*m))
		if ok != (c.count > 0) || storm.Count != c.count {
			t.Errorf("%s: %v, %+v, want a storm of %d", c.name, ok, storm, c.count)
		}
		all := restartStorms(restarts)
		if c.count == 0 && len(all) != 0 || c.count > 0 && (len(all) != 1 || all[0].Count != c.count) {
			t.Errorf("%s: the report has %+v, want a storm of %d", c.name, all, c.count)
		}
	}
}

// TestOldFilesRemoved checks that backups and corrupt files older than the retention are removed while
// the daemon runs.
func TestOldFilesRemoved(t *testing.T) {
	c := config(t.TempDir())
	c.SaveInterval = time.Millisecond
	must(t, errors.Join(os.MkdirAll(filepath.Dir(c.StateFile), 0o750), os.MkdirAll(c.StoragePath, 0o750)))
	var old, young []string
	file := func(days int, format string, a ...any) {
		path := fmt.Sprintf(format, a...)
		at := time.Now().AddDate(0, 0, -days)
		must(t, errors.Join(os.WriteFile(path, []byte("{}"), 0o640), os.Chtimes(path, at, at)))
		if days > 30 {
			old = append(old, path)
		} else {
			young = append(young, path)
		}
	}
	for _, base := range []string{c.StateFile, filepath.Join(c.StoragePath, metricsFile)} {
		for i, days := range []int{40, 20, 10} {
			stamp := time.Now().AddDate(0, 0, -days).UTC().Format("20060102T150405Z")
			file(days, "%s.backup-%06d", base, i+1)
			file(days, "%s.corrupt-%06d-%s", base, i+11, stamp)
		}
	}
	// Good files, so that Load does not read the backups.
	f := snapshot.File{Path: c.StateFile, Schema: portsSchema, Keep: snapshot.Limits{Count: 9}, Copies: 1}
	must(t, f.Save([]byte(`{"ports":[]}`)))
	f = snapshot.File{Path: filepath.Join(c.StoragePath, metricsFile), Schema: metricsSchema, Keep: snapshot.Limits{Count: 9}, Copies: 1}
	body := newMetricsBody()
	must(t, f.Save(encode(&body)))
	p := start(t, c)
	for deadline := time.Now().Add(10 * time.Second); len(old) > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(old[0]); errors.Is(err, fs.ErrNotExist) {
			old = old[1:]
		}
	}
	p.stop()
	if len(old) > 0 {
		t.Errorf("%q are older than the retention and stay", old)
	}
	for _, path := range young {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("younger than the retention: %v", err)
		}
	}
}
