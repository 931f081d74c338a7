package warmrestart

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// damages are ways to damage a file.
var damages = []struct {
	name string
	do   func(path string, text []byte) error
}{
	{"overwritten", func(path string, text []byte) error { return os.WriteFile(path, []byte("junk"), 0o640) }},
	{"emptied", func(path string, text []byte) error { return os.Truncate(path, 0) }},
	{"removed", func(path string, text []byte) error { return os.Remove(path) }},
	{"one digit changed", func(path string, text []byte) error {
		changed := bytes.Replace(text, []byte(`"eoiu_timeouts":1`), []byte(`"eoiu_timeouts":9`), -1)
		if bytes.Equal(changed, text) && len(text) > 0 {
			changed[len(changed)/2] ^= 1
		}
		return os.WriteFile(path, changed, 0o640)
	}},
}

// damage corrupts a file in place, so that its hard links become corrupt too.
func damage(t *testing.T, how int, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, damages[how].do(path, text))
}

// fourStarts returns a directory after four starts, of which the newest timed out.
func fourStarts(t *testing.T) (dir string) {
	dir = t.TempDir()
	c := config(dir)
	for i, r := range []Restart{cold(time.Millisecond), warm(2 * time.Second), warm(3 * time.Second),
		{At: time.Now(), Kind: Cold, Duration: 4 * time.Second, TimedOut: true}} {
		p := start(t, c)
		p.RecordPorts(somePorts(uint32(i)))
		p.RecordRestart(r)
		p.stop()
	}
	p := open(t, c)
	p.markDirty(fileHistory)
	p.run().stop()
	return dir
}

// fourStartsSeries are the expected counters of fourStarts.
var fourStartsSeries = map[string]string{
	"portsyncd_warm_restarts": "2", "portsyncd_cold_starts": "2",
	"portsyncd_eoiu_detected": "3", "portsyncd_eoiu_timeouts": "1",
}

// wantCounters checks counters, histogram and records of fourStarts.
func (p *process) wantCounters(c Config) {
	p.t.Helper()
	for series, want := range fourStartsSeries {
		p.wantExposed(series, want)
	}
	p.wantExposed("portsyncd_sync_duration_seconds_count", "4")
	p.wantExposed("portsyncd_state_losses_total", "0")
	if got := stored(p.t, c); len(got.Restarts) != 4 || !got.Restarts[3].TimedOut {
		p.t.Errorf("%d records, want 4", len(got.Restarts))
	}
}

// TestDamage damages each file and each pair of files, and checks that no counter, duration or
// record is lost.
func TestDamage(t *testing.T) {
	whole := fourStarts(t)
	var names []string
	for _, sub := range []string{"state", "metrics"} {
		for _, name := range files(t, filepath.Join(whole, sub), "") {
			names = append(names, filepath.Join(sub, name))
		}
	}
	if len(names) < 8 {
		t.Fatalf("only the files %q", names)
	}
	for how := range damages {
		for i := range names {
			for k := i; k < len(names); k++ { // k == i: that file alone
				dir := t.TempDir()
				must(t, os.CopyFS(dir, os.DirFS(whole)))
				for _, n := range []int{i, k}[:min(1+k-i, 2)] {
					damage(t, how, filepath.Join(dir, names[n]))
				}
				p := restartAfterDamage(t, config(dir))
				if t.Failed() {
					t.Fatalf("%s and %s %s:\n%s", names[i], names[k], damages[how].name, &p.log.buf)
				}
			}
		}
	}
}

// restartAfterDamage checks that the report and a further start have the counters of fourStarts.
func restartAfterDamage(t *testing.T, c Config) *process {
	t.Helper()
	h, err := ReadHistory(c.StoragePath, time.Time{}, time.Now())
	must(t, err)
	if n := h.Counters; n.WarmRestarts != 2 || n.ColdStarts != 2 || n.EOIUTimeouts != 1 || len(h.Restarts) != 4 {
		t.Errorf("the report has %+v and %d records", n, len(h.Restarts))
	}
	p := start(t, c)
	p.stop()
	p.wantCounters(c)
	return p
}

// TestOlderCopy puts older copies of files in place of the newest ones, for each file and each set of
// files that leaves a newer copy of metrics.json, and checks that no counter, duration or record is lost.
func TestOlderCopy(t *testing.T) {
	whole, older := t.TempDir(), t.TempDir()
	c := config(whole)
	for _, r := range []Restart{cold(time.Millisecond), warm(2 * time.Second), warm(3 * time.Second)} {
		p := start(t, c)
		p.RecordRestart(r)
		p.stop()
	}
	must(t, os.CopyFS(older, os.DirFS(whole)))
	p := open(t, c)
	p.RecordRestart(Restart{At: time.Now(), Kind: Cold, Duration: 4 * time.Second, TimedOut: true})
	p.markDirty(fileHistory)
	p.run().stop()

	all := files(t, c.StoragePath, metricsFile)
	newest := all[len(all)-1] // the backup with the highest number
	names := []string{metricsFile, historyFile, newest}
	for set := 1; set < 1<<len(names); set++ {
		dir, replaced := t.TempDir(), []string(nil)
		must(t, os.CopyFS(dir, os.DirFS(whole)))
		for i, name := range names {
			if set>>i&1 == 0 {
				continue
			}
			replaced = append(replaced, name)
			text, err := os.ReadFile(filepath.Join(older, "metrics", name))
			if os.IsNotExist(err) { // the older directory has no such file
				must(t, os.Remove(filepath.Join(dir, "metrics", name)))
				continue
			}
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "metrics", name), text, 0o640))
		}
		p := restartAfterDamage(t, config(dir))
		recoveries := "0"
		if set&1 != 0 {
			recoveries = "1"
		}
		p.wantExposed("portsyncd_state_recoveries", recoveries)
		p.wantExposed("portsyncd_corruptions_detected", "0")
		if t.Failed() {
			t.Fatalf("older copies of %q:\n%s", replaced, &p.log.buf)
		}
	}
}

