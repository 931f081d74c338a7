package start

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
)

// These tests implement the table of starts in docs/SPECIFICATION.md: a daemon that has brought
// all ports up is killed, databases and files are changed, and the next daemon must start as the
// table says.

// startCase is what a start finds, and the decision and figures that it must lead to. The zero
// value is what a killed daemon leaves.
type startCase struct {
	name string

	flag    bool   // SONiC's warm restart is enabled
	count   string // restore_count; "" for what the first daemon left, "none" for no such field
	flushed bool   // as by a cold start of the service: CONFIG_DB is there, the rest is empty
	spoil   func(sw *switchtest.StorageSwitch)
	conf    string // keys of [warm_restart]

	kind         string
	reason       string
	keeps        bool // interfaces stay as they are
	produces     bool // configuration and markers are produced
	stale, aside int  // renamed files: stale, corrupt or newer
	recovered    bool // a backup was used
	corruptions  int
}

// TestStartDecision checks for each case whether the start is warm or cold, why, and what the
// daemon reports about it.
func TestStartDecision(t *testing.T) {
	switchtest.Parallel(t)
	lost := func(sw *switchtest.StorageSwitch) {
		sw.NoError("delete the files", os.RemoveAll(filepath.Dir(sw.StatePath)))
	}
	alone, nothing := "only portsyncd was restarted; its saved state is used", "only portsyncd was restarted; it has no saved state of this boot"
	for _, b := range []startCase{
		{name: "killed", kind: "warm", reason: alone, keeps: true, produces: true},
		{name: "file_lost", spoil: lost, kind: "cold", reason: nothing, keeps: true, produces: true},
		{name: "file_forbidden", conf: "enabled = false", kind: "cold", reason: "only portsyncd was restarted; warm_restart.enabled is false", keeps: true, produces: true},
		{name: "file_damaged", kind: "warm", reason: alone, keeps: true, produces: true, aside: 1, recovered: true, corruptions: 1,
			spoil: func(sw *switchtest.StorageSwitch) { corruptFile(sw.T, sw.StatePath) }},
		{name: "newest_two_damaged", kind: "warm", reason: alone, keeps: true, produces: true, aside: 2, recovered: true, corruptions: 2,
			spoil: func(sw *switchtest.StorageSwitch) {
				corruptFile(sw.T, sw.StatePath)
				corruptFile(sw.T, backups(sw)[1])
			}},
		{name: "all_damaged", kind: "cold", reason: nothing, keeps: true, produces: true, aside: 3, corruptions: 3,
			spoil: func(sw *switchtest.StorageSwitch) {
				for _, path := range append(backups(sw), sw.StatePath) {
					corruptFile(sw.T, path)
				}
			}},
		{name: "of_another_boot", kind: "cold", reason: nothing, keeps: true, produces: true,
			spoil: func(sw *switchtest.StorageSwitch) { rewrite(sw, 1, "01234567-89ab-cdef-0123-456789abcdef", 2) }},
		{name: "of_a_newer_schema", kind: "cold", reason: nothing, keeps: true, produces: true, aside: 1,
			spoil: func(sw *switchtest.StorageSwitch) { rewrite(sw, 2, bootID(sw), 0) }},

		{name: "flag", flag: true, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_file_lost", flag: true, spoil: lost, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_flushed", flag: true, count: "3", flushed: true, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_without_count", flag: true, count: "none", kind: "warm", reason: "SONiC requested a warm restart, but there is no restore_count; its saved state is used", keeps: true, produces: true},

		{name: "flushed", flushed: true, kind: "cold", reason: "SONiC did not request a warm restart", produces: true, stale: 1},
		{name: "flushed_file_lost", flushed: true, spoil: lost, kind: "cold", reason: "SONiC did not request a warm restart", produces: true},
		{name: "flushed_file_damaged", flushed: true, kind: "cold", reason: "SONiC did not request a warm restart", produces: true,
			spoil: func(sw *switchtest.StorageSwitch) { corruptFile(sw.T, sw.StatePath) }, stale: 1, aside: 1, recovered: true, corruptions: 1},
	} {
		t.Run(b.name, func(t *testing.T) {
			sw := switchtest.NewWithStorage(t)
			if sw == nil {
				return
			}
			d := sw.BringUpSaved(switchtest.FewPorts)
			first := sw.AwaitRestarts(1)
			if first.Kind != "cold" || !first.EOIU {
				t.Errorf("the first start was %+v", first)
			}
			d.Kill()
			prepare(sw, b)
			lines, down, rows := sw.Logs.Len(), sw.WatchLinksDown(), sw.WatchRowEvents()
			d = sw.StartConfigured()
			sw.AwaitLog(lines, switchtest.Timeout, b.kind+" start", b.reason)
			check(sw, b, down, rows)
			sw.CheckSelfReport(d)
		})
	}
}

// rewrite replaces the state file and its backups by files with the same ports and with changed
// properties.
func rewrite(sw *switchtest.StorageSwitch, schema int, boot string, keep int) {
	sw.T.Helper()
	got, err := sw.StateFile().Peek()
	sw.NoError("read the state file", err)
	for _, path := range append(backups(sw), sw.StatePath) {
		sw.NoError("remove", os.Remove(path))
	}
	f := snapshot.File{Path: sw.StatePath, Schema: schema, BootID: boot, Writer: got.Writer, Keep: snapshot.Limits{Count: keep}}
	for range 1 + keep {
		sw.NoError("write the state file", f.Save(got.Body))
	}
}

// bootID returns the boot ID of this machine.
func bootID(sw *switchtest.StorageSwitch) string {
	sw.T.Helper()
	boot, err := snapshot.BootID()
	sw.NoError("read the boot", err)
	return boot
}

// backups returns the backups of the state file, oldest first.
func backups(sw *switchtest.StorageSwitch) []string {
	return switchtest.FilesWithPrefix(sw.T, sw.StatePath, ".backup-")
}

// prepare prepares what the start will find.
func prepare(sw *switchtest.StorageSwitch, b startCase) {
	sw.T.Helper()
	if b.flushed {
		sw.Do("APPL_DB", "FLUSHDB")
		sw.Do("STATE_DB", "FLUSHDB")
	} else {
		sw.PopPortTable()
	}
	if b.flag {
		sw.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	}
	switch b.count {
	case "":
	case "none":
		sw.Do("STATE_DB", "HDEL", "WARM_RESTART_TABLE|portsyncd", "restore_count")
	default:
		sw.Do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", b.count)
	}
	if !b.keeps { // a cold start ignores the existing interfaces
		for _, port := range sw.KernelPorts() {
			sw.IgnoredLinks[port.Index] = true
		}
	}
	rewrite(sw, 1, bootID(sw), 2)
	if b.spoil != nil {
		b.spoil(sw)
	}
	sw.WriteSettings(b.conf, "")
}

// check checks the record and the metrics of the start.
func check(sw *switchtest.StorageSwitch, b startCase, down *switchtest.Record[string], rows *switchtest.Record[switchtest.RowEvent]) {
	t := sw.T
	t.Helper()
	const records = 2
	r := sw.AwaitRestarts(records)
	if r.Kind != b.kind || r.Reason != b.reason || !r.EOIU || r.TimedOut || r.Duration <= 0 {
		t.Errorf("record %+v, want a %s start because %s", r, b.kind, b.reason)
	}
	if recovered := strings.HasPrefix(r.RecoveredFrom, sw.StatePath+".backup-"); recovered != b.recovered {
		t.Errorf("recovered from %q, want a backup: %v", r.RecoveredFrom, b.recovered)
	}
	// The metrics show a moment later what is on the disk.
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	want := map[string]int{
		"portsyncd_corruptions_detected":        b.corruptions,
		"portsyncd_state_recoveries":            switchtest.BoolToInt(b.recovered),
		"portsyncd_warm_restarts":               switchtest.BoolToInt(b.kind == warmrestart.Warm),
		"portsyncd_cold_starts":                 records - switchtest.BoolToInt(b.kind == warmrestart.Warm),
		"portsyncd_eoiu_detected":               records,
		"portsyncd_eoiu_timeouts":               0,
		"portsyncd_sync_duration_seconds_count": records,
	}
	for series, v := range want {
		client.AwaitValue(series, float64(v))
	}
	if n := len(switchtest.FilesWithPrefix(t, sw.StatePath, ".stale-")); (n > 0) != (b.stale > 0) {
		t.Errorf("%d files are renamed as stale", n)
	}
	if n := len(switchtest.FilesWithPrefix(t, sw.StatePath, ".corrupt-")) + len(switchtest.FilesWithPrefix(t, sw.StatePath, ".newer-")); n != b.aside {
		t.Errorf("%d files are renamed as corrupt or newer, want %d", n, b.aside)
	}
	checkPorts(sw, b, down, rows)
}

// checkPorts checks interfaces, rows and what was produced for orchagent.
func checkPorts(sw *switchtest.StorageSwitch, b startCase, down *switchtest.Record[string], rows *switchtest.Record[switchtest.RowEvent]) {
	t := sw.T
	t.Helper()
	if b.produces {
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if pending := sw.SetMembers("APPL_DB", switchtest.KeySet); !slices.Contains(pending, "PortConfigDone") {
				return fmt.Sprintf("pending are %q", pending)
			}
			return ""
		})
	} else if pending := sw.SetMembers("APPL_DB", switchtest.KeySet); slices.Contains(pending, "PortConfigDone") {
		t.Errorf("produced rows are %q", pending)
	}
	if b.keeps {
		if names, _ := down.From(0); len(names) > 0 {
			t.Errorf("ports went down: %q", names)
		}
		if !b.flushed {
			sw.AwaitRecovery("the start")
		}
	} else {
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			for name, facts := range switchtest.LinkStates(t) {
				if facts.Admin != "down" {
					return name + " is an old interface and up"
				}
			}
			return ""
		})
	}
	if touched := sw.RowEventsSoFar(rows); len(touched) > 0 && b.kind == warmrestart.Warm {
		t.Errorf("correct rows were written again: %v", touched)
	}
}

