package warmrestart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/metrics"
)

// TestFullDisk checks that a new value is not exposed while the disk is full, if metrics.json has
// an older one.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		p.stop()

		p = open(t, c)
		p.fs.fail(unix.ENOSPC)
		p.run()
		p.RecordRestart(cold(time.Millisecond))
		p.RecordPorts(somePorts(1))
		time.Sleep(10 * time.Minute)
		p.wantExposed("portsyncd_cold_starts", "1")
		p.wantExposed("portsyncd_sync_duration_seconds_count", "1")
		p.wantExposed("portsyncd_disk_faulty", "1")
		for _, file := range []string{"state", "metrics", "history"} {
			if n := p.exposed(`portsyncd_snapshot_failures_total{file="` + file + `"}`); n == "" || n == "0" {
				t.Errorf("%q failures to write %s are counted, want some", n, file)
			}
		}
		if got := stored(t, c).Counters.ColdStarts; got != 1 {
			t.Errorf("the last good file says %d cold starts, want 1", got)
		}
		problems := strings.Join(p.Problems(), "\n")
		for _, what := range []string{"the state file", "the metrics", "the history"} {
			if !strings.Contains(problems, what) {
				t.Errorf("problems %q do not mention %s", problems, what)
			}
		}
		if strings.Count(problems, "no space left on device") != 1 {
			t.Errorf("problems %q, want the full disk once", problems)
		}
		p.fs.fail(0)
		time.Sleep(maxPause)
		p.wantExposed("portsyncd_cold_starts", "2")
		p.wantExposed("portsyncd_disk_faulty", "0")
		if got := p.Problems(); got != nil {
			t.Errorf("problems %q, want none", got)
		}
		if n := p.log.count("cannot write", "no space left on device"); n != 1 {
			t.Errorf("%d lines about the full disk, want 1\n%s", n, &p.log.buf)
		}
		if n := p.log.count("writing files resumed"); n != 1 {
			t.Errorf("%d lines about the recovery, want 1", n)
		}
		p.stop()
		if got := stored(t, c).Counters.ColdStarts; got != 2 {
			t.Errorf("%d cold starts are stored, want 2", got)
		}
	})
}

// TestNeverWritten checks that counters are exposed if metrics.json could never be written.
func TestNeverWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, config(t.TempDir()))
		p.fs.fail(unix.EROFS)
		p.run()
		time.Sleep(time.Second)
		p.RecordRestart(cold(time.Millisecond))
		time.Sleep(maxPause)
		p.wantExposed("portsyncd_cold_starts", "1")
		p.wantExposed("portsyncd_disk_faulty", "1")
		p.stop()
	})
}

// TestRetryPauses checks the pauses between attempts while the disk is full, and that each file has its
// own pause.
func TestRetryPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		c.SaveInterval = time.Hour
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		synctest.Wait()
		p.fs.fail(unix.EIO)
		before := p.fs.creates.Load()
		for n := range 600 {
			p.RecordPorts(somePorts(uint32(n)))
			time.Sleep(time.Second)
		}
		// 1, 2, 4, 8, 16, 32 and then 60 s apart, each less up to a quarter.
		if n := p.fs.creates.Load() - before; n < 14 || n > 20 {
			t.Errorf("%d tries in 10 minutes, want 14 to 20", n)
		}
		p.wantExposed(`portsyncd_snapshot_failures_total{file="metrics"}`, "0")
		p.fs.fail(0)
		p.RecordRestart(cold(time.Millisecond))
		synctest.Wait()
		p.wantExposed("portsyncd_cold_starts", "2") // not held up by the state file's pause
		for n := range 60 {
			p.RecordPorts(somePorts(uint32(n)))
			time.Sleep(time.Second)
		}
		p.wantExposed("portsyncd_disk_faulty", "0")
		p.stop()
	})
}

