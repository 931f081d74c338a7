package portsync

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// hour holds event counts and write latencies for each of the last 60 minutes. The loop writes it;
// any goroutine may read it. Minutes are counted on the loop's monotonic clock. There are more
// slots than minutes, so a reader never reads a slot that the loop is clearing for a new minute.
type hour struct{ slots [hourSlots]minuteSlot }

const (
	hourSlots = 64
	// HourMinutes is the maximum length of View.Hour.
	HourMinutes = 60
)

type minuteSlot struct {
	minute         atomic.Int64 // number of the minute, from 1; 0 if unused
	events, writes atomic.Uint32
	longest        atomic.Int64 // nanoseconds
	latency        [latencyBuckets]atomic.Uint32
}

// Latency buckets, as in an HDR histogram (http://hdrhistogram.org): one bucket below the first
// octave, eight buckets of equal width per octave, and one bucket above the last octave.
const (
	firstOctave    = 14 // 2^14 ns are 16 µs
	lastOctave     = 33 // up to 2^34 ns, 17 s
	subBits        = 3
	latencyBuckets = 2 + (lastOctave-firstOctave+1)<<subBits
)

// latencyBucket returns the bucket index for a latency in nanoseconds.
func latencyBucket(ns int64) int {
	if ns < 1<<firstOctave {
		return 0
	}
	octave := bits.Len64(uint64(ns)) - 1
	sub := int(ns>>(octave-subBits)) & (1<<subBits - 1)
	return min(1+(octave-firstOctave)<<subBits+sub, latencyBuckets-1)
}

// bucketBound returns the upper bound of a bucket, exclusive, or the maximum for the last one.
func bucketBound(bucket int) int64 {
	octave, sub := firstOctave+(bucket-1)>>subBits, (bucket-1)&(1<<subBits-1)
	switch {
	case bucket == 0:
		return 1 << firstOctave
	case bucket == latencyBuckets-1:
		return 1<<63 - 1
	}
	return 1<<octave + int64(sub+1)<<(octave-subBits)
}

// at returns the slot for the minute that contains now, and clears the slot if a new minute has
// begun. An event that is older than all slots is counted in the minute that uses its slot.
func (h *hour) at(now int64) *minuteSlot {
	minute := minuteOf(now)
	s := &h.slots[minute%hourSlots]
	if s.minute.Load() < minute {
		s.events.Store(0)
		s.writes.Store(0)
		s.longest.Store(0)
		for i := range s.latency {
			s.latency[i].Store(0)
		}
		s.minute.Store(minute)
	}
	return s
}

func minuteOf(now int64) int64 { return now/int64(time.Minute) + 1 }

// event counts one link message.
func (h *hour) event(now int64) { h.at(now).events.Add(1) }

// wrote counts one acknowledged write. latency is in nanoseconds.
func (h *hour) wrote(now, latency int64) {
	s := h.at(now)
	s.writes.Add(1)
	s.latency[latencyBucket(latency)].Add(1)
	if latency > s.longest.Load() {
		s.longest.Store(latency)
	}
}

// view returns the counts and latencies of the last HourMinutes minutes up to now, oldest first. It
// returns fewer minutes if the loop has not been running that long.
func (h *hour) view(c clock, now int64) []Minute {
	last := minuteOf(now)
	all := make([]Minute, 0, HourMinutes)
	for minute := max(last-HourMinutes+1, 1); minute <= last; minute++ {
		m := Minute{From: c.time((minute - 1) * int64(time.Minute)).UTC()}
		if s := &h.slots[minute%hourSlots]; s.minute.Load() == minute {
			s.view(&m)
		}
		all = append(all, m)
	}
	return all
}

func (s *minuteSlot) view(m *Minute) {
	m.Events, m.Writes = uint64(s.events.Load()), uint64(s.writes.Load())
	m.Max = s.longest.Load()
	var counts [latencyBuckets]uint64
	total := uint64(0)
	for i := range s.latency {
		counts[i] = uint64(s.latency[i].Load())
		total += counts[i]
	}
	// Nearest-rank method: return the bound of the bucket that contains the write of that rank.
	below := func(rank uint64) int64 {
		for i, n := range counts {
			if rank <= n {
				return min(bucketBound(i), m.Max)
			}
			rank -= n
		}
		return m.Max
	}
	if total > 0 {
		m.P50, m.P99 = below((total+1)/2), below(total-total/100)
	}
}
