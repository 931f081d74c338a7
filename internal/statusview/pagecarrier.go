package statusview

import (
	"fmt"
	"html/template"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/portsync"
)

// carrierView is the carrier of a port in the last hour.
type carrierView struct {
	Downs    string // total of link-down transitions
	State    template.HTML
	Plot     template.HTML
	Complete bool // the events reach back an hour
}

// newCarrierView returns the view of the carrier of port p.
func newCarrierView(s *Status, p *portsync.PortView, h PortHistory) carrierView {
	from := s.Time.Add(-time.Hour)
	x := timeAxis(from, s.Time)
	perMinute, total := downsPerMinute(h.Hour.Events, from, s.Time)
	d := newDrawing(x, linearAxis(0, max(4, perMinute.highest()), ""))
	for i, n := range perMinute.downs {
		minute := perMinute.first.Add(time.Duration(i) * time.Minute)
		at := unix(minute)
		d.bar("downs", at+6, at+54, n)
		d.column(at, at+60, fmt.Sprintf("%s UTC: %s link-down transitions", minute.UTC().Format("15:04"), digits(n)))
	}
	v := carrierView{Downs: count(total, "link-down transition", "link-down transitions"), Complete: h.Hour.Complete}
	v.Plot = d.svg("Link-down transitions per minute in the last hour: total " + grouped(total))
	v.State = carrierPlot(x, carrierSpans(s, p, h, from))
	return v
}

// minuteCounts are numbers of transitions in consecutive minutes.
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

// downsPerMinute returns the link-down transitions in each minute between from and to. It spreads
// those of a merged event evenly over the span of the event.
func downsPerMinute(events []journal.Event, from, to time.Time) (m minuteCounts, total uint64) {
	m = minuteCounts{first: from.Truncate(time.Minute), downs: make([]float64, 61)}
	for i := range events {
		e := &events[i]
		n := e.Flaps
		if e.Kind == journal.LinkDown {
			n = max(n, 1) // some drivers do not count
		}
		if n == 0 || e.Time.Before(from) || e.Time.After(to) {
			continue
		}
		total += n
		m.spread(e.Time.Add(-e.Span), e.Time, float64(n))
	}
	return m, total
}

// spread adds n transitions, evenly between two times. The part before the first minute is omitted.
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

// carrierSpan is a time in which the carrier of a port had one state.
type carrierSpan struct {
	from, to time.Time
	state    string // "up", "down", "flapping", or "" if unknown or without an interface
}

// carrierSpans returns the states of the carrier of p since from, without gaps, from the events of
// the port and its present state.
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
	// Without an event before from, the state is known from the start of this process.
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
	// Changes after the last event are still being merged.
	if p.LastChange != nil && p.LastChange.Sub(at) > time.Second && p.Flapping {
		add(*p.LastChange, "flapping")
	} else if p.LastChange != nil && carrierOf(p.Oper) != state {
		add(*p.LastChange, state)
	}
	add(s.Time, carrierOf(p.Oper))
	return spans
}

// beginOf returns the time of the first change in an event.
func beginOf(e *journal.Event) time.Time { return e.Time.Add(-e.Span) }

// carrierBefore returns the state before an event of the port with this name.
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

// carrierAfter returns the state after an event of the port with this name.
func carrierAfter(e *journal.Event, name string) string {
	if e.Port != name { // the interface was renamed
		return ""
	}
	return carrierOf(e.Oper.String())
}

// carrierOf returns the state for a value of PortView.Oper.
func carrierOf(oper string) string {
	switch oper {
	case linkUp:
		return "up"
	case "":
		return ""
	}
	return "down"
}

// carrierPlot plots spans.
func carrierPlot(x axis, spans []carrierSpan) template.HTML {
	d := newDrawing(axis{lo: x.lo, hi: x.hi}, axis{lo: 0, hi: 1})
	label := "Carrier in the last hour: now unknown"
	for _, span := range spans {
		state := span.state
		if state == "" {
			state = "unknown"
		} else {
			d.bar(state, unix(span.from), unix(span.to), 1)
		}
		d.column(unix(span.from), unix(span.to), fmt.Sprintf("%s to %s UTC: %s for %s",
			span.from.UTC().Format(time.TimeOnly), span.to.UTC().Format(time.TimeOnly), state, age(span.to.Sub(span.from))))
		label = "Carrier in the last hour: now " + state
	}
	return d.svg(label)
}
