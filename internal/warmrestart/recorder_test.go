package warmrestart

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/snapshot"
)

// TestAccumulate checks counters, histogram and records over several processes that end right after
// their start.
func TestAccumulate(t *testing.T) {
	c := config(t.TempDir())
	for _, r := range []Restart{
		cold(3 * time.Millisecond), warm(20 * time.Second),
		{Kind: Warm, Duration: 10 * time.Second, TimedOut: true},
	} {
		p := start(t, c)
		p.RecordRestart(r)
		p.stop()
	}
	p := open(t, c)
	for series, want := range map[string]string{
		"portsyncd_warm_restarts": "2", "portsyncd_cold_starts": "1",
		"portsyncd_eoiu_detected": "2", "portsyncd_eoiu_timeouts": "1",
		"portsyncd_state_recoveries": "0", "portsyncd_corruptions_detected": "0",
		"portsyncd_sync_duration_seconds_sum":                 "30.003",
		"portsyncd_sync_duration_seconds_count":               "3",
		`portsyncd_sync_duration_seconds_bucket{le="0.0025"}`: "0",
		`portsyncd_sync_duration_seconds_bucket{le="0.005"}`:  "1",
		`portsyncd_sync_duration_seconds_bucket{le="10"}`:     "2", // a bound belongs to its bucket
		`portsyncd_sync_duration_seconds_bucket{le="50"}`:     "3",
	} {
		p.wantExposed(series, want)
	}
	var kinds []string
	for _, r := range stored(t, c).Restarts {
		kinds = append(kinds, r.Kind)
	}
	if want := []string{Cold, Warm, Warm}; !slices.Equal(kinds, want) {
		t.Errorf("records of %q, want %q", kinds, want)
	}
}

// TestRecord checks that a record is stored and read unchanged.
func TestRecord(t *testing.T) {
	c := config(t.TempDir())
	want := Restart{At: time.Date(2026, 10, 5, 10, 11, 12, 13, time.UTC), Kind: Warm, Reason: `the "process" alone`,
		Duration: 7 * time.Millisecond, EOIU: true, TimedOut: true, Compared: 32, Changed: 2, Deleted: 1}
	p := start(t, c)
	p.RecordRestart(want)
	p.stop()
	if got := stored(t, c).Restarts; len(got) != 1 || got[0] != want {
		t.Errorf("records %+v, want %+v", got, want)
	}
}

// TestHasState checks whether a start uses good, corrupt, missing and foreign state files.
func TestHasState(t *testing.T) {
	damage := func(t *testing.T, path string) {
		t.Helper()
		text, err := os.ReadFile(path)
		must(t, err)
		text[len(text)/2] ^= 1
		must(t, os.WriteFile(path, text, 0o640))
	}
	backups := func(t *testing.T, path string) (paths []string) {
		for _, name := range files(t, filepath.Dir(path), filepath.Base(path)+".backup-") {
			paths = append(paths, filepath.Join(filepath.Dir(path), name))
		}
		return paths
	}
	for _, c := range []struct {
		name        string
		spoil       func(t *testing.T, path string)
		want        bool
		corruptions string
		recoveries  string
	}{
		{"good", func(t *testing.T, path string) {}, true, "0", "0"},
		{"missing", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }, false, "0", "0"},
		{"file lost, backups left", func(t *testing.T, path string) { must(t, os.Remove(path)) }, true, "0", "1"},
		{"corrupt", func(t *testing.T, path string) { damage(t, path) }, true, "1", "1"},
		{"corrupt with its backup", func(t *testing.T, path string) {
			damage(t, path)
			b := backups(t, path)
			damage(t, b[len(b)-1])
		}, true, "2", "1"},
		{"all corrupt", func(t *testing.T, path string) {
			damage(t, path)
			for _, b := range backups(t, path) {
				damage(t, b)
			}
		}, false, "3", "0"},
		{"of another boot", func(t *testing.T, path string) {
			f := snapshot.File{Path: path, Schema: portsSchema, BootID: "11111111-2222-3333-4444-555555555555"}
			must(t, f.Save([]byte(`{"ports":[]}`)))
		}, false, "0", "0"},
		{"of a newer schema", func(t *testing.T, path string) {
			must(t, os.RemoveAll(filepath.Dir(path)))
			must(t, os.Mkdir(filepath.Dir(path), 0o750))
			f := snapshot.File{Path: path, Schema: portsSchema + 1}
			must(t, f.Save([]byte(`{"ports":[]}`)))
		}, false, "0", "0"},
		{"a directory", func(t *testing.T, path string) {
			must(t, os.RemoveAll(filepath.Dir(path)))
			must(t, os.MkdirAll(path, 0o750))
		}, false, "1", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := config(t.TempDir())
			for mtu := range uint32(3) { // so that there are two backups
				p := start(t, conf)
				p.RecordPorts(somePorts(mtu))
				p.stop()
			}
			c.spoil(t, conf.StateFile)
			p := open(t, conf)
			if p.HasState() != c.want {
				t.Errorf("HasState is %v, want %v\n%s", p.HasState(), c.want, &p.log.buf)
			}
			if saved := p.exposed(`portsyncd_snapshot_saved_timestamp_seconds{file="state"}`); (saved != "0") != c.want {
				t.Errorf("the state file was last written at %s", saved)
			}
			// What loading found is counted, but a restart could bring lower counts
			// back until they are saved.
			p.run().stop()
			p.wantExposed("portsyncd_corruptions_detected", c.corruptions)
			p.wantExposed("portsyncd_state_recoveries", c.recoveries)

			// After each of these, the process writes a good file.
			p = start(t, conf)
			p.RecordPorts(somePorts(9))
			p.stop()
			if p = open(t, conf); !p.HasState() {
				t.Error("the next process has no state")
			}
		})
	}
}