// TestWarmChanges changes ports while the daemon is down. The warm start must write each row that
// differs once, delete the rows of deleted ports, touch no other row, and produce the
// configuration after the comparison.
func TestWarmChanges(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(switchtest.ManyPorts)
	d.Kill()
	sw.PopPortTable()
	sw.ChangeLinks()
	sw.AwaitRunning(switchtest.PortName(1), true) // before the start, so that the start does not see the change
	sw.AwaitRunning(switchtest.PortName(2), false)
	sw.AwaitRunning(switchtest.PortName(3), false)
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok") // intfmgrd's
	down, rows := sw.WatchLinksDown(), sw.WatchRowEvents()
	commands, err := switchtest.Monitor(sw.Databases["STATE_DB"].TCPAddress())
	sw.NoError("monitor", err)
	d = sw.StartConfigured()
	r := sw.AwaitRestarts(2)
	if r.Kind != "warm" || r.Compared != switchtest.ManyPorts-1 || r.Changed != 3 || r.Deleted != 1 {
		t.Errorf("record %+v, want 3 rows changed and 1 deleted of %d", r, switchtest.ManyPorts-1)
	}
	sw.AwaitRecovery("the start")
	names, _ := down.From(0)
	for _, name := range names {
		if name != switchtest.PortName(2) && name != switchtest.PortName(3) { // the kernel reports the lost carrier with a delay
			t.Errorf("%s went down", name)
		}
	}
	// The first port was deleted, the second made again as it was.
	got := sw.RowEventsSoFar(rows)
	slices.SortFunc(got, func(a, b switchtest.RowEvent) int { return strings.Compare(a.Key, b.Key) })
	want := []switchtest.RowEvent{{Key: switchtest.PortName(0), Event: "del"}, {Key: switchtest.PortName(4), Event: "hset"}, {Key: switchtest.PortName(2), Event: "hset"}, {Key: switchtest.PortName(3), Event: "hset"}}
	slices.SortFunc(want, func(a, b switchtest.RowEvent) int { return strings.Compare(a.Key, b.Key) })
	if !slices.Equal(got, want) {
		t.Errorf("rows written are %v, want %v", got, want)
	}
	position := func(words ...string) int {
		t.Helper()
		i := 0
		_, ok := commands.Await(0, switchtest.Timeout, func(c switchtest.RedisCommand) bool {
			i++
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.Join(c.Args, " "), w) })
		})
		if !ok {
			t.Fatalf("no command with %q", words)
		}
		return i
	}
	compared, produced := position("HMGET", "PORT_TABLE|"), position("PORT_TABLE_KEY_SET", switchtest.PortName(1))
	if compared > produced {
		t.Errorf("command %d produces ports, command %d compares", produced, compared)
	}
	sw.CheckSelfReport(d)
}

