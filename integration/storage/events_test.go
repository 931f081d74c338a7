package storage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/journal"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/statusview"
	"portsyncd/internal/switchtest"
)

// events runs "portsyncd events --json" and returns the events.
func events(sw *switchtest.StorageSwitch, args ...string) (list []journal.Event, stderr string) {
	sw.T.Helper()
	r := switchtest.RunCommand(sw.T, sw.Binary, nil, append([]string{"events", "--json"}, args...)...)
	if r.Code != daemon.ExitOK {
		sw.T.Fatalf("events %q: exit status %d, %s", args, r.Code, r.Stderr)
	}
	for line := range strings.Lines(r.Stdout) {
		e, err := journal.Decode([]byte(line))
		sw.NoError("decode an event", err)
		list = append(list, e)
	}
	return list, r.Stderr
}

// kindsOf returns the kinds of the events.
func kindsOf(list []journal.Event) string {
	var kinds []string
	for _, e := range list {
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " ")
}

// TestEvents flaps a port, also while the daemon does not run, and restarts the daemon warm, by
// SIGKILL, and cold, and reloads its settings. The events of the running daemon and those of its files must have the right
// kinds, times and order, also if the last line is torn.
func TestEvents(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(2)
	name := switchtest.PortName(0)
	carrier := func(up bool) (from time.Time) {
		t.Helper()
		from = time.Now().Truncate(time.Millisecond)
		sw.NoError("set the carrier", sw.Links.SetUp(switchtest.PeerName(name), up))
		sw.AwaitRunning(name, up)
		return from
	}
	// await waits until the daemon has n link events of the port and returns them.
	await := func(n int) (list []journal.Event) {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if list, _ = events(sw, "-c", sw.ConfigPath, "--kind", "link", name); len(list) != n {
				return fmt.Sprintf("the daemon has the link events %s, want %d", kindsOf(list), n)
			}
			return ""
		})
		return list
	}
	check := func(e journal.Event, kind journal.Kind, from time.Time) {
		t.Helper()
		if now := time.Now(); e.Kind != kind || e.Time.Before(from) || e.Time.After(now) {
			t.Errorf("%s at %v, want %s between %v and %v", e.Kind, e.Time, kind, from.UTC(), now.UTC())
		}
	}
	var before []journal.Event
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		before, _ = events(sw, "-c", sw.ConfigPath, "--kind", "link", name)
		if len(before) == 0 || before[len(before)-1].Kind != journal.LinkUp {
			return fmt.Sprintf("the daemon has the link events %s, want link_up at the end", kindsOf(before))
		}
		return ""
	})
	from := carrier(false)
	list := await(len(before) + 1)
	check(list[len(before)], journal.LinkDown, from)
	from = carrier(true)
	list = await(len(before) + 2)
	check(list[len(before)+1], journal.LinkUp, from)

	d.EndBySignal(syscall.SIGTERM, "stopped")
	if stored, _ := events(sw, "--storage", sw.StorageDir, "--kind", "link", name); !slices.Equal(stored, list) {
		t.Errorf("the files have\n%+v\nthe daemon had\n%+v", stored, list)
	}
	carrier(false)
	d = sw.StartConfigured()
	list = await(len(list) + 1)
	if e := list[len(list)-1]; e.Kind != journal.LinkDown || !strings.Contains(e.Reason, "while the daemon was not running") {
		t.Errorf("the change during the stop is %+v", e)
	}
	sw.AwaitInSync(switchtest.Timeout)

	carrier(true)
	list = await(len(list) + 1)
	switchtest.Eventually(t, switchtest.Timeout, func() string { // a kill loses the last seconds
		if stored, _ := events(sw, "--storage", sw.StorageDir, "--kind", "link", name); len(stored) != len(list) {
			return fmt.Sprintf("the files have the link events %s, want %d", kindsOf(stored), len(list))
		}
		return ""
	})
	d.Kill()
	file, err := os.OpenFile(filepath.Join(sw.StorageDir, journal.FileName), os.O_APPEND|os.O_WRONLY, 0)
	sw.NoError("open the events", err)
	_, err = file.WriteString(`{"time":"2026-11-27T03:04:05.678Z","seq":99,"ki`)
	sw.NoError("write a torn line", err)
	sw.NoError("close the events", file.Close())
	if _, stderr := events(sw, "--storage", sw.StorageDir); !strings.Contains(stderr, "incomplete last line: "+file.Name()+":") {
		t.Errorf("a torn line is reported as %q", stderr)
	}
	d = sw.StartConfigured()
	sw.AwaitInSync(switchtest.Timeout)
	carrier(false)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		all, _ := events(sw, "-c", sw.ConfigPath, "--kind", "link", name)
		if e := all[len(all)-1]; e.Kind != journal.LinkDown {
			return fmt.Sprintf("the last event after the torn line is %+v", e)
		}
		return ""
	})
	sw.CheckSelfReport(d)
	d.EndBySignal(syscall.SIGTERM, "stopped")

	sw.Do("APPL_DB", "FLUSHALL")
	sw.ConfigurePorts(2)
	d = sw.StartConfigured()
	var starts []journal.Event
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		starts, _ = events(sw, "-c", sw.ConfigPath, "--kind", "start,stop,warm_start,cold_start")
		if got := kindsOf(starts); got != "start cold_start stop start warm_start start warm_start stop start cold_start" {
			return "the daemon's starts and stops are " + got
		}
		return ""
	})
	if e := starts[5]; !strings.Contains(e.Reason, "crashed or was killed") {
		t.Errorf("the start after SIGKILL is %+v", e)
	}
	sw.WriteSettings("", "save_interval_secs = 7")
	sw.Reload(d)
	sw.WriteSettings("", "nonsense = 1")
	sw.Reload(d)
	d.EndBySignal(syscall.SIGTERM, "stopped")
	all, _ := events(sw, "--storage", sw.StorageDir)
	var reloads []string
	for _, e := range all {
		if e.Kind == journal.Reload {
			reloads = append(reloads, e.Reason)
		}
	}
	if len(reloads) != 2 || !strings.Contains(reloads[0], "settings changed: 1") || !strings.Contains(reloads[1], "not applied") || !strings.Contains(reloads[1], "nonsense") {
		t.Errorf("the reloads are %q", reloads)
	}
	if !slices.IsSortedFunc(all, func(a, b journal.Event) int { return int(a.Seq) - int(b.Seq) }) {
		t.Errorf("the sequence numbers do not grow: %+v", all)
	}
}