// TestPortsBackOff checks that ports that change every second are saved less and less often, and that the
// last change is saved.
func TestPortsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		p := start(t, c)
		flap := func(seconds int) {
			for n := range seconds {
				p.RecordPorts(somePorts(uint32(n)))
				time.Sleep(time.Second)
			}
		}
		saves := func() (n int) {
			fmt.Sscan(p.exposed(`portsyncd_snapshot_saves_total{file="state"}`), &n)
			return n
		}
		flap(3600)
		if n := saves(); n < 60 || n > 87 {
			t.Errorf("%d saves in an hour of changes, want 60 to 87", n)
		}
		time.Sleep(maxPause)
		f := snapshot.File{Path: c.StateFile, Schema: portsSchema}
		got, err := f.Peek()
		must(t, err)
		if want := encode(portsBody{somePorts(3599)}); !bytes.Equal(got.Body, want) {
			t.Errorf("saved is %s, want %s", got.Body, want)
		}
		time.Sleep(time.Hour)
		before := saves()
		flap(1)
		if n := saves() - before; n != 1 {
			t.Errorf("%d saves at once after a quiet hour, want 1", n)
		}
		p.stop()
	})
}

// TestProblemOfOneFile checks that a successful write does not clear the problem of another file.
func TestProblemOfOneFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		must(t, os.MkdirAll(filepath.Dir(filepath.Dir(c.StateFile)), 0o750))
		must(t, os.WriteFile(filepath.Dir(c.StateFile), []byte("a file"), 0o640))
		p := start(t, c)
		p.RecordPorts(somePorts(1))
		p.RecordRestart(cold(time.Millisecond))
		time.Sleep(time.Hour)
		p.wantExposed("portsyncd_cold_starts", "1")
		p.wantExposed("portsyncd_disk_faulty", "1")
		problems := p.Problems()
		if len(problems) != 1 || !strings.Contains(problems[0], filepath.Dir(c.StateFile)) || !strings.Contains(problems[0], "not a directory") {
			t.Errorf("problems %q, want the path and the error", problems)
		}
		if n := p.log.count("writing files resumed"); n != 0 {
			t.Error("the log says that writing files resumed")
		}
		must(t, os.Remove(filepath.Dir(c.StateFile)))
		time.Sleep(maxPause)
		if got := p.Problems(); got != nil {
			t.Errorf("problems %q, want none", got)
		}
		p.stop()
		if p = open(t, c); !p.HasState() {
			t.Error("HasState is false, want true")
		}
	})
}

// TestRelativePath checks that a relative path is reported as a problem.
func TestRelativePath(t *testing.T) {
	c := config(t.TempDir())
	c.StateFile = "port_state.json"
	p := start(t, c)
	p.RecordPorts(somePorts(1))
	p.stop()
	if n := p.log.count("cannot write", "must be an absolute path"); n != 1 {
		t.Errorf("log %q", &p.log.buf)
	}
}

// TestPeriodic checks the writes of an hour without events: one sample and one export per save
// interval.
func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		c.ExportJSON = true
		samples := 0
		sample := c.Sample
		c.Sample = func(counters Counters) []byte { samples++; return sample(counters) }
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		time.Sleep(time.Second)
		creates := p.fs.creates.Load()
		time.Sleep(time.Hour)
		for series, want := range map[string]string{
			`portsyncd_snapshot_saves_total{file="history"}`:           "12",
			`portsyncd_snapshot_saves_total{file="export_prometheus"}`: "12",
			`portsyncd_snapshot_saves_total{file="export_json"}`:       "12",
			`portsyncd_snapshot_saves_total{file="metrics"}`:           "2", // at the start, and its record
			`portsyncd_snapshot_saves_total{file="state"}`:             "0",
		} {
			p.wantExposed(series, want)
		}
		if got := p.fs.creates.Load() - creates; samples != 12 || got != 1 {
			t.Errorf("%d samples and %d files made, want 12 and the history alone", samples, got)
		}
		p.stop()

		h := snapshot.Log{Path: filepath.Join(c.StoragePath, historyFile)}
		lines := 0
		_, err := h.Read(time.Time{}, func(line []byte) error {
			lines++
			var s struct{ Restarts Counters }
			if err := json.Unmarshal(line, &s); err != nil || s.Restarts.ColdStarts != 1 {
				t.Errorf("line %q, %v", line, err)
			}
			if _, ok := sampleTime(line); !ok {
				t.Errorf("line %q has no time", line)
			}
			return nil
		})
		if lines != 12 || err != nil {
			t.Errorf("%d lines, %v; want 12", lines, err)
		}
	})
}