// TestRecoveredFrom checks that the record has the path of the backup that was used.
func TestRecoveredFrom(t *testing.T) {
	c := config(t.TempDir())
	for mtu := range uint32(2) {
		p := start(t, c)
		p.RecordPorts(somePorts(mtu))
		p.stop()
	}
	must(t, os.Truncate(c.StateFile, 100))
	p := start(t, c)
	p.RecordRestart(warm(time.Millisecond))
	p.stop()
	got := stored(t, c).Restarts[0].RecoveredFrom
	if !strings.HasPrefix(got, c.StateFile+".backup-") {
		t.Errorf("recovered from %q, want a backup of %q", got, c.StateFile)
	}
	if n := p.log.count("using a backup", got); n != 1 {
		t.Errorf("%d log lines name the backup, want 1", n)
	}
}

// TestDiscardState checks that a discarded state file is set aside before the ports of the new process are
// written.
func TestDiscardState(t *testing.T) {
	for range 20 {
		c := config(t.TempDir())
		p := start(t, c)
		p.RecordPorts(somePorts(1))
		p.stop()

		p = open(t, c)
		p.DiscardState()
		p.RecordPorts(somePorts(2))
		p.run().stop()
		dir := filepath.Dir(c.StateFile)
		if stale := files(t, dir, "port_state.json.stale-"); len(stale) != 1 {
			t.Fatalf("%q are set aside, want one", stale)
		}
		p = open(t, c)
		if !p.HasState() {
			t.Fatal("the ports of the new process were set aside as well")
		}
		if n := p.body.Counters.CorruptionsDetected; n != 0 {
			t.Fatalf("%d corruptions are counted", n)
		}
	}
}

// TestDiscardStateAlone checks that a discarded state file is set aside if there are no new ports.
func TestDiscardStateAlone(t *testing.T) {
	c := config(t.TempDir())
	for mtu := range uint32(3) {
		p := start(t, c)
		p.RecordPorts(somePorts(mtu))
		p.stop()
	}
	p := open(t, c)
	p.DiscardState()
	p.run().stop()
	if p = open(t, c); p.HasState() {
		t.Error("a backup of the discarded file was loaded")
	}
}

// TestDurableFirst checks that a new counter is exposed after the rename to metrics.json, and not
// before.
func TestDurableFirst(t *testing.T) {
	c := config(t.TempDir())
	for n := range 3 {
		p := open(t, c)
		p.fs.renaming = func(to string) {
			if filepath.Base(to) == metricsFile {
				p.wantExposed("portsyncd_cold_starts", fmt.Sprint(n))
			}
		}
		p.run()
		p.RecordRestart(cold(time.Millisecond))
		p.stop()
		p.wantExposed("portsyncd_cold_starts", fmt.Sprint(n+1))
	}
}

// TestOtherBounds checks that a histogram with other buckets begins anew, while the counters
// continue.
func TestOtherBounds(t *testing.T) {
	c := config(t.TempDir())
	must(t, os.MkdirAll(c.StoragePath, 0o750))
	b := metricsBody{Counters: Counters{WarmRestarts: 7}, Sync: durations{Bounds: []float64{1, 2}, Counts: []uint64{4, 2, 1}, Sum: 9}}
	f := snapshot.File{Path: filepath.Join(c.StoragePath, metricsFile), Schema: metricsSchema}
	must(t, f.Save(encode(b)))
	p := start(t, c)
	p.RecordRestart(warm(time.Millisecond))
	p.stop()
	p.wantExposed("portsyncd_warm_restarts", "8")
	p.wantExposed("portsyncd_sync_duration_seconds_count", "1")
	if got := stored(t, c).Sync; !slices.Equal(got.Bounds, syncBounds) {
		t.Errorf("stored bounds %v", got.Bounds)
	}
}

