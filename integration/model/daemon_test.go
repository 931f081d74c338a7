package model

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// The events of this file act on the daemon.

// startDaemon starts the daemon, even while the server is down, with v = 1 without a watchdog. A
// watchdog wakes up the event loop often, which would hide that the loop went to sleep without
// publishing its state.
func (r *modelRun) startDaemon(_, v int) bool {
	r.T.Helper()
	if r.d != nil || r.paused || r.refuses {
		return false
	}
	r.awaitSync()
	if v == 1 {
		r.exec("WATCHDOG_USEC=600000000")
	} else {
		r.exec()
	}
	if r.down {
		// Which interfaces are old is known from here on (D10).
		r.d.AwaitNotification(0, switchtest.Timeout, "STATUS=waiting for the databases")
		r.waiting = true
		return true
	}
	r.started()
	return true
}

// exec starts the process with more variables in its environment.
func (r *modelRun) exec(env ...string) {
	r.T.Helper()
	r.m.exec()
	r.d = r.Switch.Start(switchtest.StartOptions{Args: []string{"-c", r.conf}, Env: env})
	r.starts++
	r.configuredBefore = nil
	r.execed, r.overran, r.lastFlush, r.lastBack = time.Now(), time.Time{}, time.Time{}, time.Time{}
	r.sent()
	r.queue = nil
	clear(r.counters)
}

// started waits until the start is complete.
func (r *modelRun) started() {
	r.T.Helper()
	r.d.AwaitReady()
	r.readLinks()
	r.m.Start(append(r.queue, r.sent()...))
	r.queue = nil
	r.awaitSync()
	r.checkLastChanges()
}

// checkLastChanges checks that the daemon reports the last changes before its start, which its
// predecessor has recorded. It does not check interfaces that have changed meanwhile.
func (r *modelRun) checkLastChanges() {
	r.T.Helper()
	before := r.changes
	r.changes = nil
	if len(before) == 0 {
		return
	}
	switchtest.Eventually(r.T, modelTimeout, func() string {
		report, err := r.client().SelfReport()
		if err != nil {
			return err.Error()
		}
		for _, p := range report.Status.Ports {
			was := before[p.Name]
			same := was.Index != 0 && p.Index == was.Index && p.Admin == was.Admin && p.Oper == was.Oper && p.MTU == was.MTU &&
				p.CarrierUp == was.CarrierUp && p.CarrierDown == was.CarrierDown
			if same && p.LastChange.Before(r.execed) && p.LastChange.Sub(was.LastChange).Abs() > time.Millisecond {
				return fmt.Sprintf("%s changed last at %v, as reported before the restart; now the report has %v", p.Name, was.LastChange, p.LastChange)
			}
		}
		return ""
	})
}

// recordLastChanges records what the daemon reports about the last changes before it ends.
func (r *modelRun) recordLastChanges() {
	r.T.Helper()
	report, err := r.client().SelfReport()
	r.NoError("read the report before the end", err)
	r.changes = make(map[string]switchtest.ReportedPort)
	for _, p := range report.Status.Ports {
		if p.Index != 0 && !p.LastChange.IsZero() {
			r.changes[p.Name] = p
		}
	}
}

// ended resets the state about a daemon that has ended.
func (r *modelRun) ended() {
	r.d, r.m.daemon, r.early = nil, nil, nil
	r.held, r.losing, r.waiting, r.revive, r.queue = false, false, false, nil, nil
	clear(r.faults)
	clear(r.excused)
}

// killDaemon kills the daemon, with v = 1 while the daemon has work to do.
func (r *modelRun) killDaemon(_, v int) bool {
	return r.endDaemon(v, func(d *switchtest.Daemon) { d.Kill(); r.changes = nil })
}

// stopDaemon is killDaemon by SIGTERM.
func (r *modelRun) stopDaemon(_, v int) bool {
	r.T.Helper()
	record := v == 0 && !r.waiting && r.reachable()
	return !r.held && r.endDaemon(v, func(d *switchtest.Daemon) {
		if record {
			r.recordLastChanges()
		}
		d.Signal(syscall.SIGTERM)
		r.awaitEnd(d)
	})
}

