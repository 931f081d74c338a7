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

// These tests are the table of starts in docs/SPECIFICATION.md: a daemon that has
// brought all ports up is killed, the databases and the files are brought into a
// state, and the next daemon makes of it what the table says.

// before is what a start finds. The zero value is what a killed daemon leaves.
type before struct {
	name string

	flag    bool   // SONiC's warm restart is enabled
	count   string // restore_count; "" for what the first daemon left, "none" for no such field
	flushed bool   // as by a cold start of the service: CONFIG_DB is there, the rest is empty
	spoil   func(k *switchtest.Keeper)
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
	switchtest.Alongside(t)
	lost := func(k *switchtest.Keeper) {
		k.Must("lose the files", os.RemoveAll(filepath.Dir(k.State)))
	}
	alone, nothing := "only portsyncd was restarted; its saved state is used", "only portsyncd was restarted; it has no saved state of this boot"
	for _, b := range []before{
		{name: "killed", kind: "warm", reason: alone, keeps: true, produces: true},
		{name: "file_lost", spoil: lost, kind: "cold", reason: nothing, keeps: true, produces: true},
		{name: "file_forbidden", conf: "enabled = false", kind: "cold", reason: "only portsyncd was restarted; warm_restart.enabled is false", keeps: true, produces: true},
		{name: "file_damaged", kind: "warm", reason: alone, keeps: true, produces: true, aside: 1, recovered: true, corruptions: 1,
			spoil: func(k *switchtest.Keeper) { switchtest.Damage(k.T, k.State) }},
		{name: "newest_two_damaged", kind: "warm", reason: alone, keeps: true, produces: true, aside: 2, recovered: true, corruptions: 2,
			spoil: func(k *switchtest.Keeper) { switchtest.Damage(k.T, k.State); switchtest.Damage(k.T, backups(k)[1]) }},
		{name: "all_damaged", kind: "cold", reason: nothing, keeps: true, produces: true, aside: 3, corruptions: 3,
			spoil: func(k *switchtest.Keeper) {
				for _, path := range append(backups(k), k.State) {
					switchtest.Damage(k.T, path)
				}
			}},
		{name: "of_another_boot", kind: "cold", reason: nothing, keeps: true, produces: true,
			spoil: func(k *switchtest.Keeper) { rewrite(k, 1, "01234567-89ab-cdef-0123-456789abcdef", 2) }},
		{name: "of_a_newer_schema", kind: "cold", reason: nothing, keeps: true, produces: true, aside: 1,
			spoil: func(k *switchtest.Keeper) { rewrite(k, 2, bootID(k), 0) }},

		{name: "flag", flag: true, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_file_lost", flag: true, spoil: lost, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_flushed", flag: true, count: "3", flushed: true, kind: "warm", reason: "SONiC requested a warm restart", keeps: true},
		{name: "flag_without_count", flag: true, count: "none", kind: "warm", reason: "SONiC requested a warm restart, but there is no restore_count; its saved state is used", keeps: true, produces: true},

		{name: "flushed", flushed: true, kind: "cold", reason: "SONiC did not request a warm restart", produces: true, stale: 1},
		{name: "flushed_file_lost", flushed: true, spoil: lost, kind: "cold", reason: "SONiC did not request a warm restart", produces: true},
		{name: "flushed_file_damaged", flushed: true, kind: "cold", reason: "SONiC did not request a warm restart", produces: true,
			spoil: func(k *switchtest.Keeper) { switchtest.Damage(k.T, k.State) }, stale: 1, aside: 1, recovered: true, corruptions: 1},
	} {
		t.Run(b.name, func(t *testing.T) {
			k := switchtest.NewKeeper(t)
			if k == nil {
				return
			}
			d := k.Settle(switchtest.WarmPorts)
			first := k.AwaitRecord(1)
			if first.Kind != "cold" || !first.EOIU {
				t.Errorf("the first start was %+v", first)
			}
			d.Kill()
			prepare(k, b)
			lines, down, rows := k.Logs.Len(), k.WatchLinks(), k.WatchRows()
			k.Launch()
			k.AwaitLog(lines, switchtest.Patience, b.kind+" start", b.reason)
			check(k, b, down, rows)
		})
	}
}

// rewrite replaces the state file and its backups by files with the same ports,
// which say what they are told about themselves: one file and some backups.
func rewrite(k *switchtest.Keeper, schema int, boot string, keep int) {
	k.T.Helper()
	got, err := k.StateFile().Peek()
	k.Must("read the state file", err)
	for _, path := range append(backups(k), k.State) {
		k.Must("remove", os.Remove(path))
	}
	f := snapshot.File{Path: k.State, Schema: schema, BootID: boot, Writer: got.Writer, Keep: snapshot.Limits{Count: keep}}
	for range 1 + keep {
		k.Must("write the state file", f.Save(got.Body))
	}
}

