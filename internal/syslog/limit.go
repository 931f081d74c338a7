package syslog

import (
	"hash/maphash"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"
)

// summaryInterval is the minimum time between non-zero results of Budget.Missed.
const summaryInterval = time.Second

// Limiter limits the log lines of a repeated fault. It allows the first line at once, then at most
// one in each interval Every, with the number of occurrences in between. The zero value with Every
// set is ready to use. It must be used by one goroutine only.
//
//	if ok, missed := l.Allow(now); ok {
//		log.Error("cannot write to Redis", "error", err, "repeated", missed)
//	}
type Limiter struct {
	Every time.Duration

	next   time.Time // earliest time of the next line
	missed uint64    // occurrences since the last line
}

// Allow reports whether a fault that occurred at time now must be logged. missed is the number of
// occurrences since the last line that were not logged.
func (l *Limiter) Allow(now time.Time) (log bool, missed uint64) {
	if now.Before(l.next) {
		l.missed++
		return false, 0
	}
	return true, l.take(now)
}

// Missed returns the number of occurrences since the last line that were not logged, or 0 before
// Every has passed. By calling Missed regularly, callers can also log the end of a series.
func (l *Limiter) Missed(now time.Time) uint64 {
	if l.missed == 0 || now.Before(l.next) {
		return 0
	}
	return l.take(now)
}

// take starts the next interval of the limiter. It returns the number of occurrences that were not
// logged in the previous interval.
func (l *Limiter) take(now time.Time) uint64 {
	missed := l.missed
	l.missed, l.next = 0, now.Add(l.Every)
	return missed
}

// maxKeys is the maximum number of keys in Limiters.
const maxKeys = 64

// Limiters is a set of Limiters, one per key, so that one fault does not suppress the lines of
// another. When there are 64 keys, a new key replaces keys whose interval has passed. If there are
// none, the new key shares one Limiter with all further keys. The zero value with Every set is
// ready to use. It must be used by one goroutine only.
type Limiters struct {
	Every time.Duration

	keys   map[string]*Limiter
	shared Limiter
}

// Allow calls Limiter.Allow for a key.
func (l *Limiters) Allow(key string, now time.Time) (log bool, missed uint64) {
	one := l.keys[key]
	if one == nil {
		one = l.add(key, now)
	}
	return one.Allow(now)
}

// add returns a new Limiter for a key. If there are too many keys, it returns the shared Limiter.
func (l *Limiters) add(key string, now time.Time) *Limiter {
	if l.keys == nil {
		l.keys = make(map[string]*Limiter)
		l.shared.Every = l.Every
	}
	if len(l.keys) == maxKeys {
		maps.DeleteFunc(l.keys, func(_ string, old *Limiter) bool { return !now.Before(old.next) })
	}
	if len(l.keys) == maxKeys {
		return &l.shared
	}
	one := &Limiter{Every: l.Every}
	l.keys[key] = one
	return one
}

// Budget limits the rate of log lines that are caused from outside, such as one line for each link
// message. It is a token bucket with Burst lines, refilled with PerSecond lines a second. rsyslog
// in SONiC's containers drops all lines of a process beyond 20,000 in 300 s, including errors
// (sonic-buildimage rsyslog-container.conf.j2), so the total in 300 s must be well below that. A
// Budget must be used by one goroutine only.
//
//	if budget.Allow(now, syslog.LevelNotice) {
//		log.Log(ctx, syslog.LevelNotice, "link message", "port", name)
//	}
//	...
//	if n := budget.Missed(now); n > 0 { // in each iteration of the event loop
//		log.Log(ctx, syslog.LevelNotice, "suppressed log lines about link messages", "count", n)
//	}
type Budget struct {
	Burst     int // lines, at least 1
	PerSecond int // lines, at least 1

	full     time.Time // time at which the bucket is full; determines the tokens
	missed   uint64
	reported time.Time
}

// Allow reports whether a line may be logged now and deducts the line from the budget. Lines at
// LevelError and above are always allowed and are not deducted, so that a flood of notices does not
// suppress errors.
func (b *Budget) Allow(now time.Time, level slog.Level) bool {
	if level >= LevelError {
		return true
	}
	if b.full.Before(now) {
		b.full = now
	}
	// A line postpones the time at which the bucket is full by the time needed for one token. The
	// line is allowed if the bucket would be full within the time needed for Burst tokens.
	cost := b.cost()
	full := b.full.Add(cost)
	if full.Sub(now) > time.Duration(b.Burst)*cost {
		b.missed++
		return false
	}
	b.full = full
	return true
}

// Missed returns the number of lines that were not allowed since its last non-zero result. It
// returns 0 if the last non-zero result was less than a second ago.
func (b *Budget) Missed(now time.Time) uint64 {
	if b.missed == 0 || now.Sub(b.reported) < summaryInterval {
		return 0
	}
	missed := b.missed
	b.missed, b.reported = 0, now
	return missed
}

// cost returns the time it takes to add one token to the bucket.
func (b *Budget) cost() time.Duration {
	return time.Second / time.Duration(max(b.PerSecond, 1))
}

// LinesPerSecond is the maximum number of lines with the same message that a Handler writes per
// second. It limits lines with an external cause, for example a program that repeatedly writes an
// invalid value to a database. The next line with the message contains the number of suppressed
// lines.
const LinesPerSecond = 10

// rates counts lines by component and message in the current second. Messages with the same hash
// share a counter.
type rates struct {
	limit uint64 // lines per second
	seed  maphash.Seed
	slots [256]atomic.Uint64 // second << 32 | lines in that second, including suppressed ones
}

// allow reports whether a line may be written. suppressed is the number of lines suppressed before
// it.
func (r *rates) allow(component, message string, now time.Time) (ok bool, suppressed uint64) {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteString(component)
	h.WriteString(message)
	slot := &r.slots[h.Sum64()%uint64(len(r.slots))]
	second := uint64(uint32(now.Unix()))
	for {
		old := slot.Load()
		if old>>32 == second {
			if slot.CompareAndSwap(old, old+1) {
				return old&(1<<32-1) < r.limit, 0
			}
		} else if slot.CompareAndSwap(old, second<<32|1) {
			lines := old & (1<<32 - 1)
			return true, lines - min(lines, r.limit)
		}
	}
}
