package statusview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// pageView is the content of the status page. Untrusted text has been escaped by visible;
// htmlWriter escapes it for HTML.
type pageView struct {
	pageHead
	Tiles   []tile
	Panel   panelView
	Pending []pendingRow
	Start   portsync.StartView
	Resync  moment
	Audit   moment
	Sync    string

	Databases []databaseRow
	Backlog   portsync.BacklogView
	Wait      string
	Counts    []tile

	Events   []eventRow // latest first
	Hour     hourView
	Timeline markup
	Recent   []restartRow // newest first
	Older    []restartRow
}

// pageHead is the content of the head of all pages.
type pageHead struct {
	Title, Version string
	At             moment
	PID            int
	Up             string // age of the process
	Health         healthView
	Daemon, Links  summaryView
}

// summaryView is the template data for a brief summary of the daemon or of all ports.
type summaryView struct {
	Text, Tone, Note string
}

// tile is a named figure on a page.
type tile struct {
	Name, Value, Note string
	Tone              string // CSS class: "", "good", "warn", "bad"
}

type healthView struct {
	Status  string
	Since   moment
	Reasons []reasonRow
}

type reasonRow struct {
	Code, Severity, Tone, Text string
	Deduction                  int
	Since                      moment
}

type pendingRow struct {
	What, Why, For string
}

type databaseRow struct {
	Name, Address, Error string
	Up                   bool
	Since                moment
}

// newHealthView returns the template data for the health state, with the reasons sorted by
// deduction.
func newHealthView(h *portsync.Health, now time.Time) healthView {
	v := healthView{Status: visible(h.Status), Since: momentOf(h.Since, now)}
	for _, r := range h.Reasons {
		v.Reasons = append(v.Reasons, reasonRow{
			Code: visible(r.Code), Severity: visible(r.Severity), Tone: toneOf(r.Severity), Text: visibleText(r.Text),
			Deduction: r.Deduction, Since: momentOf(r.Since, now),
		})
	}
	slices.SortStableFunc(v.Reasons, func(a, b reasonRow) int { return cmp.Compare(b.Deduction, a.Deduction) })
	return v
}

// toneOf returns the CSS class of a health status or severity.
func toneOf(status string) string {
	switch status {
	case portsync.Healthy:
		return "good"
	case portsync.Degraded, portsync.Disabled:
		return "warn"
	case portsync.Unhealthy:
		return "bad"
	}
	return ""
}

// newPageHead returns the content of the head of the pages.
func (s *Status) newPageHead() pageHead {
	now := s.Time
	h := pageHead{
		Title:   strings.TrimSpace(visible(s.Host) + " " + visible(s.Instance)),
		Version: visible(s.Version), PID: s.PID, At: momentOf(now, now), Up: age(now.Sub(s.Process)),
		Health: newHealthView(&s.Health, now),
	}
	h.At.Text = now.UTC().Format("2006-01-02 15:04:05")
	daemon, ports := s.daemonSummary(), s.portsSummary()
	h.Daemon = summaryView{Text: daemon.text, Tone: daemon.style.tone()}
	if s.Health.Status == portsync.Disabled {
		h.Daemon.Note = visibleText(s.Start.Reason)
	}
	h.Links = summaryView{Text: ports.text, Tone: ports.style.tone()}
	return h
}

// newPageView returns the content of s.
func newPageView(s *Status) *pageView {
	now := s.Time
	v := &pageView{
		pageHead: s.newPageHead(), Panel: newPanel(s.Ports, now), Events: eventRows(s.Events, now, s.isPort),
		Start: s.Start, Resync: momentAt(s.Start.LastResync, now), Audit: momentAt(s.Start.LastAudit, now),
		Sync: nanos(s.Start.SyncNanos), Backlog: s.Backlog, Wait: seconds(s.Backlog.WaitSeconds),
		Hour: newHour(s.Hour, now), Timeline: restartPlot(s.Restarts, now),
	}
	v.Links.Note = v.Panel.exceptions()
	v.Start.Kind, v.Start.Reason = visible(s.Start.Kind), visibleText(s.Start.Reason)
	for _, p := range s.Pending {
		v.Pending = append(v.Pending, pendingRow{visible(p.What), visibleText(p.Why), age(now.Sub(p.From))})
	}
	for _, d := range s.Databases {
		v.Databases = append(v.Databases, databaseRow{
			Name: visible(d.Name), Address: visible(d.Address), Error: visibleText(d.Error), Up: d.Up, Since: momentOf(d.Since, now)})
	}
	v.Tiles = tiles(s, &v.Hour)
	v.Counts = counts(&s.Counts, now)
	rows := restartRows(s.Restarts, now)
	v.Recent, v.Older = rows[:min(len(rows), recentRestarts)], rows[min(len(rows), recentRestarts):]
	return v
}

