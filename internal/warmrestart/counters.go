package warmrestart

import (
	"encoding/json"
	"hash/crc32"
	"math"
)

// Counters are those of the specification, and what tells how far to trust them; each
// only grows, over all restarts.
type Counters struct {
	WarmRestarts    uint64 `json:"warm_restarts"`
	ColdStarts      uint64 `json:"cold_starts"`
	EOIUDetected    uint64 `json:"eoiu_detected"`
	EOIUTimeouts    uint64 `json:"eoiu_timeouts"`
	StateRecoveries uint64 `json:"state_recoveries"` // files that a backup stood in for, damaged or missing
	// CorruptionsDetected counts damaged files, CorruptionsRecovered those of them that
	// a good backup was found for.
	CorruptionsDetected  uint64 `json:"corruptions_detected"`
	CorruptionsRecovered uint64 `json:"corruptions_recovered"`
	// Losses counts the starts of the daemon that found the newest counters, records or
	// histogram damaged in all places, and went on with older ones or none.
	Losses uint64 `json:"losses"`
}

// all returns each counter.
func (c *Counters) all() []*uint64 {
	return []*uint64{&c.WarmRestarts, &c.ColdStarts, &c.EOIUDetected, &c.EOIUTimeouts,
		&c.StateRecoveries, &c.CorruptionsDetected, &c.CorruptionsRecovered, &c.Losses}
}

// grow adds n to a counter, which stays at its largest value rather than wrap.
func grow(counter *uint64, n uint64) { *counter += min(n, math.MaxUint64-*counter) }

// add adds each counter of o.
func (c *Counters) add(o Counters) {
	from := o.all()
	for i, counter := range c.all() {
		grow(counter, *from[i])
	}
}

// raise brings each counter up to that of o, and reports whether any was lower.
func (c *Counters) raise(o Counters) (lower bool) {
	from := o.all()
	for i, counter := range c.all() {
		lower = lower || *counter < *from[i]
		*counter = max(*counter, *from[i])
	}
	return lower
}

// starts returns how many starts were counted.
func (c *Counters) starts() uint64 {
	n := c.WarmRestarts
	grow(&n, c.ColdStarts)
	return n
}

// Checksum tells counters in a line of the history that were damaged from others.
func (c Counters) Checksum() uint32 {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers always have a form
	}
	return crc32.ChecksumIEEE(text)
}
