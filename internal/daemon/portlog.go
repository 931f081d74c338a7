package daemon

import (
	"context"
	"log/slog"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/syslog"
)

// Limits of the lines about port changes. Together with the lines about link messages (see
// portsync.Loop) they stay below the 20,000 lines in 300 s beyond which rsyslog in SONiC's containers
// drops all lines of a process. The start of a switch with 512 ports stays within the budget.
const (
	portLinesBurst     = 2500
	portLinesPerSecond = 1
	// portLineTimeout is how long one line waits for the syslog daemon.
	portLineTimeout = 100 * time.Millisecond
)

// portLog logs the changes of ports that the journal records, such as "Ethernet48 link down". The
// journal merges the changes of a port that flaps. A portLog is used by the journal's goroutine, so
// that the event loop does not wait for the log.
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

// add logs an event of a port. While the syslog daemon does not accept lines, only the first line
// waits for it. The others are dropped and counted.
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

// reportOmitted logs the number of changes that were omitted because of the budget, at most once a
// second.
func (p *portLog) reportOmitted(now time.Time) {
	if n := p.budget.Missed(now); n > 0 {
		p.log.Log(context.Background(), syslog.LevelNotice, `omitted port changes from the log; "portsyncd events" prints them`, "changes", n)
	}
}
