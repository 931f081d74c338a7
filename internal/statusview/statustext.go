package statusview

import (
	"fmt"
	"strconv"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// AppendText appends s for people to read: the verdict and what there is to look
// at, then a table of the ports in natural order. Where the terminal has not
// enough lines for all ports, those that want a look come first and the others
// are counted. A file has all ports, each on one line, and after a long table
// the verdict again, which is then what a terminal shows.
func (s *Status) AppendText(b []byte, t Terminal) []byte {
	p := newPrinter(t, b)
	s.printHead(p)
	s.printHealth(p)
	s.printWork(p)
	s.printPending(p)
	s.printNotable(p)
	s.printPorts(p)
	if p.Height == 0 && len(s.Ports) > longTable {
		p.end()
		s.printHealth(p)
	}
	p.cut()
	return p.b
}

// longTable is how many ports scroll the verdict off a terminal.
const longTable = 16

func (s *Status) printHead(p *printer) {
	title := "portsyncd " + p.visible(s.Version) + " on " + p.visible(s.Host)
	if s.Instance != "" {
		title += ", instance " + p.visible(s.Instance)
	}
	p.title(title)
	p.field("process", join(
		word{"pid " + strconv.Itoa(s.PID), plain},
		word{"up " + age(s.Time.Sub(s.Process)), plain},
		word{"seen " + p.clock(s.Time) + " " + s.Time.In(p.Zone).Format("MST"), plain})...)
}

// verdictStyle is how a word for health is set off.
func verdictStyle(status string) style {
	switch status {
	case portsync.Healthy:
		return good
	case portsync.Degraded, portsync.Disabled:
		return warn
	}
	return bad
}

// printHealth prints the verdict with each reason and what it costs.
func (s *Status) printHealth(p *printer) {
	h := &s.Health
	if h.Status == portsync.Disabled {
		p.field("health", join(word{h.Status, warn}, word{p.visible(s.Start.Reason), plain})...)
		return
	}
	p.field("health", join(
		word{p.visible(h.Status), verdictStyle(h.Status)},
		word{fmt.Sprintf("score %d of 100", h.Score), plain},
		word{"for " + age(s.Time.Sub(h.Since)), plain})...)
	for _, r := range h.Reasons {
		p.field("", word{fmt.Sprintf("-%d", r.Deduction), verdictStyle(r.Severity)},
			word{p.visible(r.Code) + ":", verdictStyle(r.Severity)},
			word{p.visible(r.Text) + ",", plain},
			word{"for " + age(s.Time.Sub(r.Since)), plain})
	}
}

// printWork prints how it started, and how the work goes.
func (s *Status) printWork(p *printer) {
	s.printStart(p)
	c, b := &s.Counts, &s.Backlog
	p.field("ports", join(
		word{grouped(c.Configured) + " configured", plain}, word{grouped(c.Present) + " present", plain},
		word{grouped(c.Up) + " up", plain}, word{grouped(c.Pending) + " awaited", warnIf(c.Pending > 0)})...)
	p.field("last", join(s.ago("dump", s.Start.LastResync), s.ago("audit", s.Start.LastAudit),
		s.ago("write", c.LastWritten))...)
	s.printDatabases(p)
	if b.Ports == 0 && b.Events == 0 {
		p.field("backlog", word{"none", plain})
	} else {
		p.field("backlog", join(word{count(ungrouped(b.Ports), "row", "rows"), plain}, word{count(ungrouped(b.Events), "event", "events"), plain},
			word{"waiting for " + p.lasting(b.WaitSeconds), plain})...)
	}
	p.field("counts", join(word{count(c.Events, "event", "events"), plain}, word{count(c.Writes, "write", "writes"), plain},
		word{count(c.Resyncs, "resync", "resyncs"), plain}, word{count(c.Overruns, "overrun", "overruns"), plain},
		word{count(c.Reconnects, "reconnect", "reconnects"), plain}, word{count(c.Mismatches, "audit mismatch", "audit mismatches"), warnIf(c.Mismatches > 0)},
		word{count(c.Repairs, "repair", "repairs"), plain})...)
	s.printRestarts(p)
}

func (s *Status) printStart(p *printer) {
	v := &s.Start
	switch {
	case s.Health.Status == portsync.Disabled:
		return
	case v.Kind == "":
		p.field("start", word{"not decided", warn})
		return
	}
	sync := word{"initial sync under way", warn}
	if v.Ready {
		sync = word{"initial sync took " + p.lasting(float64(v.SyncNanos)/1e9), plain}
	}
	p.field("start", join(word{p.visible(v.Kind), strong}, word{p.visible(v.Reason), plain}, sync,
		done("PortConfigDone", v.ConfigDone), done("PortInitDone", v.InitDone))...)
}

// done tells of a marker.
func done(marker string, done bool) word {
	if done {
		return word{marker, plain}
	}
	return word{"no " + marker, warn}
}

// ago tells when something was, and nothing if it was not.
func (s *Status) ago(what string, t *time.Time) word {
	if t == nil {
		return word{"no " + what, plain}
	}
	return word{what + " " + age(s.Time.Sub(*t)) + " ago", plain}
}

// printDatabases prints a line for each condition that databases are in; most
// often that is one.
func (s *Status) printDatabases(p *printer) {
	label := "databases"
	for rest := s.Databases; len(rest) > 0; label = "" {
		d, n := rest[0], 0
		var names []word
		for n < len(rest) && sameCondition(&d, &rest[n]) {
			names = append(names, word{p.visible(rest[n].Name), plain})
			n++
		}
		rest = rest[n:]
		state := word{"up", good}
		if !d.Up {
			state = word{"down", bad}
		}
		state.text += " for " + age(s.Time.Sub(d.Since))
		words := append(names, state, word{p.visible(d.Address), plain}, word{p.visible(d.Error), plain})
		p.field(label, join(words...)...)
	}
}

func sameCondition(a, b *portsync.DatabaseView) bool {
	return a.Up == b.Up && a.Since.Equal(b.Since) && a.Address == b.Address && a.Error == b.Error
}

// mostRestarts is how many of the newest restarts are listed.
const mostRestarts = 3

func (s *Status) printRestarts(p *printer) {
	if len(s.Restarts) == 0 {
		p.field("restarts", word{"none on record", plain})
		return
	}
	warm, late := 0, 0
	for _, r := range s.Restarts {
		warm += bit(r.Kind == warmrestart.Warm)
		late += bit(r.TimedOut)
	}
	p.field("restarts", join(word{strconv.Itoa(len(s.Restarts)) + " on record", plain},
		word{strconv.Itoa(warm) + " warm", plain}, word{strconv.Itoa(len(s.Restarts)-warm) + " cold", plain},
		word{strconv.Itoa(late) + " timed out", warnIf(late > 0)})...)
	for i := range min(len(s.Restarts), mostRestarts) {
		r := &s.Restarts[len(s.Restarts)-1-i]
		p.field("", join(word{age(s.Time.Sub(r.At)) + " ago", plain}, word{p.visible(r.Kind), plain},
			word{p.lasting(r.Duration.Seconds()), plain}, word{p.visible(r.Reason), plain})...)
	}
}

// mostPending is how many of those that wait are listed; the table of the ports
// shows the others.
const mostPending = 5

func (s *Status) printPending(p *printer) {
	if len(s.Pending) == 0 {
		p.field("pending", word{"nothing", plain})
		return
	}
	label := "pending"
	for i := range min(len(s.Pending), mostPending) {
		w := &s.Pending[i]
		p.field(label, join(word{p.visible(w.What), warn}, word{"for " + age(s.Time.Sub(w.From)), plain},
			word{p.visible(w.Why), plain})...)
		label = ""
	}
	if more := len(s.Pending) - mostPending; more > 0 {
		p.field("", word{fmt.Sprintf("and %d more", more), plain})
	}
}

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

func ungrouped(n int64) uint64 { return uint64(max(n, 0)) }