// awaitEnd waits until the daemon has ended after SIGTERM.
func (r *modelRun) awaitEnd(d *switchtest.Daemon) {
	r.T.Helper()
	if status := d.Wait(5 * time.Second * switchtest.RaceFactor); status.Signal() != syscall.SIGTERM {
		r.T.Fatalf("after SIGTERM it ended with %v", status)
	}
}

// drain sends SIGTERM to the daemon while the server refuses writes, and makes the server accept
// them at once. The daemon must write its backlog before it ends, unless that takes longer than a
// second, which it logs.
func (r *modelRun) drain(_, _ int) bool {
	r.T.Helper()
	if !r.refuses || !r.ask(0, 0) {
		return false
	}
	d, before, logged, watch := r.d, r.m.cloneDB(), r.Logs.Len(), switchtest.StartStopwatch()
	d.Signal(syscall.SIGTERM)
	r.accept(0, 0)
	r.m.receive(append(r.queue, r.sent()...))
	r.m.recheck()
	r.awaitEnd(d)
	r.ended()
	lines, _ := r.Logs.From(logged)
	if slices.ContainsFunc(lines, func(l switchtest.LogLine) bool {
		return strings.Contains(l.Text, "stopping before all rows were written")
	}) {
		if !watch.Contended() {
			r.T.Fatal("the daemon has not written its backlog within a second")
		}
		r.adopt(before, nil)
		return true
	}
	r.compare(0)
	r.checkDeletions()
	return true
}

func (r *modelRun) endDaemon(v int, end func(*switchtest.Daemon)) bool {
	r.T.Helper()
	if r.d == nil || r.paused {
		return false
	}
	if v == 0 {
		r.awaitSync()
	}
	if v == 0 || r.held || !r.reachable() {
		end(r.d)
		r.ended()
		return true
	}
	r.readLinks()
	before := r.m.cloneDB()
	r.m.receive(append(r.queue, r.sent()...))
	if len(r.faults)+len(r.excused) > 0 {
		r.m.databaseReconnected()
	}
	r.m.recheck()
	var touched []string // each row may be any of those that it went through
	for _, name := range modelNames {
		touched = append(touched, rowKey("STATE_DB", switchtest.StatePort+name))
	}
	end(r.d)
	r.ended()
	r.adopt(before, touched)
	return true
}

// adopt copies the databases into the model after a daemon with pending work has ended. Each row
// must be as before or as the model says, except for rows that went through intermediate states.
func (r *modelRun) adopt(before map[string]modelTable, touched []string) {
	r.T.Helper()
	for range 2 {
		r.Do("STATE_DB", "PING") // the server has processed all commands of the ended daemon
	}
	have := r.contents()
	for database, after := range r.m.db {
		keys := maps.Clone(after)
		maps.Copy(keys, before[database])
		maps.Copy(keys, have[database])
		for key := range keys {
			got := switchtest.RowText(have[database][key])
			switch {
			case got == switchtest.RowText(before[database][key]) || got == switchtest.RowText(after[key]):
			case slices.Contains(touched, rowKey(database, key)):
			case key == switchtest.KeySet && within(before[database][key], have[database][key], after[key]):
			default:
				r.T.Fatalf("after the end %s %s is %s, the model says %s or %s", database, key, got,
					switchtest.RowText(before[database][key]), switchtest.RowText(after[key]))
			}
		}
	}
	r.m.db = have
	r.beginPeriod()
}

// within reports whether b contains a, and c contains b.
func within(a, b, c map[string]string) bool {
	has := func(big, small map[string]string) bool {
		for member := range small {
			if _, ok := big[member]; !ok {
				return false
			}
		}
		return true
	}
	return has(b, a) && has(c, b)
}

// killAfterStart kills the daemon v milliseconds after its start.
func (r *modelRun) killAfterStart(_, v int) bool {
	r.T.Helper()
	if r.d != nil || !r.quiet() {
		return false
	}
	before, up := r.m.cloneDB(), maps.Clone(r.m.up)
	r.exec()
	time.Sleep(time.Duration(v) * time.Millisecond) // the fault itself
	r.d.Kill()
	r.readLinks()
	var touched []string
	for _, l := range r.m.links {
		touched = append(touched, rowKey("STATE_DB", switchtest.StatePort+l.name)) // set down meanwhile
	}
	r.m.Start(nil)
	r.ended()
	r.adopt(before, touched)
	for index, l := range r.m.links {
		if l.admin == up[index] {
			r.m.up[index] = up[index]
		}
	}
	return true
}

