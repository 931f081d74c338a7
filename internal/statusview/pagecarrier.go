package statusview

import (
	"fmt"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/portsync"
)

// carrierView is the content of a port's carrier history over the last hour.
type carrierView struct {
	Downs    string // total number of link-down transitions
	State    markup
	Plot     markup
	Complete bool // the events cover the whole hour
}

// newCarrierView returns the carrier history of port p.
func newCarrierView(s *Status, p *portsync.PortView, h PortHistory) carrierView {
	from := s.Time.Add(-time.Hour)
	x := timeAxis(from, s.Time)
	perMinute, total := downsPerMinute(h.Hour.Events, from, s.Time)
	since, pending := unrecordedDowns(p, h.Hour.Events)
	if pending > 0 {
		total += pending
		perMinute.spread(since, *p.LastChange, float64(pending))
	}
	d := newDrawing(x, linearAxis(0, max(4, perMinute.highest()), ""))
	for i, n := range perMinute.downs {
		minute := perMinute.first.Add(time.Duration(i) * time.Minute)
		at := unix(minute)
		d.bar("downs", at+6, at+54, n)
		d.column(at, at+60, fmt.Sprintf("%s UTC: %s link-down transitions", minute.UTC().Format("15:04"), digits(n)))
	}
	v := carrierView{Downs: count(total, "link-down transition", "link-down transitions"), Complete: h.Hour.Complete}
	if pending > 0 {
		v.Downs += ", " + grouped(pending) + " of them not in the events yet"
	}
	v.Plot = d.svg("Link-down transitions per minute in the last hour: total " + grouped(total))
	v.State = carrierPlot(x, carrierSpans(s, p, h, from))
	return v
}

// unrecordedDowns returns the number of link-down transitions since the newest event, and the time of
// that event. The journal merges the changes of a flapping port before it records them.
func unrecordedDowns(p *portsync.PortView, events []journal.Event) (since time.Time, n uint64) {
	if len(events) == 0 || p.LastChange == nil {
		return since, 0
	}
	e := &events[len(events)-1]
	if e.Port != p.Name || int64(e.Index) != p.Index || p.CarrierDown <= int64(e.CarrierDown) || !p.LastChange.After(e.Time) {
		return since, 0
	}
	return e.Time, uint64(p.CarrierDown - int64(e.CarrierDown))
}

// minuteCounts holds the number of transitions in each of several consecutive minutes.
type minuteCounts struct {
	first time.Time
	downs []float64
}

// highest returns the largest count.
func (m *minuteCounts) highest() (n float64) {
	for _, v := range m.downs {
		n = max(n, v)
	}
	return n
}

// downsPerMinute returns the number of link-down transitions in each minute between from and to,
// and the total. The transitions of a merged event are distributed evenly over its span.
func downsPerMinute(events []journal.Event, from, to time.Time) (m minuteCounts, total uint64) {
	m = minuteCounts{first: from.Truncate(time.Minute), downs: make([]float64, 61)}
	for i := range events {
		e := &events[i]
		n := e.Flaps
		if e.Kind == journal.LinkDown {
			n = max(n, 1) // some drivers do not count transitions
		}
		if n == 0 || e.Time.Before(from) || e.Time.After(to) {
			continue
		}
		total += n
		m.spread(e.Time.Add(-e.Span), e.Time, float64(n))
	}
	return m, total
}

// spread adds n transitions, distributed evenly between from and to, to the counts of the minutes.
// It ignores transitions before the first minute.
func (m *minuteCounts) spread(from, to time.Time, n float64) {
	begin, end := from.Sub(m.first).Minutes(), to.Sub(m.first).Minutes()
	if end-begin < 1e-6 {
		m.downs[min(max(int(end), 0), len(m.downs)-1)] += n
		return
	}
	for i := range m.downs {
		if part := min(end, float64(i+1)) - max(begin, float64(i)); part > 0 {
			m.downs[i] += n * part / (end - begin)
		}
	}
}

// carrierSpan is a period during which a port's carrier state did not change.
type carrierSpan struct {
	from, to time.Time
	state    string // "up", "down", "flapping", or "" if unknown or if there is no interface
}

// carrierSpans returns the carrier states of p since from, without gaps. It derives them from the
// port's events and its current state.
func carrierSpans(s *Status, p *portsync.PortView, h PortHistory, from time.Time) (spans []carrierSpan) {
	at := from
	add := func(to time.Time, state string) {
		if to.After(s.Time) {
			to = s.Time
		}
		if to.After(at) {
			spans = append(spans, carrierSpan{at, to, state})
			at = to
		}
	}
	events, state := h.Hour.Events, carrierOf(p.Oper)
	// If no event precedes from, the state is known only since this process started.
	recent := h.Recent.Events
	earlier := h.Hour.Complete && len(recent) > 0 && recent[0].Time.Before(from)
	known := from
	if !earlier {
		known = s.Process
	}
	if len(events) > 0 {
		state = carrierBefore(&events[0], p.Name)
		if begin := beginOf(&events[0]); !h.Hour.Complete || begin.Before(known) {
			known = begin
		}
	}
	add(known, "")
	for i := range events {
		e := &events[i]
		add(beginOf(e), state)
		if e.Kind == journal.Flapping {
			add(e.Time, "flapping")
		}
		state = carrierAfter(e, p.Name)
	}
	// Changes after the last event have not been merged into an event yet.
	if p.LastChange != nil && p.LastChange.Sub(at) > time.Second && p.Flapping {
		add(*p.LastChange, "flapping")
	} else if p.LastChange != nil && carrierOf(p.Oper) != state {
		add(*p.LastChange, state)
	}
	add(s.Time, carrierOf(p.Oper))
	return spans
}

// beginOf returns the time of the first change that the event e represents, which may be a merged
// event.
func beginOf(e *journal.Event) time.Time { return e.Time.Add(-e.Span) }

// carrierBefore returns the carrier state of the named port before event e.
func carrierBefore(e *journal.Event, name string) string {
	switch e.Kind {
	case journal.LinkUp:
		return "down"
	case journal.LinkDown:
		return "up"
	case journal.AdminUp, journal.AdminDown, journal.MTU:
		return carrierAfter(e, name)
	}
	return ""
}

// carrierAfter returns the carrier state of the named port after event e.
func carrierAfter(e *journal.Event, name string) string {
	if e.Port != name { // the interface was renamed
		return ""
	}
	return carrierOf(e.Oper.String())
}

// carrierOf returns the carrier state for a value of PortView.Oper.
func carrierOf(oper string) string {
	switch oper {
	case linkUp:
		return "up"
	case "":
		return ""
	}
	return "down"
}

// carrierPlot plots carrier states over time.
func carrierPlot(x axis, spans []carrierSpan) markup {
	d := newDrawing(axis{lo: x.lo, hi: x.hi}, axis{lo: 0, hi: 1})
	label := "Carrier in the last hour: now unknown"
	for _, span := range spans {
		state := span.state
		if state == "" {
			state = "unknown"
		} else {
			d.bar(state, unix(span.from), unix(span.to), 1)
		}
		length := "less than 1s"
		if d := span.to.Sub(span.from); d >= time.Second {
			length = age(d)
		}
		d.column(unix(span.from), unix(span.to), fmt.Sprintf("%s to %s UTC: %s for %s",
			span.from.UTC().Format(time.TimeOnly), span.to.UTC().Format(time.TimeOnly), state, length))
		label = "Carrier in the last hour: now " + state
	}
	return d.svg(label)
}