// TestWarmStartTimes logs how long a warm start takes from exec to EOIU, and checks that it writes
// nothing if nothing has changed.
func TestWarmStartTimes(t *testing.T) {
	switchtest.Parallel(t)
	for _, ports := range []int{32, 128, 512} {
		t.Run(fmt.Sprint(ports), func(t *testing.T) {
			if testing.Short() && ports > 32 {
				t.Skip("makes many interfaces")
			}
			sw := switchtest.NewWithStorage(t)
			if sw == nil {
				return
			}
			d := sw.BringUpSaved(ports)
			for n := range 3 {
				d.Kill()
				sw.PopPortTable()
				rows := sw.WatchRowEvents()
				begin := time.Now()
				d = sw.StartConfigured()
				ready := time.Since(begin)
				r := sw.AwaitRestarts(n + 2)
				took := r.At.Add(r.Duration).Sub(begin)
				if r.Kind != "warm" || r.Compared != ports || r.Changed != 0 || r.Deleted != 0 {
					t.Errorf("record %+v", r)
				}
				if touched := sw.RowEventsSoFar(rows); len(touched) > 0 {
					t.Errorf("%d rows are written: %v...", len(touched), touched[0])
				}
				t.Logf("%d ports: sync complete %v after exec, of which the sync itself %v; ready after %v; 0 rows written",
					ports, took.Round(10*time.Microsecond), r.Duration.Round(10*time.Microsecond), ready.Round(10*time.Microsecond))
			}
		})
	}
}

// corruptFile flips a bit in the middle of a file.
func corruptFile(t switchtest.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o640); err != nil {
		t.Fatal(err)
	}
}