// loseFiles deletes the daemon's files while the daemon does not run.
func (r *modelRun) loseFiles(_, _ int) bool {
	r.T.Helper()
	if r.d != nil {
		return false
	}
	r.forget()
	return true
}

// pauseDaemon stops the daemon by SIGSTOP.
func (r *modelRun) pauseDaemon(_, _ int) bool {
	r.T.Helper()
	if r.d == nil || r.held || r.waiting {
		return false
	}
	r.awaitSync()
	r.d.Pause()
	r.held = true
	return true
}

// overflow makes the kernel drop messages for the paused daemon. The kernel drops all later
// messages as well, until the daemon has read its queue.
func (r *modelRun) overflow(_, _ int) bool {
	r.T.Helper()
	if !r.held || r.losing || !r.reachable() {
		return false
	}
	r.queue = append(r.queue, r.sent()...)
	port := r.limitBuffer(64 << 10)
	if port == 0 {
		if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
			r.T.Fatal("the daemon's netlink socket cannot be reached")
		}
		return false
	}
	_, before := r.netlinkQueue(port)
	for drops := before; drops == before; _, drops = r.netlinkQueue(port) {
		r.serial++
		r.NoError("touch the spare", r.Links.SetTxQueueLen(switchtest.SpareLink, 2000+r.serial))
	}
	r.losing = true
	r.faults["overrun"]++
	return true
}

// continueDaemon continues the daemon. After an overrun the databases must be reachable, because
// only then the test can see that the daemon has read its queue.
func (r *modelRun) continueDaemon(_, _ int) bool {
	r.T.Helper()
	if !r.held || r.losing && !r.reachable() {
		return false
	}
	r.held = false
	if !r.losing {
		r.d.Signal(syscall.SIGCONT)
		return true
	}
	port := r.limitBuffer(16 << 20)
	r.d.Signal(syscall.SIGCONT)
	switchtest.Eventually(r.T, switchtest.Timeout, func() string {
		if bytes, _ := r.netlinkQueue(port); bytes != 0 {
			return fmt.Sprintf("the daemon's netlink queue has %d bytes", bytes)
		}
		return ""
	})
	r.sent() // and lost
	r.losing = false
	// The dump after the overrun may come before or after later messages.
	r.readLinks()
	r.m.receive(r.queue)
	r.queue = nil
	r.early = r.m.clone()
	r.early.dump(false)
	return true
}

// limitBuffer sets the receive buffer of the daemon's netlink socket through a copy of its
// descriptor. It returns the socket's port ID, or 0 if there is no socket that can be copied.
func (r *modelRun) limitBuffer(bytes int) (port uint32) {
	r.T.Helper()
	pid := r.d.Cmd.Process.Pid
	process, err := unix.PidfdOpen(pid, 0)
	r.NoError("open the daemon's process", err)
	defer unix.Close(process)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	r.NoError("list the daemon's descriptors", err)
	for _, e := range entries {
		n, _ := strconv.Atoi(e.Name())
		fd, err := unix.PidfdGetfd(process, n, 0)
		if err != nil {
			continue // not a socket, or closed meanwhile
		}
		address, err := unix.Getsockname(fd)
		if netlink, ok := address.(*unix.SockaddrNetlink); err == nil && ok {
			port = netlink.Pid
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
			if err != nil { // of an ordinary user
				err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
			}
			r.NoError("set the receive buffer", err)
		}
		unix.Close(fd)
	}
	return port
}

