package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/snapshot"
	"portsyncd/warmrestart"
)

// These tests are the table of starts in docs/SPECIFICATION.md: a daemon that has
// brought all ports up is killed, the databases and the files are brought into a
// state, and the next daemon makes of it what the table says.

// warmPorts is how many ports a switch in these tests has.
const warmPorts = 3

// before is what a start finds. The zero value is what a killed daemon leaves.
type before struct {
	name string

	flag    bool   // SONiC's warm restart is enabled
	count   string // restore_count; "" for what the first daemon left, "none" for no such field
	flushed bool   // as by a cold start of the service: CONFIG_DB is there, the rest is empty
	spoil   func(k *keeper)
	conf    string // keys of [warm_restart]

	kind         string
	reason       string
	keeps        bool // interfaces stay as they are
	produces     bool // configuration and markers are handed over
	stale, aside int  // files set aside: stale, corrupt or newer
	recovered    bool // a backup stood in
	corruptions  int
}

func TestStartDecision(t *testing.T) {
	alongside(t)
	lost := func(k *keeper) {
		k.must("lose the files", os.RemoveAll(filepath.Dir(k.state)))
	}
	alone, nothing := "only portsyncd was restarted; its saved state is used", "only portsyncd was restarted; it has no saved state of this boot"
	for _, b := range []before{
		{name: "killed", kind: "warm", reason: alone, keeps: true, produces: true},
		{name: "file_lost", spoil: lost, kind: "cold", reason: nothing, keeps: true, produces: true},
		{name: "file_forbidden", conf: "enabled = false", kind: "cold", reason: "only portsyncd was restarted; warm_restart.enabled is false", keeps: true, produces: true},
		{name: "file_damaged", kind: "warm", reason: alone, keeps: true, produces: true, aside: 1, recovered: true, corruptions: 1,
			spoil: func(k *keeper) { damage(k.t, k.state) }},
		{name: "newest_two_damaged", kind: "warm", reason: alone, keeps: true, produces: true, aside: 2, recovered: true, corruptions: 2,
			spoil: func(k *keeper) { damage(k.t, k.state); damage(k.t, k.backups()[1]) }},
		{name: "all_damaged", kind: "cold", reason: nothing, keeps: true, produces: true, aside: 3, corruptions: 3,
			spoil: func(k *keeper) {
				for _, path := range append(k.backups(), k.state) {
					damage(k.t, path)
				}
			}},
		{name: "of_another_boot", kind: "cold", reason: nothing, keeps: true, produces: true,
			spoil: func(k *keeper) { k.rewrite(1, "01234567-89ab-cdef-0123-456789abcdef", 2) }},
		{name: "of_a_newer_schema", kind: "cold", reason: nothing, keeps: true, produces: true, aside: 1,
			spoil: func(k *keeper) { k.rewrite(2, k.bootID(), 0) }},

		{name: "flag", flag: true, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_file_lost", flag: true, spoil: lost, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_flushed", flag: true, count: "3", flushed: true, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_without_count", flag: true, count: "none", kind: "warm", reason: "SONiC requested a warm restart, but there is no restore_count; its saved state is used", keeps: true, produces: true},

		{name: "flushed", flushed: true, kind: "cold", reason: "SONiC did not request a warm restart", produces: true, stale: 1},
		{name: "flushed_file_lost", flushed: true, spoil: lost, kind: "cold", reason: "SONiC did not request a warm restart", produces: true},
		{name: "flushed_file_damaged", flushed: true, kind: "cold", reason: "SONiC did not request a warm restart", produces: true,
			spoil: func(k *keeper) { damage(k.t, k.state) }, stale: 1, aside: 1, recovered: true, corruptions: 1},
	} {
		t.Run(b.name, func(t *testing.T) {
			k := newKeeper(t)
			if k == nil {
				return
			}
			d := k.settle(warmPorts)
			first := k.awaitRecord(1)
			if first.Kind != "cold" || !first.EOIU {
				t.Errorf("the first start was %+v", first)
			}
			d.kill()
			k.prepare(b)
			lines, down, rows := k.logs.len(), k.watchLinks(), k.watchRows()
			k.launch()
			k.awaitLog(lines, patience, b.kind+" start", b.reason)
			k.check(b, down, rows)
		})
	}
}

// rewrite replaces the state file and its backups by files with the same ports,
// which say what they are told about themselves: one file and some backups.
func (k *keeper) rewrite(schema int, boot string, backups int) {
	k.t.Helper()
	got, err := k.stateFile().Peek()
	k.must("read the state file", err)
	for _, path := range append(k.backups(), k.state) {
		k.must("remove", os.Remove(path))
	}
	f := snapshot.File{Path: k.state, Schema: schema, BootID: boot, Writer: got.Writer, Keep: snapshot.Limits{Count: backups}}
	for range 1 + backups {
		k.must("write the state file", f.Save(got.Body))
	}
}

func (k *keeper) bootID() string {
	k.t.Helper()
	boot, err := snapshot.BootID()
	k.must("read the boot", err)
	return boot
}

// backups returns the backups of the state file, oldest first.
func (k *keeper) backups() []string { return beside(k.t, k.state, ".backup-") }

// prepare makes what the start is to find.
func (k *keeper) prepare(b before) {
	k.t.Helper()
	if b.flushed {
		k.do("APPL_DB", "FLUSHDB")
		k.do("STATE_DB", "FLUSHDB")
	} else {
		k.pop()
	}
	if b.flag {
		k.do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	}
	switch b.count {
	case "":
	case "none":
		k.do("STATE_DB", "HDEL", "WARM_RESTART_TABLE|portsyncd", "restore_count")
	default:
		k.do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", b.count)
	}
	k.rewrite(1, k.bootID(), 2)
	if b.spoil != nil {
		b.spoil(k)
	}
	k.write(b.conf, "")
}

// check looks at what the start made of it.
func (k *keeper) check(b before, down *record[string], rows *record[touchedRow]) {
	t := k.t
	t.Helper()
	const records = 2
	r := k.awaitRecord(records)
	if r.Kind != b.kind || r.Reason != b.reason || !r.EOIU || r.TimedOut || r.Duration <= 0 {
		t.Errorf("record %+v, want a %s start because %s", r, b.kind, b.reason)
	}
	if recovered := strings.HasPrefix(r.RecoveredFrom, k.state+".backup-"); recovered != b.recovered {
		t.Errorf("recovered from %q, want a backup: %v", r.RecoveredFrom, b.recovered)
	}
	// What is on the disk is shown a moment later.
	eventually(t, patience, func() string {
		const series = "portsyncd_sync_duration_seconds_count"
		if got := scrape(t)[series]; got != fmt.Sprint(records) {
			return fmt.Sprintf("%s is %s, want %d", series, got, records)
		}
		return ""
	})
	values := scrape(t)
	want := map[string]string{
		"portsyncd_corruptions_detected":        fmt.Sprint(b.corruptions),
		"portsyncd_state_recoveries":            fmt.Sprint(bit(b.recovered)),
		"portsyncd_warm_restarts":               fmt.Sprint(bit(b.kind == warmrestart.Warm)),
		"portsyncd_cold_starts":                 fmt.Sprint(records - bit(b.kind == warmrestart.Warm)),
		"portsyncd_eoiu_detected":               fmt.Sprint(records),
		"portsyncd_eoiu_timeouts":               "0",
		"portsyncd_sync_duration_seconds_count": fmt.Sprint(records),
	}
	for series, v := range want {
		if values[series] != v {
			t.Errorf("%s is %s, want %s", series, values[series], v)
		}
	}
	if n := len(beside(t, k.state, ".stale-")); (n > 0) != (b.stale > 0) {
		t.Errorf("%d files are set aside as stale", n)
	}
	if n := len(beside(t, k.state, ".corrupt-")) + len(beside(t, k.state, ".newer-")); n != b.aside {
		t.Errorf("%d files are set aside as damaged or newer, want %d", n, b.aside)
	}
	k.checkPorts(b, down, rows)
}

// checkPorts looks at interfaces, rows and what was handed to orchagent.
func (k *keeper) checkPorts(b before, down *record[string], rows *record[touchedRow]) {
	t := k.t
	t.Helper()
	if b.produces {
		eventually(t, patience, func() string {
			if pending := k.elements("APPL_DB", keySet); !slices.Contains(pending, "PortConfigDone") {
				return fmt.Sprintf("pending are %q", pending)
			}
			return ""
		})
	} else if pending := k.elements("APPL_DB", keySet); slices.Contains(pending, "PortConfigDone") {
		t.Errorf("handed over are %q", pending)
	}
	if b.keeps {
		if names, _ := down.from(0); len(names) > 0 {
			t.Errorf("ports went down: %q", names)
		}
		if !b.flushed {
			k.recovered("the start")
		}
	} else {
		eventually(t, patience, func() string {
			for name, facts := range linkTable(t) {
				if facts.Admin != "down" {
					return name + " is an old interface and up"
				}
			}
			return ""
		})
	}
	if touched := k.untilNow(rows); len(touched) > 0 && b.kind == warmrestart.Warm {
		t.Errorf("rows are written that were right: %v", touched)
	}
}

// TestWarmChanges changes ports while the daemon is dead: each row that differs
// is written once, rows of vanished ports are deleted, no other is touched, and
// the configuration is handed over after the comparison.
func TestWarmChanges(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	d := k.settle(faultPorts)
	d.kill()
	k.pop()
	k.disturb()
	k.awaitRunning(portName(1), true) // before the start, lest it counts otherwise
	k.awaitRunning(portName(2), false)
	k.awaitRunning(portName(3), false)
	k.do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok") // intfmgrd's
	down, rows := k.watchLinks(), k.watchRows()
	commands, err := monitor(k.places["STATE_DB"].tcp())
	k.must("monitor", err)
	k.launch()
	r := k.awaitRecord(2)
	if r.Kind != "warm" || r.Compared != faultPorts-1 || r.Changed != 3 || r.Deleted != 1 {
		t.Errorf("record %+v, want 3 rows changed and 1 deleted of %d", r, faultPorts-1)
	}
	k.recovered("the start")
	names, _ := down.from(0)
	for _, name := range names {
		if name != portName(2) && name != portName(3) { // whose carrier the test took, which takes its time
			t.Errorf("%s went down", name)
		}
	}
	// The first port is gone, the second was made again as it had been.
	got := k.untilNow(rows)
	slices.SortFunc(got, func(a, b touchedRow) int { return strings.Compare(a.key, b.key) })
	want := []touchedRow{{portName(0), "del"}, {portName(4), "hset"}, {portName(2), "hset"}, {portName(3), "hset"}}
	slices.SortFunc(want, func(a, b touchedRow) int { return strings.Compare(a.key, b.key) })
	if !slices.Equal(got, want) {
		t.Errorf("written were %v, want %v", got, want)
	}
	position := func(words ...string) int {
		t.Helper()
		i := 0
		_, ok := commands.await(0, patience, func(c command) bool {
			i++
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.Join(c.argv, " "), w) })
		})
		if !ok {
			t.Fatalf("no command with %q", words)
		}
		return i
	}
	compared, produced := position("HMGET", "PORT_TABLE|"), position("PORT_TABLE_KEY_SET", portName(1))
	if compared > produced {
		t.Errorf("command %d hands ports over, command %d compares", produced, compared)
	}
}

