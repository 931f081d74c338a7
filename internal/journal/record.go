package journal

import (
	"time"

	"portsyncd/internal/ring"
	"portsyncd/netlinkraw"
)

// nameSize is IFNAMSIZ of include/uapi/linux/if.h.
const nameSize = 16

// PortState is the complete state of a port after a link message. The event loop publishes states
// rather than changes. Because the writer compares each state with the previous one, a state that
// could not be published is covered by the next one.
type PortState struct {
	At int64 // when the message was read, in nanoseconds since the journal's base

	Present bool // an interface with the name exists; otherwise Counted and LinkState are zero
	Counted bool // CarrierUp and CarrierDown are valid
	// Dump is set if the state comes from a dump of all links, so the change may have happened
	// earlier.
	Dump bool

	netlinkraw.LinkState
}

// recordKind is the kind of a record in the ring.
type recordKind uint8

const (
	recordPort   recordKind = iota // the state of a port
	recordSynced                   // the initial dump of links is complete
)

// record is one element of the ring. It contains no pointers.
type record struct {
	PortState
	kind     recordKind
	nameLen  uint8
	otherLen uint8 // 0 unless the interface was renamed
	name     [nameSize]byte
	other    [nameSize]byte // the former name, or the new one if no interface has the name
}

// ringSize is the maximum number of records queued for the writer.
const ringSize = 2048

// Source passes port states from the event loop to the writer. Its methods must be called by one
// goroutine. They never block and do not allocate.
type Source struct {
	ring *ring.Ring[record]
}

// Port publishes the state of a port. former is the previous name if the interface was renamed,
// else "". Port returns false if the ring is full; the caller must then publish the port's current
// state later, with the same former name.
func (s *Source) Port(name, former string, state *PortState) bool {
	r := s.ring.Slot()
	if r == nil {
		return false
	}
	r.PortState, r.kind = *state, recordPort
	r.nameLen = uint8(copy(r.name[:], name))
	r.otherLen = uint8(copy(r.other[:], former))
	s.ring.Push()
	return true
}

// Renamed publishes that the interface of a port was renamed to a name that is not watched. It
// returns false if the ring is full.
func (s *Source) Renamed(name string, to []byte, state *PortState) bool {
	r := s.ring.Slot()
	if r == nil {
		return false
	}
	r.PortState, r.kind = *state, recordPort
	r.nameLen = uint8(copy(r.name[:], name))
	r.otherLen = uint8(copy(r.other[:], to))
	s.ring.Push()
	return true
}

// Synced reports that all links of the initial dump have been published or are waiting to be
// published. Links that appear later were created later. Synced returns false if the ring is full;
// the caller must then call it again.
func (s *Source) Synced(at int64) bool {
	r := s.ring.Slot()
	if r == nil {
		return false
	}
	*r = record{kind: recordSynced, PortState: PortState{At: at}}
	s.ring.Push()
	return true
}

// Flush wakes the writer. The event loop calls it once after publishing several states.
func (s *Source) Flush() { s.ring.Wake() }

// moments converts readings of the loop's clock to times of day. The loop's clock counts
// nanoseconds since base and never jumps, while the system clock can be set at any time. Event
// times follow the system clock.
type moments struct {
	base time.Time        // with a monotonic reading
	now  func() time.Time // the system clock
}

// wall converts a reading of the loop's clock to the time of day, using the current system clock.
func (m *moments) wall(at int64) time.Time {
	return millis(m.now().Add(time.Duration(at - m.reading())))
}

// reading returns the current reading of the loop's clock.
func (m *moments) reading() int64 { return int64(time.Since(m.base)) }
