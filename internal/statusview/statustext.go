package statusview

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// AppendText appends s as text for a terminal: a summary of the daemon and the ports, the startup
// progress, pending operations, and a table of the ports in natural order. If the text does not fit
// on the terminal, AppendText shortens the part before the table and lists only the ports with the
// most severe issues. If the height is unknown, it lists all ports and repeats the summary after a
// long table.
func (s *Status) AppendText(b []byte, t Terminal) []byte {
	p := newPrinter(t, b)
	s.printHead(p)
	s.printSummary(p)
	s.printWork(p)
	s.printPending(p, maxPending)
	s.printIssues(p)
	if p.Height > 0 && p.lines+tableHead+len(s.Ports) > p.Height {
		p = newPrinter(t, b)
		s.printShort(p)
	}
	s.printPorts(p)
	if p.Height == 0 && len(s.Ports) > longTable {
		p.end()
		s.printSummary(p)
	}
	p.cut()
	return p.b
}

// printShort prints the short summary that precedes the port table on a terminal with few lines.
func (s *Status) printShort(p *printer) {
	p.title(s.heading(p))
	s.printSummary(p)
	if slices.ContainsFunc(s.Databases, func(d portsync.DatabaseView) bool { return !d.Up }) {
		s.printDatabases(p)
	}
	if len(s.Pending) > 0 {
		s.printPending(p, maxPendingShort)
	}
}

// longTable is the number of ports above which the table scrolls the health off a terminal.
const longTable = 16

// heading returns version, host and instance.
func (s *Status) heading(p *printer) string {
	title := "portsyncd " + p.visible(s.Version) + " on " + p.visible(s.Host)
	if s.Instance != "" {
		title += ", instance " + p.visible(s.Instance)
	}
	return title
}

// printHead prints version, host and process.
func (s *Status) printHead(p *printer) {
	p.title(s.heading(p))
	p.field("process", join(
		word{"pid " + strconv.Itoa(s.PID), plain},
		word{"up " + age(s.Time.Sub(s.Process)), plain},
		word{"at " + p.clock(s.Time) + " " + s.Time.In(p.Zone).Format("MST"), plain})...)
}

// healthStyle returns the style of a health status or severity.
func healthStyle(status string) style {
	switch status {
	case portsync.Healthy:
		return good
	case portsync.Degraded, portsync.Disabled:
		return warn
	}
	return bad
}

// printSummary prints the state of the daemon, its health reasons with their deductions, and the
// number of ports in each state.
func (s *Status) printSummary(p *printer) {
	h := &s.Health
	detail := "for " + age(s.Time.Sub(h.Since))
	switch h.Status {
	case portsync.Disabled:
		detail = p.visibleText(s.Start.Reason)
	case portsync.Healthy:
		detail = h.Status + " " + detail
	}
	p.field("daemon", join(s.daemonSummary(), word{detail, plain})...)
	for _, r := range h.Reasons {
		p.field("", word{fmt.Sprintf("-%d", r.Deduction), healthStyle(r.Severity)},
			word{p.visible(r.Code) + ":", healthStyle(r.Severity)},
			word{p.visibleText(r.Text) + ",", plain},
			word{"for " + age(s.Time.Sub(r.Since)), plain})
	}
	c := &s.Counts
	p.field("ports", join(s.portsSummary(), word{grouped(c.Configured) + " configured", plain},
		word{grouped(c.Present) + " present", plain}, word{grouped(c.Pending) + " pending", warnIf(c.Pending > 0)})...)
}

// printWork prints the startup progress, the database connections, the backlog, the event totals
// and the last restarts.
func (s *Status) printWork(p *printer) {
	s.printStart(p)
	c, b := &s.Counts, &s.Backlog
	p.field("last", join(s.ago("dump", s.Start.LastResync), s.ago("audit", s.Start.LastAudit),
		s.ago("write", c.LastWritten))...)
	s.printDatabases(p)
	if b.Ports == 0 && b.Events == 0 {
		p.field("backlog", word{"none", plain})
	} else {
		p.field("backlog", join(word{count(unsigned(b.Ports), "row", "rows"), plain}, word{count(unsigned(b.Events), "link message", "link messages"), plain},
			word{"oldest " + p.duration(b.WaitSeconds), plain})...)
	}
	p.field("counts", join(word{count(c.Events, "link message", "link messages"), plain}, word{count(c.Writes, "write", "writes"), plain},
		word{count(c.Resyncs, "resync", "resyncs"), plain}, word{count(c.Overruns, "overrun", "overruns"), plain},
		word{count(c.Reconnects, "reconnect", "reconnects"), plain}, word{count(c.Mismatches, "audit mismatch", "audit mismatches"), warnIf(c.Mismatches > 0)},
		word{count(c.Repairs, "repair", "repairs"), plain})...)
	s.printRestarts(p)
}

