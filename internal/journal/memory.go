package journal

import (
	"slices"
	"sync"
	"time"
)

// Limits of the events in memory.
const (
	maxEvents      = 4096 // newest events of all ports and the daemon
	maxPortEvents  = 8    // newest events of one port
	maxRecentPorts = 1024 // ports with their own list of events
)

// memory holds the newest events. The writer adds events, and any goroutine may read them. Its lock
// is held only while events are copied, and the event loop never acquires it.
type memory struct {
	mu     sync.Mutex
	events []Event // a ring once it holds maxEvents
	next   int     // index of the oldest event in a full ring
	last   uint64  // sequence number of the newest event
	// evicted is set if there are older events in the files or events were removed from memory.
	evicted bool
	recent  map[string][]Event // newest events of each port, oldest first
}

// add adds the next event.
func (m *memory) add(e *Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = e.Seq
	if len(m.events) < maxEvents {
		m.events = append(m.events, *e)
	} else {
		m.events[m.next] = *e
		m.next = (m.next + 1) % maxEvents
		m.evicted = true
	}
	if e.Port == "" {
		return
	}
	recent, known := m.recent[e.Port]
	switch {
	case len(recent) == maxPortEvents:
		copy(recent, recent[1:])
		recent = recent[:maxPortEvents-1]
	case !known && len(m.recent) == maxRecentPorts:
		m.evictPort()
	}
	if m.recent == nil {
		m.recent = make(map[string][]Event)
	}
	m.recent[e.Port] = append(recent, *e)
}

// olderStored records that the files contain events that are older than those in memory.
func (m *memory) olderStored() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.evicted = true
}

// evictPort removes all events of the port whose newest event is the oldest.
func (m *memory) evictPort() {
	oldest, seq := "", uint64(0)
	for name, events := range m.recent {
		if s := events[len(events)-1].Seq; oldest == "" || s < seq {
			oldest, seq = name, s
		}
	}
	delete(m.recent, oldest)
}

// query returns the events that f selects, oldest first, and the sequence number of the newest
// event. complete is false if the files may contain older events that f selects.
func (m *memory) query(f *Filter) (events []Event, complete bool, last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldest := uint64(0) // sequence number
	complete = !m.evicted
	if len(m.events) > 0 {
		first := &m.events[m.next]
		oldest = first.Seq
		complete = complete || f.After >= oldest-1 && f.After > 0
		// The clock may have been set back, so every event must be checked.
		earliest := first.Time
		for i := range m.events {
			if m.events[i].Time.Before(earliest) {
				earliest = m.events[i].Time
			}
		}
		complete = complete || !f.Since.IsZero() && !f.Since.Before(first.Time) && !f.Since.Before(earliest)
	}
	for _, name := range f.Ports {
		for _, e := range m.recent[name] {
			if e.Seq < oldest && f.Match(&e) {
				events = append(events, e)
			}
		}
	}
	slices.SortFunc(events, bySeq)
	for i := range m.events {
		if e := &m.events[(m.next+i)%len(m.events)]; f.Match(e) {
			events = append(events, *e)
		}
	}
	if f.Limit > 0 && len(events) >= f.Limit {
		complete = true
	}
	return f.newest(events), complete, m.last
}

func bySeq(a, b Event) int {
	if a.Seq < b.Seq {
		return -1
	}
	if a.Seq > b.Seq {
		return 1
	}
	return 0
}

// Document is the result of a query. Its JSON form has the members schema, time, process, complete,
// last_seq and events.
type Document struct {
	Time    time.Time // time of the query
	Process time.Time // when the daemon started
	// Complete is false if the query reaches further back than the events in memory. Older events
	// are in the files.
	Complete bool
	LastSeq  uint64 // sequence number of the newest event, selected or not
	Events   []Event
}
