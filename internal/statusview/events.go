package statusview

import (
	"slices"
	"time"

	"portsyncd/internal/journal"
)

// eventTime is the form of the time of an event.
const eventTime = "2006-01-02 15:04:05.000"

// portWidth is the longest name of an interface.
const portWidth = 15

// AppendEvents appends one line for each event: time, port and what happened. Lines are not broken,
// so that each line of the output is one event.
func AppendEvents(b []byte, events []journal.Event, t Terminal) []byte {
	p := newPrinter(t, b)
	for i := range events {
		e := &events[i]
		p.word(word{e.Time.In(p.Zone).Format(eventTime), faint})
		p.space(2)
		name := p.visible(e.Port)
		if name == "" {
			name = "-"
		}
		p.word(word{name, strong})
		p.space(max(1, portWidth+1-textWidth(name)))
		p.word(word{eventText(e, p.ASCII), eventStyle(e)})
		p.end()
	}
	return p.b
}

// eventStyle returns the style of the text of an event.
func eventStyle(e *journal.Event) style {
	switch e.Kind {
	case journal.LinkUp, journal.RedisConnected, journal.Ready:
		return good
	case journal.LinkDown, journal.Deleted, journal.RedisLost:
		return bad
	case journal.Renamed:
		if e.New != "" { // the port has no interface any more
			return bad
		}
	case journal.Flapping, journal.Merged, journal.AdminDown, journal.Overrun, journal.Repair, journal.Dropped, journal.Clock:
		return warn
	case journal.Health:
		switch e.New {
		case "healthy":
			return good
		case "unhealthy":
			return bad
		}
		return warn
	}
	return plain
}

// eventRow is an event in a list.
type eventRow struct {
	At         moment
	Port, Path string // Path is the path of the port's page; "" if the port is not listed
	Text, Tone string
}

// eventText returns the escaped text of an event. The text of a port's event contains names as they
// are, and that of a daemon's event sentences.
func eventText(e *journal.Event, ascii bool) string {
	if e.Port != "" {
		return Visible(e.Text(), ascii)
	}
	return VisibleText(e.Text(), ascii)
}

// eventRows returns the events, newest first. isPort reports whether a name is that of a listed
// port.
func eventRows(events []journal.Event, now time.Time, isPort func(name string) bool) []eventRow {
	rows := make([]eventRow, 0, len(events))
	for _, e := range slices.Backward(events) {
		row := eventRow{At: millisOf(e.Time, now), Port: visible(e.Port), Text: eventText(&e, false), Tone: eventStyle(&e).tone()}
		if e.Port != "" && isPort(e.Port) {
			row.Path = portPath(e.Port)
		}
		rows = append(rows, row)
	}
	return rows
}

// millisOf is momentOf with milliseconds.
func millisOf(t, now time.Time) moment {
	m := momentOf(t, now)
	if m.Exact != "" {
		m.Exact = t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		m.Text += t.UTC().Format(".000")
	}
	return m
}

// tone returns the CSS class of a style.
func (st style) tone() string {
	switch st {
	case good:
		return "good"
	case warn:
		return "warn"
	case bad:
		return "bad"
	}
	return ""
}