// printStart prints whether the start was warm or cold, and the startup progress.
func (s *Status) printStart(p *printer) {
	v := &s.Start
	switch {
	case s.Health.Status == portsync.Disabled:
		return
	case v.Kind == "":
		p.field("start", word{"kind not decided yet", warn})
		return
	}
	sync := word{"initial sync in progress", warn}
	if v.Ready {
		sync = word{"initial sync took " + p.duration(float64(v.SyncNanos)/1e9), plain}
	}
	p.field("start", join(word{p.visible(v.Kind), strong}, word{p.visibleText(v.Reason), plain}, sync,
		configDone(v), done("PortInitDone", v.InitDone))...)
}

// configDone describes whether PortConfigDone was written. A warm start that SONiC requested does not
// write it, because APPL_DB has that of an earlier start.
func configDone(v *portsync.StartView) word {
	if v.Kind == portsync.WarmStart.String() && v.Ready && !v.ConfigDone {
		return word{"PortConfigDone of an earlier start", plain}
	}
	return done("PortConfigDone", v.ConfigDone)
}

// done returns the name of a marker row, or that it is not written yet.
func done(marker string, done bool) word {
	if done {
		return word{marker, plain}
	}
	return word{"no " + marker, warn}
}

// ago returns the age of the last event of a kind, or that there was none.
func (s *Status) ago(what string, t *time.Time) word {
	if t == nil {
		return word{"no " + what, plain}
	}
	return word{what + " " + age(s.Time.Sub(*t)) + " ago", plain}
}

// printDatabases prints one line for all databases with the same connection state.
func (s *Status) printDatabases(p *printer) {
	label := "databases"
	for rest := s.Databases; len(rest) > 0; label = "" {
		d, n := rest[0], 0
		var names []word
		for n < len(rest) && sameConnection(&d, &rest[n]) {
			names = append(names, word{p.visible(rest[n].Name), plain})
			n++
		}
		rest = rest[n:]
		state := word{"connected", good}
		if !d.Up {
			state = word{"disconnected", bad}
		}
		state.text += " for " + age(s.Time.Sub(d.Since))
		words := append(names, state, word{p.visible(d.Address), plain}, word{p.visibleText(d.Error), plain})
		p.field(label, join(words...)...)
	}
}

// sameConnection reports whether the connection states a and b are equal except for the names of
// the databases.
func sameConnection(a, b *portsync.DatabaseView) bool {
	return a.Up == b.Up && a.Since.Equal(b.Since) && a.Address == b.Address && a.Error == b.Error
}

// maxRestarts is the largest number of restarts in the list.
const maxRestarts = 3

// printRestarts prints the number of restarts by kind and the newest restarts.
func (s *Status) printRestarts(p *printer) {
	if len(s.Restarts) == 0 {
		p.field("restarts", word{"none recorded", plain})
		return
	}
	warm, late := 0, 0
	for _, r := range s.Restarts {
		warm += bit(r.Kind == warmrestart.Warm)
		late += bit(r.TimedOut)
	}
	p.field("restarts", join(word{strconv.Itoa(len(s.Restarts)) + " recorded", plain},
		word{strconv.Itoa(warm) + " warm", plain}, word{strconv.Itoa(len(s.Restarts)-warm) + " cold", plain},
		word{strconv.Itoa(late) + " timed out", warnIf(late > 0)})...)
	for i := range min(len(s.Restarts), maxRestarts) {
		r := &s.Restarts[len(s.Restarts)-1-i]
		p.field("", join(word{age(s.Time.Sub(r.At)) + " ago", plain}, word{p.visible(r.Kind), plain},
			word{p.duration(r.Duration.Seconds()), plain}, word{p.visibleText(r.Reason), plain})...)
	}
}

// Largest numbers of entries in the list of pending operations. The table of ports shows all pending
// ports.
const (
	maxPending      = 5
	maxPendingShort = 1
)

// printPending prints at most limit of the pending operations.
func (s *Status) printPending(p *printer, limit int) {
	if len(s.Pending) == 0 {
		p.field("pending", word{"nothing", plain})
		return
	}
	label := "pending"
	for i := range min(len(s.Pending), limit) {
		w := &s.Pending[i]
		p.field(label, join(word{p.visible(w.What), warn}, word{"for " + age(s.Time.Sub(w.From)), plain},
			word{p.visibleText(w.Why), plain})...)
		label = ""
	}
	if more := len(s.Pending) - limit; more > 0 {
		p.field("", word{fmt.Sprintf("and %d more", more), plain})
	}
}

// warnIf returns the style warn if yes.
func warnIf(yes bool) style {
	if yes {
		return warn
	}
	return plain
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unsigned returns n, or 0 if n is negative.
func unsigned(n int64) uint64 { return uint64(max(n, 0)) }
