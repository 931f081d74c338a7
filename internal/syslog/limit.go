package syslog

import (
	"hash/maphash"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"
)

// summaryEvery is the least time between two summaries of a Budget.
const summaryEvery = time.Second

// Limiter keeps a repeating fault from repeating its line: the first one is logged at once, from then on at most one every
// Every, with the count of those in between. The zero value with Every set is ready. For one goroutine.
//
//	if ok, missed := l.Allow(now); ok {
//		log.Error("cannot write to Redis", "err", err, "repeated", missed)
//	}
type Limiter struct {
	Every time.Duration

	next   time.Time // the earliest time of the next line
	missed uint64    // since the last line
}

// Allow tells whether to log the fault that occurred now, and how many occurrences since the last line were not logged.
func (l *Limiter) Allow(now time.Time) (log bool, missed uint64) {
	if now.Before(l.next) {
		l.missed++
		return false, 0
	}
	return true, l.take(now)
}

// Missed returns how many occurrences are still unlogged, once Every has passed since the last line; else 0. A caller that
// asks now and then also gets to report the end of a series, which no later occurrence would.
func (l *Limiter) Missed(now time.Time) uint64 {
	if l.missed == 0 || now.Before(l.next) {
		return 0
	}
	return l.take(now)
}

// take starts the next wait and returns the count so far.
func (l *Limiter) take(now time.Time) uint64 {
	missed := l.missed
	l.missed, l.next = 0, now.Add(l.Every)
	return missed
}

// maxKeys limits how many keys Limiters remembers.
const maxKeys = 64

// Limiters is a Limiter for each key, so that one fault does not suppress the line of another. A key is forgotten
// once its next line is due and another key needs its place; while there are more than 64 keys that are not, the
// others share one Limiter. The zero value with Every set is ready. For one goroutine.
type Limiters struct {
	Every time.Duration

	keys   map[string]*Limiter
	shared Limiter
}

// Allow is Limiter.Allow for one key.
func (l *Limiters) Allow(key string, now time.Time) (log bool, missed uint64) {
	one := l.keys[key]
	if one == nil {
		one = l.add(key, now)
	}
	return one.Allow(now)
}

// add makes room for a key and returns its Limiter, or the shared one if there is no room.
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

// Budget bounds the rate of lines that the outside causes, such as one line per link message. It is a token bucket:
// Burst lines at once, PerSecond more each second. rsyslog in SONiC's containers drops what a process logs beyond
// 20,000 lines in 300 s, errors too (sonic-buildimage rsyslog-container.conf.j2), so the sum over 300 s has to stay
// well below that. For one goroutine.
//
//	if budget.Allow(now, syslog.LevelNotice) {
//		log.Log(ctx, syslog.LevelNotice, "link message", "port", name)
//	}
//	...
//	if n := budget.Missed(now); n > 0 { // on every turn of the loop
//		log.Log(ctx, syslog.LevelNotice, "link messages not logged", "count", n)
//	}
type Budget struct {
	Burst     int // lines, at least 1
	PerSecond int // lines, at least 1

	full     time.Time // when the bucket is full again; its tokens follow from that
	missed   uint64
	reported time.Time
}

// Allow tells whether a line may be logged now and takes it from the budget. Lines at LevelError and above are always
// allowed and cost nothing: a flood of notices must never silence an error.
func (b *Budget) Allow(now time.Time, level slog.Level) bool {
	if level >= LevelError {
		return true
	}
	if b.full.Before(now) {
		b.full = now
	}
	// A line costs the time in which the bucket earns it back. There is room for it as long as the debt, in time,
	// stays within Burst lines.
	cost := b.cost()
	full := b.full.Add(cost)
	if full.Sub(now) > time.Duration(b.Burst)*cost {
		b.missed++
		return false
	}
	b.full = full
	return true
}

// Missed returns how many lines were refused since it last said so, at most once a second; else 0.
func (b *Budget) Missed(now time.Time) uint64 {
	if b.missed == 0 || now.Sub(b.reported) < summaryEvery {
		return 0
	}
	missed := b.missed
	b.missed, b.reported = 0, now
	return missed
}

// cost is the time in which the bucket earns one line.
func (b *Budget) cost() time.Duration {
	return time.Second / time.Duration(max(b.PerSecond, 1))
}

// LinesPerSecond is how many lines with the same message a Handler writes in one second. What the outside can make the
// daemon repeat, such as a bad value written to a database in a loop, does not fill the log. The next line of that
// message says how many were suppressed.
const LinesPerSecond = 10

// rates counts lines by component and message, second by second. Messages that share a counter share its limit.
type rates struct {
	limit uint64 // lines per second
	seed  maphash.Seed
	slots [256]atomic.Uint64 // second << 32 | lines in it, suppressed ones included
}

// allow tells whether a line may be written, and how many before it were suppressed.
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