// tiles returns the key figures shown at the top of the page.
func tiles(s *Status, hour *hourView) []tile {
	pending := tile{Name: "Pending", Value: strconv.Itoa(len(s.Pending))}
	if n := len(s.Pending); n > 0 {
		pending.Tone, pending.Note = "warn", visible(s.Pending[0].What)
		if n > 1 {
			pending.Note += fmt.Sprintf(" and %d more", n-1)
		}
	}
	down := 0
	for _, d := range s.Databases {
		if !d.Up {
			down++
		}
	}
	databases := tile{Name: "Databases", Value: fmt.Sprintf("%d / %d", len(s.Databases)-down, len(s.Databases)), Note: "connected"}
	if down > 0 {
		databases.Tone = "bad"
	}
	backlog := tile{Name: "Backlog", Value: grouped(s.Backlog.Ports), Note: "rows to write"}
	if s.Backlog.WaitSeconds > 0 {
		backlog.Note += ", oldest " + seconds(s.Backlog.WaitSeconds)
	}
	return []tile{pending, databases, backlog,
		{Name: "Link messages, last hour", Value: hour.Events, Note: hour.Peak},
		{Name: "Latency p99, worst minute", Value: hour.Worst, Note: "message to acknowledged write"},
	}
}

// counts returns tiles that show the event totals since the process started.
func counts(c *portsync.CountsView, now time.Time) []tile {
	last := momentAt(c.LastWritten, now)
	note := last.Text
	if last.Ago != "" {
		note = last.Ago + " ago"
	}
	return []tile{
		{Name: "Link messages", Value: grouped(c.Events)},
		{Name: "Writes", Value: grouped(c.Writes)},
		{Name: "Resyncs", Value: grouped(c.Resyncs)},
		{Name: "Repairs", Value: grouped(c.Repairs)},
		{Name: "Audit mismatches", Value: grouped(c.Mismatches)},
		{Name: "Overruns", Value: grouped(c.Overruns)},
		{Name: "Reconnects", Value: grouped(c.Reconnects)},
		{Name: "Last write", Value: note},
	}
}

// recentRestarts is the number of restarts shown without expanding the list.
const recentRestarts = 5

// restartRow is a row of a restart list.
type restartRow struct {
	Kind, Tone, Reason string
	At                 moment
	Duration           string
	Facts              []string
}

// restartRows returns the table rows for the restarts, newest first.
func restartRows(restarts []warmrestart.Restart, now time.Time) []restartRow {
	rows := make([]restartRow, 0, len(restarts))
	for _, r := range slices.Backward(restarts) {
		row := restartRow{Kind: visible(r.Kind), Tone: restartTone(&r), Reason: visibleText(r.Reason),
			At: momentOf(r.At, now), Duration: seconds(r.Duration.Seconds())}
		fact := func(format string, args ...any) { row.Facts = append(row.Facts, fmt.Sprintf(format, args...)) }
		switch {
		case r.TimedOut:
			fact("the dump timed out")
		case r.EOIULatency > 0:
			fact("dump read in %s", seconds(r.EOIULatency.Seconds()))
		}
		fact("%s compared, %s written, %s deleted", grouped(r.Compared), grouped(r.Changed), grouped(r.Deleted))
		if down := r.Process.Sub(r.LastAlive); !r.Process.IsZero() && !r.LastAlive.IsZero() && down >= 0 {
			fact("down at most %s", seconds(down.Seconds()))
		}
		if r.RecoveredFrom != "" {
			fact("state recovered from %s", visible(r.RecoveredFrom))
		}
		rows = append(rows, row)
	}
	return rows
}

// restartTone returns the CSS class of a restart.
func restartTone(r *warmrestart.Restart) string {
	switch {
	case r.TimedOut:
		return "late"
	case r.Kind == warmrestart.Warm:
		return "warm"
	}
	return "cold"
}