// TestKeepRestarts checks the limit of records over several processes, and after a reload.
func TestKeepRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		c.KeepRestarts = 3
		for n := range 5 {
			p := start(t, c)
			r := cold(time.Millisecond)
			r.Compared = n
			p.RecordRestart(r)
			p.stop()
		}
		want := func(first, n int) {
			t.Helper()
			got := stored(t, c).Restarts
			if len(got) != n || got[0].Compared != first {
				t.Errorf("%d records from %d on, want %d from %d on", len(got), got[0].Compared, n, first)
			}
		}
		want(2, 3)
		p := start(t, c)
		s := c.Settings
		s.KeepRestarts = 2
		p.Reload(s)
		synctest.Wait()
		want(3, 2)
		p.stop()
		c.KeepRestarts = 1
		start(t, c).stop()
		want(4, 1)
		if got := stored(t, c).Counters.ColdStarts; got != 5 {
			t.Errorf("%d cold starts, want 5", got)
		}
	})
}

// TestNewerSchema checks that a file of a newer schema is set aside unchanged.
func TestNewerSchema(t *testing.T) {
	c := config(t.TempDir())
	must(t, os.MkdirAll(c.StoragePath, 0o750))
	path := filepath.Join(c.StoragePath, metricsFile)
	f := snapshot.File{Path: path, Schema: metricsSchema + 1}
	must(t, f.Save([]byte(`{"counters":{"warm_restarts":"seven"}}`)))
	before, err := os.ReadFile(path)
	must(t, err)
	p := start(t, c)
	p.RecordRestart(warm(time.Millisecond))
	p.stop()
	p.wantExposed("portsyncd_warm_restarts", "1")
	p.wantExposed("portsyncd_corruptions_detected", "0")
	aside := files(t, c.StoragePath, metricsFile+".newer-")
	if len(aside) != 1 {
		t.Fatalf("%q are set aside, want one", aside)
	}
	after, err := os.ReadFile(filepath.Join(c.StoragePath, aside[0]))
	if err != nil || string(after) != string(before) {
		t.Errorf("the file is %q, %v; was %q", after, err, before)
	}
}

// TestAllDamaged damages metrics.json and all backups, and checks that the start is empty and
// counts the damage.
func TestAllDamaged(t *testing.T) {
	c := config(t.TempDir())
	for range 3 {
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		p.stop()
	}
	all := files(t, c.StoragePath, metricsFile)
	for _, name := range all {
		must(t, os.WriteFile(filepath.Join(c.StoragePath, name), nil, 0o640))
	}
	p := start(t, c)
	p.RecordRestart(cold(time.Millisecond))
	p.stop()
	p.wantExposed("portsyncd_cold_starts", "1")
	p.wantExposed("portsyncd_corruptions_detected", fmt.Sprint(len(all)))
	p.wantExposed("portsyncd_state_recoveries", "0")
	if aside := files(t, c.StoragePath, metricsFile+".corrupt-"); len(aside) != p.metrics.Keep.Count {
		t.Errorf("%q are set aside, want the newest %d", aside, p.metrics.Keep.Count)
	}
}

// TestNoPaths checks that no file is written without paths, and that counters are exposed.
func TestNoPaths(t *testing.T) {
	dir := t.TempDir()
	c := config(dir)
	c.StateFile, c.StoragePath = "", ""
	p := start(t, c)
	p.RecordRestart(cold(time.Millisecond))
	p.RecordPorts(somePorts(1))
	p.DiscardState()
	p.stop()
	p.wantExposed("portsyncd_cold_starts", "1")
	if got := files(t, dir, ""); len(got) > 0 || p.HasState() || p.Problems() != nil {
		t.Errorf("files %q, HasState %v, problems %q", got, p.HasState(), p.Problems())
	}
}

