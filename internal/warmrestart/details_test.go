package warmrestart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/snapshot"
)

// TestLoadIsLogged checks which lines the load of a file causes, and which counters.
func TestLoadIsLogged(t *testing.T) {
	problem := func(err error) snapshot.Problem { return snapshot.Problem{Path: "f", Err: err} }
	for name, c := range map[string]struct {
		got   snapshot.Loaded
		err   error
		lines []string
		found Counters
	}{
		"intact":          {},
		"missing":         {err: fs.ErrNotExist},
		"nothing usable":  {err: errors.New("corrupt"), lines: []string{"no usable file or backup"}},
		"missing, backup": {got: snapshot.Loaded{Tried: 1, Problems: []snapshot.Problem{problem(fs.ErrNotExist)}}},
		"unreadable":      {got: snapshot.Loaded{Tried: 1, Problems: []snapshot.Problem{problem(fs.ErrPermission)}}, lines: []string{"ignoring unusable file"}},
		"recovered": {got: snapshot.Loaded{Tried: 1, Corrupt: 1, Recovered: true, Problems: []snapshot.Problem{problem(snapshot.ErrCorrupt)}},
			lines: []string{"ignoring corrupt file", "using a backup"}, found: Counters{CorruptionsDetected: 1, CorruptionsRecovered: 1, StateRecoveries: 1}},
		"more than listed": {got: snapshot.Loaded{Tried: 5, Corrupt: 5, Problems: []snapshot.Problem{problem(snapshot.ErrCorrupt)}},
			lines: []string{"ignoring corrupt file", "count=4"}, found: Counters{CorruptionsDetected: 5}},
	} {
		p := open(t, config(t.TempDir()))
		before := len(p.log.buf.String())
		if found := p.logLoad(&c.got, c.err, "f"); found != c.found {
			t.Errorf("%s: %+v, want %+v", name, found, c.found)
		}
		log := p.log.buf.String()[before:]
		if strings.Count(log, "\n") != len(c.lines) {
			t.Errorf("%s: logged %q, want %d lines", name, log, len(c.lines))
		}
		for _, line := range c.lines {
			if !strings.Contains(log, line) {
				t.Errorf("%s: logged %q, want %q", name, log, line)
			}
		}
	}
}

// TestStartIsQuiet checks that a start without a fault logs no warning, with and without files of an
// earlier run.
func TestStartIsQuiet(t *testing.T) {
	c := config(t.TempDir())
	c.ExportText = false
	for range 2 {
		p := start(t, c)
		p.RecordRestart(warm(time.Second))
		p.RecordPorts(somePorts(9100))
		p.stop()
		p.removeExports()
		if log := p.log.buf.String(); strings.Contains(log, "WARN") || strings.Contains(log, "ERROR") {
			t.Errorf("logged %q", log)
		}
	}
}

// TestDisabledExportStays checks that an export that cannot be removed is logged.
func TestDisabledExportStays(t *testing.T) {
	c := config(t.TempDir())
	c.ExportText = false
	p := start(t, c)
	p.stop()
	must(t, os.MkdirAll(filepath.Join(c.StoragePath, textFile, "not empty"), 0o755))
	p.removeExports()
	if log := p.log.buf.String(); !strings.Contains(log, "cannot remove a disabled export") {
		t.Errorf("logged %q", log)
	}
}

// TestLimitsOfRecords checks records at and beyond each limit.
func TestLimitsOfRecords(t *testing.T) {
	long := strings.Repeat("x", maxText)
	ok := Restart{Kind: Warm}
	for name, c := range map[string]struct {
		edit func(b *metricsBody)
		ok   bool
	}{
		"as many as possible": {func(b *metricsBody) {
			for range maxRestarts {
				b.Restarts = append(b.Restarts, ok)
			}
		}, true},
		"the longest texts": {func(b *metricsBody) {
			b.Restarts = []Restart{{Kind: Cold, Reason: long, Ended: long, RecoveredFrom: long}}
		}, true},
		"a longer text": {func(b *metricsBody) { b.Restarts = []Restart{{Kind: Cold, Reason: long + "x"}} }, false},
		"no duration":   {func(b *metricsBody) { b.Restarts = []Restart{{Kind: Cold}} }, true},
		"equal bounds":  {func(b *metricsBody) { b.Sync.Bounds = slices.Clone(b.Sync.Bounds); b.Sync.Bounds[1] = b.Sync.Bounds[0] }, false},
	} {
		b := newMetricsBody()
		c.edit(&b)
		if err := b.check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTrim checks that only records beyond the limit are removed.
func TestTrim(t *testing.T) {
	for keep, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3} {
		b := metricsBody{Restarts: []Restart{{Kind: "a"}, {Kind: "b"}, {Kind: "c"}}}
		if removed := b.trim(keep); removed != (want < 3) || len(b.Restarts) != want || b.Restarts[want-1].Kind != "c" {
			t.Errorf("keep %d: removed %t, %v", keep, removed, b.Restarts)
		}
	}
}

// TestMostFlaps checks that a sample with as many ports as the daemon writes is valid.
func TestMostFlaps(t *testing.T) {
	s := sampleAt(0, 0)
	for i := range MaxFlaps {
		s.Flaps = append(s.Flaps, PortFlaps{Port: fmt.Sprintf("Ethernet%d", i)})
	}
	if got, ok := decodeSample(encode(s)); !ok || len(got.Flaps) != MaxFlaps {
		t.Errorf("%v, %t", got, ok)
	}
}

// TestDirMode checks which directories other users may read.
func TestDirMode(t *testing.T) {
	for _, c := range []struct {
		state, storage string
		file           int
		want           fs.FileMode
	}{
		{"/a/state", "/a/metrics", fileMetrics, openDirMode},
		{"/a/state", "/a/metrics", fileState, openDirMode}, // /a is above the exports
		{"/a/state", "/b", fileState, privateDirMode},
		{"/a/state", "", fileState, privateDirMode},
		{"/a/b/state", "/a", fileState, privateDirMode},
		{"/a/state", "relative", fileState, privateDirMode},
	} {
		rec := &Recorder{}
		rec.cfg.StateFile, rec.cfg.StoragePath = c.state, c.storage
		if got := rec.dirMode(c.file); got != c.want {
			t.Errorf("%+v: %o", c, got)
		}
	}
}

// TestSizeOf checks the size of a file and of a missing file, with the file system of the system.
func TestSizeOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("12345"), 0o600))
	rec := &Recorder{}
	if got, missing := rec.sizeOf(path), rec.sizeOf(path+"x"); got != 5 || missing != 0 {
		t.Errorf("%d bytes and %d bytes, want 5 and 0", got, missing)
	}
}

// TestSpanOfHistoryFile checks that eight files of history cover the retention.
func TestSpanOfHistoryFile(t *testing.T) {
	p := open(t, config(t.TempDir()))
	if got, want := p.history.MaxSpan, settings().Retention/8; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