// TestReload checks that each setting of a reload takes effect at once.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		p := start(t, c)
		time.Sleep(time.Minute)
		s := c.Settings
		s.SaveInterval, s.ExportText, s.ExportJSON = 10*time.Second, false, true
		foreign := filepath.Join(c.StoragePath, "portsyncd.prom.old")
		must(t, os.WriteFile(foreign, nil, 0o640))
		must(t, os.WriteFile(filepath.Join(c.StoragePath, textFile), nil, 0o640))
		p.Reload(s)
		time.Sleep(100*time.Second + time.Millisecond) // the first sample is due at once
		p.wantExposed(`portsyncd_snapshot_saves_total{file="history"}`, "11")
		p.wantExposed(`portsyncd_snapshot_saves_total{file="export_json"}`, "11")
		p.wantExposed(`portsyncd_snapshot_saves_total{file="export_prometheus"}`, "0")
		if got := files(t, c.StoragePath, textFile); len(got) != 1 || got[0] != "portsyncd.prom.old" {
			t.Errorf("left are %q, want the foreign file alone", got)
		}
		p.stop()
	})
}

// TestDisabledExport checks that the problem of an export is cleared when the export is disabled.
func TestDisabledExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		must(t, os.MkdirAll(filepath.Join(c.StoragePath, textFile, "in the way"), 0o750))
		p := start(t, c)
		time.Sleep(time.Hour)
		if got := p.Problems(); len(got) != 1 || !strings.Contains(got[0], textFile) {
			t.Errorf("problems %q, want one about %s", got, textFile)
		}
		s := c.Settings
		s.ExportText = false
		p.Reload(s)
		time.Sleep(time.Hour)
		if got := p.Problems(); got != nil {
			t.Errorf("problems %q, want none", got)
		}
		p.stop()
	})
}

// TestHangingDisk checks that callers are not blocked by a hanging disk, and that Problems reports it.
func TestHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		p := open(t, c)
		hang := make(chan struct{})
		p.fs.renaming = func(string) { <-hang }
		p.run()
		for n := range 100 {
			p.RecordPorts(somePorts(uint32(n)))
			p.RecordRestart(cold(0))
			p.Reload(c.Settings)
			p.DiscardState()
		}
		time.Sleep(diskTimeout / 2)
		if got := p.Problems(); got != nil {
			t.Errorf("problems %q after half of the timeout", got)
		}
		time.Sleep(diskTimeout)
		if got := p.Problems(); len(got) != 1 || got[0] != "the disk has not answered for 15s" {
			t.Errorf("problems %q, want the time without an answer", got)
		}
		close(hang)
		p.stop()
		if got := p.Problems(); got != nil {
			t.Errorf("problems %q after the answer", got)
		}
		if p = open(t, c); !p.HasState() {
			t.Error("HasState is false, want true")
		}
	})
}