// TestLastChangeAfterRestart checks that the last change of a port survives a restart of the daemon, that
// a change while the daemon is down is found, and that the last change of a port without a recorded
// event is unknown.
func TestLastChangeAfterRestart(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(3)
	idle, moved, later := switchtest.PortName(0), switchtest.PortName(1), switchtest.PortName(2)
	carrier := func(name string, up bool) {
		t.Helper()
		sw.NoError("set the carrier", sw.Links.SetUp(switchtest.PeerName(name), up))
		sw.AwaitRunning(name, up)
	}
	carrier(moved, false)
	sw.AwaitInSync(switchtest.Timeout)
	// changes returns the time of the last change of each port, from /status.
	changes := func() map[string]*time.Time {
		t.Helper()
		r := switchtest.RunCommand(t, sw.Binary, nil, "status", "--json", "-c", sw.ConfigPath)
		s, err := statusview.DecodeStatus([]byte(r.Stdout))
		sw.NoError("decode the status", err)
		times := make(map[string]*time.Time)
		for _, p := range s.Ports {
			times[p.Name] = p.LastChange
		}
		return times
	}
	before := changes()
	d.EndBySignal(syscall.SIGTERM, "stopped")
	stopped := time.Now()
	carrier(later, false)
	d = sw.StartConfigured()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		after := changes()
		for _, name := range []string{idle, moved} {
			// Events have times in milliseconds.
			if at := after[name]; at == nil || before[name].Sub(*at).Abs() > time.Millisecond {
				return fmt.Sprintf("%s changed last at %v, want %v as before the restart", name, at, before[name])
			}
		}
		if at := after[later]; at == nil || at.Before(stopped.Truncate(time.Millisecond)) {
			return fmt.Sprintf("%s changed last at %v, want after the stop at %v", later, at, stopped)
		}
		return ""
	})

	d.EndBySignal(syscall.SIGTERM, "stopped")
	sw.NoError("remove the events", os.Remove(filepath.Join(sw.StorageDir, journal.FileName)))
	sw.StartConfigured()
	carrier(later, true)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		after := changes()
		if after[idle] != nil || after[moved] != nil || after[later] == nil {
			return fmt.Sprintf("without events, the last changes are %v, want only that of %s", after, later)
		}
		return ""
	})
	text := switchtest.RunCommand(t, sw.Binary, nil, "status", "-c", sw.ConfigPath, "--width", "120").Stdout
	if n := strings.Count(text, "before start"); n != 2 {
		t.Errorf("%d ports changed before the start, want 2:\n%s", n, text)
	}
}

