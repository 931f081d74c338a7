package journal

import (
	"encoding/binary"
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

// blockSize is the capacity of a block of events in bytes. An event that is larger has a block of its
// own.
const blockSize = 16 << 10

// memory holds the newest events. The writer adds events, and any goroutine may read them. Its lock
// is held while an event is added and while a query unpacks the events. The event loop never acquires
// it.
type memory struct {
	mu     sync.Mutex
	blocks []*packed // the newest maxEvents events, oldest first; no block is empty
	n      int       // number of events in blocks
	spare  *packed   // an empty block, or nil
	last   uint64    // sequence number of the newest event
	// evicted is set if there are older events in the files or events were removed from memory.
	evicted bool
	// recent has the newest events of each port that blocks no longer has.
	recent map[string]*packed
	text   []byte // of the event being added, reused
}

// add adds the next event.
func (m *memory) add(e *Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = e.Seq
	if m.n == maxEvents {
		m.evictOldest()
	}
	m.text = packEvent(m.text[:0], e)
	if len(m.blocks) == 0 || !m.blocks[len(m.blocks)-1].fits(len(m.text)) {
		m.blocks = append(m.blocks, m.newBlock(len(m.text)))
	}
	m.blocks[len(m.blocks)-1].add(m.text)
	m.n++
}

// newBlock returns an empty block for an event of size bytes.
func (m *memory) newBlock(size int) *packed {
	if b := m.spare; b != nil && b.fits(size) {
		m.spare = nil
		return b
	}
	return &packed{text: make([]byte, 0, max(blockSize, size+binary.MaxVarintLen64))}
}

// evictOldest moves the oldest event to the events of its port.
func (m *memory) evictOldest() {
	m.evicted = true
	first := m.blocks[0]
	if event := first.oldest(); len(portOf(event)) > 0 {
		m.keepRecent(event)
	}
	first.drop()
	m.n--
	if first.n == 0 {
		m.blocks = append(m.blocks[:0], m.blocks[1:]...)
		*first = packed{text: first.text[:0]}
		m.spare = first
	}
}

// keepRecent adds an event to the newest events of its port.
func (m *memory) keepRecent(event []byte) {
	port := portOf(event)
	recent := m.recent[string(port)]
	if recent == nil {
		if len(m.recent) == maxRecentPorts {
			m.evictPort()
		}
		if m.recent == nil {
			m.recent = make(map[string]*packed)
		}
		recent = &packed{}
		m.recent[string(port)] = recent
	}
	if recent.n == maxPortEvents {
		recent.drop()
	}
	recent.add(event)
}

// olderStored records that the files contain events that are older than those in memory.
func (m *memory) olderStored() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.evicted = true
}

// evictPort removes all events of the port in recent whose newest event is the oldest.
func (m *memory) evictPort() {
	oldest, seq := "", uint64(0)
	for name, events := range m.recent {
		newest := uint64(0)
		events.each(func(event []byte) { newest = seqOf(event) })
		if oldest == "" || newest < seq {
			oldest, seq = name, newest
		}
	}
	delete(m.recent, oldest)
}

// query returns the events that f selects, oldest first, and the sequence number of the newest
// event. complete is false if the files may contain older events that f selects.
func (m *memory) query(f *Filter) (events []Event, complete bool, last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	complete = !m.evicted
	var u unpacker
	add := func(e *Event) {
		if !f.Match(e) {
			return
		}
		if f.Limit > 0 && len(events) == 2*f.Limit { // keep the memory near f.Limit events
			events = events[:copy(events, events[f.Limit:])]
		}
		events = append(events, *e)
	}
	for _, name := range f.Ports {
		if recent := m.recent[name]; recent != nil {
			recent.each(func(event []byte) {
				e := u.event(event)
				add(&e)
			})
		}
	}
	slices.SortFunc(events, bySeq)
	// The clock may have been set back, so every event must be checked.
	var first, earliest time.Time
	for _, block := range m.blocks {
		block.each(func(event []byte) {
			e := u.event(event)
			if first.IsZero() {
				first, earliest = e.Time, e.Time
				complete = complete || f.After >= e.Seq-1 && f.After > 0
			}
			if e.Time.Before(earliest) {
				earliest = e.Time
			}
			add(&e)
		})
	}
	if m.n > 0 {
		complete = complete || !f.Since.IsZero() && !f.Since.Before(first) && !f.Since.Before(earliest)
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

	// AliasPorts holds the names of the ports that the query selects by alias. UnknownPorts holds
	// the names in the query that belong to no port.
	AliasPorts, UnknownPorts []string
}