// damageNewest damages metrics.json and all copies of its content.
func damageNewest(t *testing.T, c Config) {
	t.Helper()
	all := files(t, c.StoragePath, metricsFile)
	for _, name := range append(all[:1], all[len(all)-metricsCopies:]...) {
		damage(t, 0, filepath.Join(c.StoragePath, name))
	}
}

// TestDamageToAllCopies damages metrics.json and all copies, and checks that counters come from the
// history and that the loss of the rest is counted and reported.
func TestDamageToAllCopies(t *testing.T) {
	c := config(fourStarts(t))
	damageNewest(t, c)
	p := start(t, c)
	p.stop()
	for series, want := range fourStartsSeries {
		p.wantExposed(series, want)
	}
	p.wantExposed("portsyncd_sync_duration_seconds_count", "3")
	p.wantExposed("portsyncd_state_losses_total", "1")
	p.wantExposed("portsyncd_corruptions_detected", "3")
	p.wantExposed("portsyncd_corruptions_recovered_total", "3")
	if p.log.count("metrics.json is older than the history") != 1 {
		t.Errorf("the log does not name the loss: %s", &p.log.buf)
	}
	h, err := ReadHistory(c.StoragePath, time.Time{}, time.Now())
	must(t, err)
	why := fmt.Sprint(Analyze(h, AnalysisOptions{Now: time.Now()}).Recommendations)
	if !strings.Contains(why, "durations with all copies: 1") {
		t.Errorf("the report does not name the loss: %s", why)
	}
}

// TestDamageEverywhere damages the history as well, and checks that the decrease of the counters is
// counted and reported.
func TestDamageEverywhere(t *testing.T) {
	c := config(fourStarts(t))
	damageNewest(t, c)
	damage(t, 3, filepath.Join(c.StoragePath, historyFile))
	h, err := ReadHistory(c.StoragePath, time.Time{}, time.Now())
	must(t, err)
	if problems := strings.Join(h.Problems, "\n"); !strings.Contains(problems, "may be missing") {
		t.Errorf("the report says %s", problems)
	}
	p := start(t, c)
	p.stop()
	p.wantExposed("portsyncd_eoiu_timeouts", "0")
	p.wantExposed("portsyncd_warm_restarts", "2")
	p.wantExposed("portsyncd_state_losses_total", "1")
	if p.log.count("of the newest starts may be lost") != 1 {
		t.Errorf("the log does not name the loss: %s", &p.log.buf)
	}
	p = start(t, c)
	p.stop()
	p.wantExposed("portsyncd_state_losses_total", "1")
}

// TestLargeCounters checks counters above 32 bits, and that a counter at its maximum does not wrap.
func TestLargeCounters(t *testing.T) {
	const most = ^uint64(0)
	c := config(t.TempDir())
	p := open(t, c)
	p.body.Counters = Counters{1 << 40, 1<<33 + 1, 1<<34 + 2, 1<<35 + 3, 1<<36 + 4, 1<<37 + 5, 1<<38 + 6, 1<<39 + 7}
	p.body.Sync.Counts[3] = 1 << 41
	p.markDirty(fileMetrics)
	p.run().stop()
	p = start(t, c)
	p.stop()
	for series, want := range map[string]uint64{
		"portsyncd_warm_restarts": 1 << 40, "portsyncd_cold_starts": 1<<33 + 1, "portsyncd_eoiu_detected": 1<<34 + 2,
		"portsyncd_eoiu_timeouts": 1<<35 + 3, "portsyncd_state_recoveries": 1<<36 + 4, "portsyncd_corruptions_detected": 1<<37 + 5,
		"portsyncd_corruptions_recovered_total": 1<<38 + 6, "portsyncd_state_losses_total": 1<<39 + 7, "portsyncd_sync_duration_seconds_count": 1 << 41,
	} {
		p.wantExposed(series, fmt.Sprint(want))
	}
	p = open(t, c)
	for _, counter := range p.body.Counters.all() {
		*counter = most
	}
	p.body.Sync.Counts[3] = most
	p.markDirty(fileMetrics)
	p.run().stop()
	must(t, os.WriteFile(filepath.Join(c.StoragePath, metricsFile), nil, 0o640))
	p = start(t, c)
	p.RecordRestart(Restart{At: time.Now(), Kind: Warm, EOIU: true, TimedOut: true})
	p.RecordRestart(Restart{At: time.Now(), Kind: Cold, EOIU: true, TimedOut: true})
	p.stop()
	for _, series := range []string{"portsyncd_warm_restarts", "portsyncd_cold_starts", "portsyncd_eoiu_detected", "portsyncd_eoiu_timeouts",
		"portsyncd_state_recoveries", "portsyncd_corruptions_detected", "portsyncd_corruptions_recovered_total", "portsyncd_sync_duration_seconds_count"} {
		p.wantExposed(series, fmt.Sprint(most))
	}
	h, err := ReadHistory(c.StoragePath, time.Time{}, time.Now())
	must(t, err)
	if n := h.Counters.starts(); n != most {
		t.Errorf("the report has %d starts, want %d", n, most)
	}
}