// TestFollowRestart follows the events while the daemon is restarted. Each event must be printed once, and
// the gap without a daemon must be reported once.
func TestFollowRestart(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(1)
	name := switchtest.PortName(0)
	follow := func(args ...string) (out, notes *switchtest.Output, end func()) {
		t.Helper()
		cmd := exec.Command(sw.Binary, append([]string{"events", "--follow", "--limit", "1"}, args...)...)
		out, notes = new(switchtest.Output), new(switchtest.Output)
		cmd.Stdout, cmd.Stderr = out, notes
		sw.NoError("follow", cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill() })
		return out, notes, func() {
			t.Helper()
			sw.NoError("interrupt", cmd.Process.Signal(syscall.SIGINT))
			sw.NoError("end of --follow", cmd.Wait())
		}
	}
	await := func(out *switchtest.Output, words ...string) {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			for _, w := range words {
				if !strings.Contains(out.String(), w) {
					return fmt.Sprintf("no %q in %s", w, out)
				}
			}
			return ""
		})
	}
	withFiles, filesNotes, endFiles := follow("-c", sw.ConfigPath)
	byAddress, addressNotes, endAddress := follow("-c", sw.ConfigPath, "--address", "127.0.0.1:9101")
	await(withFiles, name)
	await(byAddress, name)
	d.EndBySignal(syscall.SIGTERM, "stopped")
	await(withFiles, "stop")
	await(filesNotes, "following the files in "+sw.StorageDir+" until it responds")
	await(addressNotes, "retrying")
	sw.StartConfigured()
	sw.AwaitInSync(switchtest.Timeout)
	sw.NoError("unplug", sw.Links.SetUp(switchtest.PeerName(name), false))
	for _, out := range []*switchtest.Output{withFiles, byAddress} {
		await(out, "start "+daemon.Release, "warm start", "link down")
	}
	endFiles()
	endAddress()
	for _, out := range []*switchtest.Output{withFiles, byAddress} {
		lines := make(map[string]int)
		for line := range strings.Lines(out.String()) {
			if lines[line]++; lines[line] > 1 {
				t.Errorf("printed twice: %s in\n%s", line, out)
			}
		}
	}
	for _, notes := range []*switchtest.Output{filesNotes, addressNotes} {
		if n := strings.Count(notes.String(), "\n"); n != 1 {
			t.Errorf("%d notes, want one: %s", n, notes)
		}
	}
}

// TestTwoDaemons checks that a second daemon on the same storage directory stores nothing and says
// so in its log and health, that the directory keeps the records of the first, and that the events of
// the two are not mixed.
func TestTwoDaemons(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	sw.WriteSettings("", "save_interval_secs = 1")
	first := sw.BringUpSaved(1)
	sw.AwaitRestarts(1)
	second := filepath.Join(sw.Dir, "second.conf")
	socket := filepath.Join(sw.Dir, "second")
	switchtest.WriteFile(t, second, fmt.Sprintf("[warm_restart]\nstate_file = %q\n[metrics]\nstorage_path = %q\nlisten = %q\n",
		sw.StatePath, sw.StorageDir, "unix:"+socket))
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", second}})
	d.AwaitReady()
	refusal := fmt.Sprintf("%v %q (process %d)", snapshot.ErrLocked, sw.StorageDir, first.Cmd.Process.Pid)
	sw.AwaitLog(0, switchtest.Timeout, "cannot write", fmt.Sprintf("(process %d)", first.Cmd.Process.Pid))
	client := switchtest.NewUnixClient(t, socket)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if text := client.Get("/healthz"); !strings.Contains(text, refusal) {
			return fmt.Sprintf("the health of the second daemon is %q, want one with %q", text, refusal)
		}
		return ""
	})
	if n := len(sw.ReadMetricsFile().Restarts); n != 1 {
		t.Errorf("metrics.json has %d restarts while both daemons run, want 1", n)
	}
	name := switchtest.PortName(0)
	awaitStored := func(want string) {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			stored, _ := events(sw, "--storage", sw.StorageDir, "--kind", "start,stop,link")
			if got := kindsOf(stored); got != want {
				return fmt.Sprintf("the files have %q, want %q", got, want)
			}
			return ""
		})
	}
	flap := func() {
		t.Helper()
		for _, up := range []bool{false, true} {
			sw.NoError("flap", sw.Links.SetUp(switchtest.PeerName(name), up))
			sw.AwaitRunning(name, up)
			sw.AwaitInSync(switchtest.Timeout)
		}
	}
	awaitStored("start link_up")
	flap()
	awaitStored("start link_up link_down link_up")
	sw.AwaitLog(0, switchtest.Timeout, "cannot write events; keeping them in memory and retrying", fmt.Sprintf("(process %d)", first.Cmd.Process.Pid))
	first.EndBySignal(syscall.SIGTERM, "stopped")
	sw.AwaitRestarts(2)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if text := client.Get("/healthz"); strings.Contains(text, refusal) {
			return fmt.Sprintf("after the first daemon has ended, the health of the second is %q", text)
		}
		return ""
	})
	sw.AwaitLog(0, switchtest.Timeout, "writing events resumed")
	flap()
	awaitStored("start link_up link_down link_up stop link_down link_up")
	sw.CheckSelfReportAt(client, d)
	d.EndBySignal(syscall.SIGTERM, "stopped")
	stored, stderr := events(sw, "--storage", sw.StorageDir)
	if stderr != "" || !slices.IsSortedFunc(stored, func(a, b journal.Event) int { return int(a.Seq) - int(b.Seq) }) {
		t.Errorf("the events of the two daemons are mixed: %s%+v", stderr, stored)
	}
}