// TestDirectories checks the modes of directories and files.
func TestDirectories(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "a", "b"))
	p := start(t, c)
	p.RecordPorts(somePorts(1))
	p.RecordRestart(cold(time.Millisecond))
	p.stop()
	for path, want := range map[string]os.FileMode{
		filepath.Dir(c.StateFile): os.ModeDir | 0o750, c.StoragePath: os.ModeDir | 0o755,
		c.StateFile: 0o640, filepath.Join(c.StoragePath, metricsFile): 0o640,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// TestStateBody checks the documented content of the state file.
func TestStateBody(t *testing.T) {
	c := config(t.TempDir())
	p := start(t, c)
	p.RecordPorts(somePorts(1500))
	p.stop()
	f := snapshot.File{Path: c.StateFile, Schema: portsSchema, Check: checkPorts}
	got, err := f.Peek()
	must(t, err)
	boot, err := snapshot.BootID()
	must(t, err)
	if got.Schema != 1 || got.Writer != "portsyncd test" || got.BootID != boot || time.Since(got.SavedAt) > time.Minute {
		t.Errorf("envelope %+v", got)
	}
	var b portsBody
	must(t, json.Unmarshal(got.Body, &b))
	if !slices.Equal(b.Ports, somePorts(1500)) {
		t.Errorf("ports %+v", b.Ports)
	}
}

// TestStateOfAnyName checks that names that are not valid UTF-8 do not make the state file corrupt.
func TestStateOfAnyName(t *testing.T) {
	c := config(t.TempDir())
	p := start(t, c)
	p.RecordPorts([]Port{{Name: "Ethernet\xff\xff\xff\xff\xff\xff\xff"}, {Name: "Ethernet\xfe"}, {Name: "Ethernet\xff"}, {Name: "Ethernet\ufffd"}})
	p.stop()
	p = start(t, c)
	if !p.HasState() {
		t.Errorf("HasState is false, want true: %s", &p.log.buf)
	}
	p.stop()
	p.wantExposed("portsyncd_corruptions_detected", "0")
}

// TestSharedParentDirectory checks that the directory of the state file is open to others if it is a
// parent of the storage path, and that a closed directory is logged once.
func TestSharedParentDirectory(t *testing.T) {
	top := t.TempDir()
	must(t, os.Chmod(filepath.Dir(top), 0o755))
	c := config(filepath.Join(top, "a"))
	c.StateFile, c.SaveInterval = filepath.Join(top, "a", "port_state.json"), time.Millisecond
	process := func() *process {
		p := start(t, c)
		p.RecordPorts(somePorts(1))
		for end := time.Now().Add(10 * time.Second); p.exposed(`portsyncd_snapshot_saves_total{file="export_prometheus"}`) == "0" && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		p.stop()
		return p
	}
	p := process()
	for path, want := range map[string]os.FileMode{filepath.Dir(c.StateFile): 0o755, c.StoragePath: 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if n := p.log.count("other users cannot read the exports"); n != 0 {
		t.Errorf("log: %s", &p.log.buf)
	}
	must(t, os.Chmod(filepath.Dir(c.StateFile), 0o750))
	if p := process(); p.log.count("other users cannot read the exports", filepath.Dir(c.StateFile)) != 1 {
		t.Errorf("log: %s", &p.log.buf)
	}
	must(t, os.Chmod(filepath.Dir(c.StateFile), 0o755))
	must(t, os.Chmod(c.StoragePath, 0o751)) // node_exporter lists it
	if p := process(); p.log.count("other users cannot read the exports", c.StoragePath) != 1 {
		t.Errorf("log: %s", &p.log.buf)
	}
}

// TestDirectoriesOfEarlierVersion checks that directories that an earlier version created are
// opened to others, and directories with other modes are not.
func TestDirectoriesOfEarlierVersion(t *testing.T) {
	for _, test := range []struct {
		mode, want os.FileMode
		made       bool
	}{{0o750, 0o755, true}, {0o700, 0o700, true}, {0o710, 0o710, true}, {0o750, 0o750, false}} {
		c := config(t.TempDir())
		c.SaveInterval = time.Millisecond
		must(t, os.Mkdir(c.StoragePath, 0o700))
		must(t, os.Chmod(c.StoragePath, test.mode))
		if test.made {
			c.MadeDirs = []string{filepath.Join(c.StoragePath, "absent"), c.StoragePath}
		}
		p := start(t, c)
		for end := time.Now().Add(10 * time.Second); p.exposed(`portsyncd_snapshot_saves_total{file="export_prometheus"}`) == "0" && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		p.stop()
		if info, err := os.Stat(c.StoragePath); err != nil || info.Mode().Perm() != test.want {
			t.Errorf("made %v, mode %v: mode %v, %v; want %v", test.made, test.mode, info.Mode(), err, test.want)
		}
	}
}
