package daemon

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/syslog"
)

// Limits for log lines about port changes. Together with the lines about link messages (see
// portsync.Loop), they stay below rsyslog's limit in SONiC's containers: rsyslog drops all lines of
// a process that logs more than 20,000 lines in 300 s. Starting a switch with 512 ports stays
// within the budget.
const (
	portLinesBurst     = 2500
	portLinesPerSecond = 1
	// portLineTimeout is the maximum time that a line waits for the syslog daemon.
	portLineTimeout = 10 * time.Second
	// portLogEndTimeout is the time allowed for writing the remaining lines on shutdown.
	portLogEndTimeout = 200 * time.Millisecond
	// omittedInterval is the minimum time between two lines about omitted changes.
	omittedInterval = time.Second
)

// portLog logs the port changes that the journal records, such as "Ethernet48 link down". The
// journal merges the changes of a flapping port. The journal's goroutine adds lines to a queue and
// never waits for the log; the goroutine that executes run writes them. Each change is logged in a
// line of its own or counted in a line about omitted changes.
type portLog struct {
	handler *syslog.Handler
	log     *slog.Logger
	budget  syslog.Budget // of the journal's goroutine
	lines   chan *portLine
	unused  sync.Pool     // of *portLine, so that lines that are written at once share their memory
	omitted chan struct{} // wakes run after the first omitted change
	ended   chan struct{} // closed when run has ended

	changes, linkDowns atomic.Uint64 // omitted and not yet reported
}

// portLine is a line in the queue of a portLog.
type portLine struct {
	text      []byte
	at        time.Time // when the port changed
	until     time.Time // the line is dropped at this time
	changes   uint64
	linkDowns uint64
}

func newPortLog(h *syslog.Handler, log *slog.Logger) *portLog {
	return &portLog{
		handler: h, log: log,
		budget:  syslog.Budget{Burst: portLinesBurst, PerSecond: portLinesPerSecond},
		lines:   make(chan *portLine, portLinesBurst),
		omitted: make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
}

// add queues the line of the port event e. It does not block. If the event exceeds the budget or the
// queue is full, add counts it as omitted.
func (p *portLog) add(e *journal.Event) {
	if e.Port == "" || !p.handler.Enabled(context.Background(), syslog.LevelNotice) {
		return
	}
	now := time.Now()
	l, _ := p.unused.Get().(*portLine)
	if l == nil {
		l = new(portLine)
	}
	*l = portLine{text: l.text[:0], at: e.Time, until: now.Add(portLineTimeout), changes: max(e.Count, 1), linkDowns: e.Flaps}
	if !p.budget.Allow(now, syslog.LevelNotice) {
		p.omit(l)
		return
	}
	l.text = append(append(append(l.text, e.Port...), ' '), e.Text()...)
	select {
	case p.lines <- l:
	default:
		p.omit(l)
	}
}

// omit counts the changes of a line that is not written.
func (p *portLog) omit(l *portLine) {
	p.linkDowns.Add(l.linkDowns)
	p.changes.Add(l.changes)
	select {
	case p.omitted <- struct{}{}:
	default:
	}
}

// run writes queued lines until end is called, and then the remaining lines.
func (p *portLog) run() {
	defer close(p.ended)
	var reported time.Time
	for {
		var due <-chan time.Time
		if p.changes.Load() > 0 {
			due = time.After(time.Until(reported.Add(omittedInterval)))
		}
		select {
		case l, ok := <-p.lines:
			if !ok {
				p.reportOmitted()
				return
			}
			if !p.handler.WriteLine(syslog.LevelNotice, "port", l.text, l.at, max(0, time.Until(l.until))) {
				p.omit(l)
			}
			p.unused.Put(l)
		case <-due:
			p.reportOmitted()
			reported = time.Now()
		case <-p.omitted: // starts the timer
		}
	}
}

// end writes the remaining lines, for at most portLogEndTimeout. The caller must not call add
// afterwards.
func (p *portLog) end() {
	close(p.lines)
	select {
	case <-p.ended:
	case <-time.After(portLogEndTimeout):
	}
}

// reportOmitted logs how many changes were omitted, because they exceeded the budget or the syslog
// daemon did not accept their lines, and how many link-down transitions these changes contain.
func (p *portLog) reportOmitted() {
	if changes, linkDowns := p.changes.Swap(0), p.linkDowns.Swap(0); changes > 0 {
		p.log.Log(context.Background(), syslog.LevelNotice, `omitted port changes from the log; "portsyncd events" prints them`,
			"changes", changes, "link_downs", linkDowns)
	}
}