// TestWarmStartTimes logs how long a warm start takes from exec to EOIU, and that
// it writes nothing if nothing changed.
func TestWarmStartTimes(t *testing.T) {
	alongside(t)
	for _, ports := range []int{32, 128, 512} {
		t.Run(fmt.Sprint(ports), func(t *testing.T) {
			if testing.Short() && ports > 32 {
				t.Skip("makes many interfaces")
			}
			k := newKeeper(t)
			if k == nil {
				return
			}
			d := k.settle(ports)
			for n := range 3 {
				d.kill()
				k.pop()
				rows := k.watchRows()
				begin := time.Now()
				d = k.launch()
				ready := time.Since(begin)
				r := k.awaitRecord(n + 2)
				took := r.At.Add(r.Duration).Sub(begin)
				if r.Kind != "warm" || r.Compared != ports || r.Changed != 0 || r.Deleted != 0 {
					t.Errorf("record %+v", r)
				}
				if touched := k.untilNow(rows); len(touched) > 0 {
					t.Errorf("%d rows are written: %v...", len(touched), touched[0])
				}
				t.Logf("%d ports: sync complete %v after exec, of which the sync itself %v; ready after %v; 0 rows written",
					ports, took.Round(10*time.Microsecond), r.Duration.Round(10*time.Microsecond), ready.Round(10*time.Microsecond))
			}
		})
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