func bootID(k *switchtest.Keeper) string {
	k.T.Helper()
	boot, err := snapshot.BootID()
	k.Must("read the boot", err)
	return boot
}

// backups returns the backups of the state file, oldest first.
func backups(k *switchtest.Keeper) []string { return switchtest.Beside(k.T, k.State, ".backup-") }

// prepare makes what the start is to find.
func prepare(k *switchtest.Keeper, b before) {
	k.T.Helper()
	if b.flushed {
		k.Do("APPL_DB", "FLUSHDB")
		k.Do("STATE_DB", "FLUSHDB")
	} else {
		k.Pop()
	}
	if b.flag {
		k.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	}
	switch b.count {
	case "":
	case "none":
		k.Do("STATE_DB", "HDEL", "WARM_RESTART_TABLE|portsyncd", "restore_count")
	default:
		k.Do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", b.count)
	}
	rewrite(k, 1, bootID(k), 2)
	if b.spoil != nil {
		b.spoil(k)
	}
	k.Write(b.conf, "")
}

// check looks at what the start made of it.
func check(k *switchtest.Keeper, b before, down *switchtest.Record[string], rows *switchtest.Record[switchtest.TouchedRow]) {
	t := k.T
	t.Helper()
	const records = 2
	r := k.AwaitRecord(records)
	if r.Kind != b.kind || r.Reason != b.reason || !r.EOIU || r.TimedOut || r.Duration <= 0 {
		t.Errorf("record %+v, want a %s start because %s", r, b.kind, b.reason)
	}
	if recovered := strings.HasPrefix(r.RecoveredFrom, k.State+".backup-"); recovered != b.recovered {
		t.Errorf("recovered from %q, want a backup: %v", r.RecoveredFrom, b.recovered)
	}
	// What is on the disk is shown a moment later.
	switchtest.Eventually(t, switchtest.Patience, func() string {
		const series = "portsyncd_sync_duration_seconds_count"
		if got := switchtest.Scrape(t)[series]; got != fmt.Sprint(records) {
			return fmt.Sprintf("%s is %s, want %d", series, got, records)
		}
		return ""
	})
	values := switchtest.Scrape(t)
	want := map[string]string{
		"portsyncd_corruptions_detected":        fmt.Sprint(b.corruptions),
		"portsyncd_state_recoveries":            fmt.Sprint(switchtest.Bit(b.recovered)),
		"portsyncd_warm_restarts":               fmt.Sprint(switchtest.Bit(b.kind == warmrestart.Warm)),
		"portsyncd_cold_starts":                 fmt.Sprint(records - switchtest.Bit(b.kind == warmrestart.Warm)),
		"portsyncd_eoiu_detected":               fmt.Sprint(records),
		"portsyncd_eoiu_timeouts":               "0",
		"portsyncd_sync_duration_seconds_count": fmt.Sprint(records),
	}
	for series, v := range want {
		if values[series] != v {
			t.Errorf("%s is %s, want %s", series, values[series], v)
		}
	}
	if n := len(switchtest.Beside(t, k.State, ".stale-")); (n > 0) != (b.stale > 0) {
		t.Errorf("%d files are set aside as stale", n)
	}
	if n := len(switchtest.Beside(t, k.State, ".corrupt-")) + len(switchtest.Beside(t, k.State, ".newer-")); n != b.aside {
		t.Errorf("%d files are set aside as damaged or newer, want %d", n, b.aside)
	}
	checkPorts(k, b, down, rows)
}

// checkPorts looks at interfaces, rows and what was handed to orchagent.
func checkPorts(k *switchtest.Keeper, b before, down *switchtest.Record[string], rows *switchtest.Record[switchtest.TouchedRow]) {
	t := k.T
	t.Helper()
	if b.produces {
		switchtest.Eventually(t, switchtest.Patience, func() string {
			if pending := k.Elements("APPL_DB", switchtest.KeySet); !slices.Contains(pending, "PortConfigDone") {
				return fmt.Sprintf("pending are %q", pending)
			}
			return ""
		})
	} else if pending := k.Elements("APPL_DB", switchtest.KeySet); slices.Contains(pending, "PortConfigDone") {
		t.Errorf("handed over are %q", pending)
	}
	if b.keeps {
		if names, _ := down.From(0); len(names) > 0 {
			t.Errorf("ports went down: %q", names)
		}
		if !b.flushed {
			k.Recovered("the start")
		}
	} else {
		switchtest.Eventually(t, switchtest.Patience, func() string {
			for name, facts := range switchtest.LinkTable(t) {
				if facts.Admin != "down" {
					return name + " is an old interface and up"
				}
			}
			return ""
		})
	}
	if touched := k.UntilNow(rows); len(touched) > 0 && b.kind == warmrestart.Warm {
		t.Errorf("rows are written that were right: %v", touched)
	}
}

