package journal

import (
	"strconv"
	"time"
)

// Limits of the events of one stream, which is one port or one kind of daemon event. They bound the
// journal during a storm: a stream has streamBurst events at once and then one each streamRefill.
// When it has used them up, its changes are merged into one event, which is recorded when the
// stream has been quiet for quietAfter, or else after the periods of mergePeriods, the last of
// which repeats.
const (
	streamBurst  = 20
	streamRefill = 30 * time.Second
	quietAfter   = 10 * time.Second
)

var mergePeriods = [...]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}

// Limits of all streams together.
const (
	totalBurst  = 20_000
	totalRefill = 200 * time.Millisecond
)

// holdFor is how long a merged event waits when all streams together have used up their events.
const holdFor = 5 * time.Second

// bucket is a token bucket. The zero value is full.
type bucket struct {
	used float64 // tokens
	at   int64   // when used was true
}

// refill brings the bucket up to now.
func (b *bucket) refill(now int64, every time.Duration) {
	if now > b.at {
		b.used = max(0, b.used-float64(now-b.at)/float64(every))
		b.at = now
	}
}

// take takes one token, if there is one.
func (b *bucket) take(now int64, size int, every time.Duration) bool {
	b.refill(now, every)
	if b.used+1 > float64(size) {
		return false
	}
	b.used++
	return true
}

// stream is what is known of the recent events of one port or one kind of daemon event.
type stream struct {
	bucket
	merging bool
	level   int    // index of mergePeriods
	hold    int64  // not before this is a merged event recorded
	from    int64  // when the period began
	last    int64  // when the last change came; the period has none if count is 0
	count   uint64 // changes in this period
	flaps   uint64
	began   time.Time // of the first change in this period
	ended   time.Time // of the last one
	latest  Event     // of the last one
	kinds   tally     // changes by kind
}

// tally counts the changes of a merged event other than those of the link.
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

// reason describes the tally in words, "" if it is empty.
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

// offer takes an event at a reading of the loop's clock. It returns true if the event is to be
// recorded by itself, and otherwise merges it.
func (s *stream) offer(e *Event, at int64, total *bucket) bool {
	if !s.merging {
		if s.take(at, streamBurst, streamRefill) && total.take(at, totalBurst, totalRefill) {
			return true
		}
		s.merging, s.level = true, 0
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

// begin begins a period without changes.
func (s *stream) begin(at int64) {
	s.from, s.last, s.count, s.flaps, s.kinds = at, at, 0, 0, tally{}
}

// due returns when the merged event is to be recorded, if no other change comes.
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

// close ends a period at now. It returns the merged event, and false if there is none to record:
// the period had no change, or all streams together have used up their events.
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
		s.merging = false
		return e, some
	}
	s.level = min(s.level+1, len(mergePeriods)-1)
	s.begin(now)
	return e, some
}

// rounding allows for the error of adding up fractions of tokens.
const rounding = 1e-6

// merged returns the event that stands for all changes of the period.
func (s *stream) merged() Event {
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
