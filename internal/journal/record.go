package journal

import (
	"time"

	"portsyncd/internal/ring"
)

// nameSize is IFNAMSIZ of include/uapi/linux/if.h.
const nameSize = 16

// PortState is the complete state of a port after a link message. The event loop publishes states
// and not changes: the writer compares each state with the one before, so that a state that could
// not be published is contained in the next one.
type PortState struct {
	At int64 // when the message was read, nanoseconds since the base of the Source

	Present bool // an interface has the name; without one the fields below are 0
	Admin   bool
	Oper    bool
	Counted bool // CarrierUp and CarrierDown are known
	// Dump: the state comes from a list of all links, so the change may have happened earlier.
	Dump bool

	Index                  int32
	MTU                    uint32
	CarrierUp, CarrierDown uint32
}

// recordKind says what a record of the ring is about.
type recordKind uint8

const (
	recordPort   recordKind = iota // the state of a port
	recordSynced                   // the initial list of links is complete
)

// record is one element of the ring. It has no pointers.
type record struct {
	PortState
	kind      recordKind
	nameLen   uint8
	formerLen uint8 // 0 unless the interface was renamed
	name      [nameSize]byte
	former    [nameSize]byte
}

// ringSize is how many states can wait for the writer.
const ringSize = 4096

// Source is the way from the event loop to the writer. Its methods belong to one goroutine. They
// never block and allocate no memory.
type Source struct {
	ring *ring.Ring[record]
}

// Port publishes the state of a port. former is the previous name if the interface was renamed, or
// else "". Port returns false if there is no room; then the caller has to publish the port's
// current state later, with the same former name.
func (s *Source) Port(name, former string, state *PortState) bool {
	r := s.ring.Slot()
	if r == nil {
		return false
	}
	r.PortState, r.kind = *state, recordPort
	r.nameLen = uint8(copy(r.name[:], name))
	r.formerLen = uint8(copy(r.former[:], former))
	s.ring.Push()
	return true
}

// Synced says that all links of the initial list have been published, or wait for room. Links that
// appear later were created later. Synced returns false if there is no room; then the caller has
// to call it again.
func (s *Source) Synced(at int64) bool {
	r := s.ring.Slot()
	if r == nil {
		return false
	}
	*r = record{kind: recordSynced, PortState: PortState{At: at}}
	s.ring.Push()
	return true
}

// Flush wakes the writer. The loop calls it once for each group of states.
func (s *Source) Flush() { s.ring.Wake() }

// moments converts readings of the loop's clock into times of day. The loop's clock counts
// nanoseconds since base and does not jump; the system clock can be set at any time. The times of
// events follow the system clock.
type moments struct {
	base time.Time        // with a monotonic reading
	now  func() time.Time // the system clock
}

// wall returns the time of day at a reading of the loop's clock, by the present system clock.
func (m *moments) wall(at int64) time.Time {
	return millis(m.now().Add(time.Duration(at - m.reading())))
}

// reading returns the loop's clock.
func (m *moments) reading() int64 { return int64(time.Since(m.base)) }
