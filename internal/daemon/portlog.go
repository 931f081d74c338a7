package daemon

import (
	"context"
	"log/slog"
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
	portLineTimeout = 100 * time.Millisecond
)

// portLog logs the port changes that the journal records, such as "Ethernet48 link down". The
// journal merges the changes of a flapping port. portLog is used only by the journal's goroutine,
// so the event loop never waits for the log.
type portLog struct {
	handler *syslog.Handler
	log     *slog.Logger
	budget  syslog.Budget
	text    []byte
	stuck   bool // the last line was dropped
}

func newPortLog(h *syslog.Handler, log *slog.Logger) *portLog {
	return &portLog{
		handler: h, log: log,
		budget: syslog.Budget{Burst: portLinesBurst, PerSecond: portLinesPerSecond},
	}
}

// add logs the port event e. If the syslog daemon does not accept lines, only the first line waits
// for it. The following lines are dropped and counted.
func (p *portLog) add(e *journal.Event) {
	if e.Port == "" || !p.handler.Enabled(context.Background(), syslog.LevelNotice) {
		return
	}
	now := time.Now()
	p.reportOmitted(now)
	if !p.budget.Allow(now, syslog.LevelNotice) {
		return
	}
	timeout := portLineTimeout
	if p.stuck {
		timeout = 0
	}
	p.text = append(append(append(p.text[:0], e.Port...), ' '), e.Text()...)
	p.stuck = !p.handler.WriteLine(syslog.LevelNotice, "port", p.text, e.Time, timeout)
}

// reportOmitted logs how many changes were omitted because they exceeded the budget. It logs at
// most once a second.
func (p *portLog) reportOmitted(now time.Time) {
	if n := p.budget.Missed(now); n > 0 {
		p.log.Log(context.Background(), syslog.LevelNotice, `omitted port changes from the log; "portsyncd events" prints them`, "changes", n)
	}
}
