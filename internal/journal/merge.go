package journal

import (
	"strconv"
	"time"
)

// Limits of a stream, which contains the events of one port or one kind of daemon event. They bound
// the journal during a storm: a stream may record streamBurst events at once and then one per
// streamRefill. When a stream reaches the limit, its changes are merged into one event, which is
// recorded after the stream has been quiet for quietAfter, or at the latest after the periods in
// mergePeriods. The last period repeats.
const (
	streamBurst  = 20
	streamRefill = 30 * time.Second
	quietAfter   = 10 * time.Second
)

var mergePeriods = [...]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}

// Limits of all streams combined.
const (
	totalBurst  = 20_000
	totalRefill = 200 * time.Millisecond
)

// holdFor is how long a merged event is delayed if the limit of all streams has been reached.
const holdFor = 5 * time.Second

// bucket is a token bucket. The zero value is full.
type bucket struct {
	used float64 // tokens
	at   int64   // time of the last refill
}

// refill brings the bucket up to now.
func (b *bucket) refill(now int64, every time.Duration) {
	if now > b.at {
		b.used = max(0, b.used-float64(now-b.at)/float64(every))
		b.at = now
	}
}

// take removes one token from the bucket. It returns false if the bucket is empty.
func (b *bucket) take(now int64, size int, every time.Duration) bool {
	b.refill(now, every)
	if b.used+1 > float64(size) {
		return false
	}
	b.used++
	return true
}

// stream tracks the recent events of one port or one kind of daemon event. Only a stream that merges
// events needs the memory of a merge.
type stream struct {
	bucket
	*merge // nil while events are recorded separately
}

// merge is the merging of the events of a stream.
type merge struct {
	level  int    // index of mergePeriods
	hold   int64  // earliest time at which a merged event is recorded
	from   int64  // when the period began
	last   int64  // when the last change occurred, if count is not 0
	count  uint64 // changes in this period
	flaps  uint64
	began  time.Time // time of the first change in this period
	ended  time.Time // time of the last change
	latest Event     // event of the last change
	kinds  tally     // changes by kind
}

// merging reports whether the stream merges events.
func (s *stream) merging() bool { return s.merge != nil }

// tally counts the changes, other than link changes, that a merged event contains.
type tally struct{ admin, mtu, interfaces uint64 }

func (t *tally) add(k Kind) {
	switch k {
	case AdminUp, AdminDown:
		t.admin++
	case MTU:
		t.mtu++
	case Created, Deleted, Renamed:
		t.interfaces++
	}
}

// reason describes the tally. It returns "" if the tally is empty.
func (t *tally) reason() string {
	var b []byte
	for _, part := range []struct {
		n    uint64
		what string
	}{{t.admin, "admin state"}, {t.mtu, "MTU"}, {t.interfaces, "interface created, deleted or renamed"}} {
		if part.n == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, part.what...)
		b = strconv.AppendUint(append(b, ' '), part.n, 10)
	}
	if len(b) == 0 {
		return ""
	}
	return "also changed: " + string(b)
}

// offer adds an event at time at of the loop's clock. It returns true if the event must be recorded
// separately. Otherwise it merges the event.
func (s *stream) offer(e *Event, at int64, total *bucket) bool {
	if !s.merging() {
		if s.take(at, streamBurst, streamRefill) && total.take(at, totalBurst, totalRefill) {
			return true
		}
		s.merge = new(merge)
		s.begin(at)
	}
	if s.count == 0 {
		s.began = e.Time.Add(-e.Span)
	}
	s.last, s.ended, s.latest = at, e.Time, *e
	s.count += max(e.Count, 1)
	s.flaps += e.Flaps
	s.kinds.add(e.Kind)
	return false
}

// begin starts a period without changes.
func (s *merge) begin(at int64) {
	s.from, s.last, s.count, s.flaps, s.kinds = at, at, 0, 0, tally{}
}

// due returns when the merged event of a merging stream must be recorded if there is no further
// change.
func (s *stream) due() int64 {
	end := s.from + int64(mergePeriods[s.level])
	quiet := s.last + int64(quietAfter)
	if lack := s.used + 1 - streamBurst; lack > 0 { // no token yet
		quiet = max(quiet, s.at+int64(lack*float64(streamRefill)))
	}
	if s.count > 0 {
		quiet = min(quiet, end)
	}
	return max(quiet, s.hold)
}

// close ends the current merging period of a merging stream at time now and returns the merged event. It returns false
// if the period had no changes or the limit for all streams has been reached.
func (s *stream) close(now int64, total *bucket) (Event, bool) {
	some := s.count > 0
	if some && !total.take(now, totalBurst, totalRefill) {
		s.hold = now + int64(holdFor)
		return Event{}, false
	}
	quiet := now-s.last >= int64(quietAfter)
	s.refill(now, streamRefill)
	e := s.merged()
	if quiet && (!some || s.used+1 <= streamBurst+rounding) {
		if some {
			s.used++
		}
		s.merge = nil
		return e, some
	}
	s.level = min(s.level+1, len(mergePeriods)-1)
	s.begin(now)
	return e, some
}

// rounding compensates for errors in adding fractions of tokens.
const rounding = 1e-6

// merged returns one event that represents all changes in the current merging period.
func (s *merge) merged() Event {
	e := s.latest
	if s.count <= 1 {
		return e
	}
	e.Time, e.Span = s.ended, max(0, s.ended.Sub(s.began))
	e.Count, e.Flaps, e.After = s.count, s.flaps, 0
	if e.Port == "" {
		return e
	}
	e.Kind, e.Old, e.New = Merged, "", ""
	if s.flaps > 0 {
		e.Kind = Flapping
	}
	if also := s.kinds.reason(); also != "" {
		e.Reason = also
	}
	return e
}