// TestWarmChanges changes ports while the daemon is dead: each row that differs
// is written once, rows of vanished ports are deleted, no other is touched, and
// the configuration is handed over after the comparison.
func TestWarmChanges(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	d := k.Settle(switchtest.FaultPorts)
	d.Kill()
	k.Pop()
	k.Disturb()
	k.AwaitRunning(switchtest.PortName(1), true) // before the start, lest it counts otherwise
	k.AwaitRunning(switchtest.PortName(2), false)
	k.AwaitRunning(switchtest.PortName(3), false)
	k.Do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok") // intfmgrd's
	down, rows := k.WatchLinks(), k.WatchRows()
	commands, err := switchtest.Monitor(k.Places["STATE_DB"].Tcp())
	k.Must("monitor", err)
	k.Launch()
	r := k.AwaitRecord(2)
	if r.Kind != "warm" || r.Compared != switchtest.FaultPorts-1 || r.Changed != 3 || r.Deleted != 1 {
		t.Errorf("record %+v, want 3 rows changed and 1 deleted of %d", r, switchtest.FaultPorts-1)
	}
	k.Recovered("the start")
	names, _ := down.From(0)
	for _, name := range names {
		if name != switchtest.PortName(2) && name != switchtest.PortName(3) { // whose carrier the test took, which takes its time
			t.Errorf("%s went down", name)
		}
	}
	// The first port is gone, the second was made again as it had been.
	got := k.UntilNow(rows)
	slices.SortFunc(got, func(a, b switchtest.TouchedRow) int { return strings.Compare(a.Key, b.Key) })
	want := []switchtest.TouchedRow{{Key: switchtest.PortName(0), Event: "del"}, {Key: switchtest.PortName(4), Event: "hset"}, {Key: switchtest.PortName(2), Event: "hset"}, {Key: switchtest.PortName(3), Event: "hset"}}
	slices.SortFunc(want, func(a, b switchtest.TouchedRow) int { return strings.Compare(a.Key, b.Key) })
	if !slices.Equal(got, want) {
		t.Errorf("written were %v, want %v", got, want)
	}
	position := func(words ...string) int {
		t.Helper()
		i := 0
		_, ok := commands.Await(0, switchtest.Patience, func(c switchtest.Command) bool {
			i++
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.Join(c.Argv, " "), w) })
		})
		if !ok {
			t.Fatalf("no command with %q", words)
		}
		return i
	}
	compared, produced := position("HMGET", "PORT_TABLE|"), position("PORT_TABLE_KEY_SET", switchtest.PortName(1))
	if compared > produced {
		t.Errorf("command %d hands ports over, command %d compares", produced, compared)
	}
}

// TestWarmStartTimes logs how long a warm start takes from exec to EOIU, and that
// it writes nothing if nothing changed.
func TestWarmStartTimes(t *testing.T) {
	switchtest.Alongside(t)
	for _, ports := range []int{32, 128, 512} {
		t.Run(fmt.Sprint(ports), func(t *testing.T) {
			if testing.Short() && ports > 32 {
				t.Skip("makes many interfaces")
			}
			k := switchtest.NewKeeper(t)
			if k == nil {
				return
			}
			d := k.Settle(ports)
			for n := range 3 {
				d.Kill()
				k.Pop()
				rows := k.WatchRows()
				begin := time.Now()
				d = k.Launch()
				ready := time.Since(begin)
				r := k.AwaitRecord(n + 2)
				took := r.At.Add(r.Duration).Sub(begin)
				if r.Kind != "warm" || r.Compared != ports || r.Changed != 0 || r.Deleted != 0 {
					t.Errorf("record %+v", r)
				}
				if touched := k.UntilNow(rows); len(touched) > 0 {
					t.Errorf("%d rows are written: %v...", len(touched), touched[0])
				}
				t.Logf("%d ports: sync complete %v after exec, of which the sync itself %v; ready after %v; 0 rows written",
					ports, took.Round(10*time.Microsecond), r.Duration.Round(10*time.Microsecond), ready.Round(10*time.Microsecond))
			}
		})
	}
}