// netlinkQueue returns the queue of a netlink socket (/proc/net/netlink). A reading can lack a
// socket while others are opened and closed.
func (r *modelRun) netlinkQueue(port uint32) (bytes, drops int) {
	r.T.Helper()
	switchtest.Eventually(r.T, switchtest.Timeout, func() string {
		text, err := os.ReadFile("/proc/self/net/netlink")
		r.NoError("read the netlink sockets", err)
		for line := range strings.Lines(string(text)) {
			// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
			f := strings.Fields(line)
			if len(f) >= 10 && f[1] == strconv.Itoa(unix.NETLINK_ROUTE) && f[2] == strconv.FormatUint(uint64(port), 10) {
				bytes, _ = strconv.Atoi(f[4])
				drops, _ = strconv.Atoi(f[8])
				return ""
			}
		}
		return fmt.Sprintf("no netlink socket with port id %d", port)
	})
	return bytes, drops
}

// auditOnce turns audits on until one has ended, and checks what the daemon reports about it. While
// the server refuses writes, the rows that the audit found wrong stay in the backlog.
func (r *modelRun) auditOnce(_, _ int) bool {
	r.T.Helper()
	if r.d == nil || r.held || r.waiting || r.down || r.paused {
		return false
	}
	if r.refuses {
		if r.client().Scrape().Value(r.T, "portsyncd_backlog_ports") > 0 {
			return false // an audit would wait until the backlog is empty
		}
		r.awaitAudit(r.m.auditRefused)
		r.setAudits(0)
		return true
	}
	r.awaitSync()
	wrong, once := r.awaitAudit(r.m.audit)
	switchtest.Eventually(r.T, modelTimeout, func() string {
		r.receiveLate()
		w := r.wanted(false)
		w.AllowEnded = true
		switch {
		case wrong > 0 && once:
			w.RequiredReasons = append(w.RequiredReasons, "audit_mismatch")
		case wrong > 0:
			w.AllowedReasons = append(w.AllowedReasons, "audit_mismatch")
		}
		announced, rows := r.m.applCounts()
		w.Series["portsyncd_port_config_done_ports"] = float64(announced)
		w.Series["portsyncd_port_table_rows"] = float64(rows)
		return r.SelfReportProblem(r.client(), r.d, w)
	})
	r.setAudits(0)
	r.awaitSync()
	return true
}

// setAudits sets the interval between audits in seconds and waits until it is in effect.
func (r *modelRun) setAudits(interval int) {
	r.T.Helper()
	r.writeConfAudits(interval, "")
	n := r.d.Notifications.Len()
	r.d.Signal(syscall.SIGHUP)
	r.d.AwaitNotification(n, switchtest.Timeout, "READY=1")
}

// awaitAudit turns audits on and waits until one has ended, which does in the model what audit does.
// It returns the number of wrong rows, and whether there was only one audit.
func (r *modelRun) awaitAudit(audit func() (wrong int)) (wrong int, once bool) {
	r.T.Helper()
	const found = `portsyncd_audit_mismatches_total{database="STATE_DB"}`
	before := r.client().Scrape()
	audits := func(m switchtest.Exposition) float64 { return m.Value(r.T, "portsyncd_audits_total") }
	r.setAudits(1)
	var after switchtest.Exposition
	switchtest.Eventually(r.T, time.Second+modelTimeout, func() string {
		if after = r.client().Scrape(); audits(after) == audits(before) {
			return "no audit"
		}
		return ""
	})
	r.setAudits(3600) // so that no other audit clears the health reason
	after = r.client().Scrape()
	once = audits(after)-audits(before) == 1
	r.receiveLate()
	wrong = audit()
	if once && after.Value(r.T, found)-before.Value(r.T, found) != float64(wrong) {
		r.T.Fatalf("the audit found %v wrong rows, the model says %d", after.Value(r.T, found)-before.Value(r.T, found), wrong)
	}
	return wrong, once
}

// reload reloads the configuration: a good one with v = 1, a bad one with v = 2, an unchanged one
// with v = 0.
func (r *modelRun) reload(_, v int) bool {
	r.T.Helper()
	if r.d == nil {
		return false
	}
	switch v {
	case 1:
		r.serial++
		r.writeConf(fmt.Sprintf("retention_days = %d\n", 1+r.serial%100))
	case 2:
		r.writeConf("no_such_key = 1\n")
	}
	r.d.Signal(syscall.SIGHUP)
	return true
}