// TestHangingDiskAtStart checks that HasState returns after LoadTimeout if the disk hangs, that
// Problems reports the disk, and that the stored values are read and kept when it answers.
func TestHangingDiskAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		p := start(t, c)
		p.RecordRestart(warm(time.Millisecond))
		p.RecordPorts(somePorts(1))
		p.stop()

		set, log := metrics.NewSet(), new(logText)
		c.Log, c.Families = slog.New(slog.NewTextHandler(log, nil)), NewFamilies(set)
		changes := make(chan struct{}, 100)
		c.OnChange = func() { changes <- struct{}{} }
		fs := hangingFS{snapshot.OS, make(chan struct{})}
		c.FS = fs
		begin := time.Now()
		p = &process{t: t, set: set, log: log, Recorder: New(c)}
		p.run()
		if p.HasState() || time.Since(begin) != LoadTimeout {
			t.Errorf("HasState is true or took %v, want false after %v", time.Since(begin), LoadTimeout)
		}
		p.RecordRestart(cold(time.Millisecond))
		p.RecordPorts(somePorts(2))
		time.Sleep(time.Hour)
		p.wantExposed("portsyncd_warm_restarts", "0")
		p.wantExposed("portsyncd_disk_faulty", "1")
		if got := p.Problems(); len(got) != 1 || len(changes) != 1 {
			t.Errorf("problems %q, reported %d times; want one", got, len(changes))
		}
		if n := log.count("disk does not respond"); n != 1 {
			t.Errorf("%d log lines about it, want 1", n)
		}
		close(fs.answer)
		<-p.Loaded()
		synctest.Wait()
		p.wantExposed("portsyncd_warm_restarts", "1")
		p.wantExposed("portsyncd_cold_starts", "1")
		p.wantExposed("portsyncd_disk_faulty", "0")
		if got := p.Problems(); len(got) != 0 || len(changes) < 2 {
			t.Errorf("problems %q after the answer, %d changes; want none and a change", got, len(changes))
		}
		p.stop()
		if got := stored(t, c).Counters; got.WarmRestarts != 1 || got.ColdStarts != 1 {
			t.Errorf("stored are %+v, want both starts", got)
		}
	})
}

// listFS records the directories that are listed and the files that are opened.
type listFS struct {
	snapshot.FS
	paths chan string
}

func (l listFS) List(dir string, each func(string)) error {
	l.paths <- dir
	return l.FS.List(dir, each)
}

func (l listFS) Open(path string, flags int, mode os.FileMode) (snapshot.Handle, error) {
	l.paths <- path
	return l.FS.Open(path, flags, mode)
}

// TestReadWhenNeeded checks that New reads nothing, and that HasState reads the state file only.
func TestReadWhenNeeded(t *testing.T) {
	c := config(t.TempDir())
	p := start(t, c)
	p.RecordRestart(warm(time.Millisecond))
	p.RecordPorts(somePorts(1))
	p.stop()
	fs := listFS{snapshot.OS, make(chan string, 1000)}
	c.FS, c.Log, c.Families = fs, discard, NewFamilies(metrics.NewSet())
	rec := New(c)
	if n := len(fs.paths); n > 0 {
		t.Errorf("New reads %d files, for example %s", n, <-fs.paths)
	}
	if !rec.HasState() {
		t.Fatal("HasState is false, want true")
	}
	if len(fs.paths) == 0 {
		t.Error("HasState reads no file")
	}
	for len(fs.paths) > 0 {
		if path := <-fs.paths; strings.HasPrefix(path, c.StoragePath) {
			t.Errorf("HasState reads %s", path)
		}
	}
	rec.load()
	if len(fs.paths) == 0 {
		t.Error("load reads no further file")
	}
}

// TestClockJumps checks that no sample is lost if the clock is set by years in either direction.
func TestClockJumps(t *testing.T) {
	c := config(t.TempDir())
	must(t, os.MkdirAll(c.StoragePath, 0o750))
	now := time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)
	c.Sample = func(Counters) []byte { return encode(map[string]any{"time": now}) }
	p := open(t, c)
	p.history.Now = func() time.Time { return now }
	sample := func(times int) {
		t.Helper()
		for range times {
			p.markDirty(fileHistory)
			p.writeDirty()
			p.prune()
			now = now.Add(24 * time.Hour)
		}
	}
	count := func() (lines int) {
		_, err := p.history.Read(time.Time{}, func([]byte) error { lines++; return nil })
		must(t, err)
		return lines
	}
	sample(20)
	now = now.AddDate(-50, 0, 0)
	sample(3)
	if n := count(); n != 23 {
		t.Errorf("%d samples after the clock went back, want 23", n)
	}
	now = now.AddDate(60, 0, 0)
	sample(1)
	if n := count(); n < 2 {
		t.Errorf("%d samples after the clock went ahead, want those of the newest file at least", n)
	}
	now = now.AddDate(-10, 0, 0)
	before := count()
	sample(40)
	if n := count(); n < before+30 {
		t.Errorf("%d samples 40 days later, want the %d and those of 30 days", n, before)
	}
}
