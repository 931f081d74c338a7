package warmrestart

import (
	"encoding/json"
	"hash/crc32"
	"math"
)

// Counters counts restarts and corrupt files across restarts. The counters never decrease.
type Counters struct {
	WarmRestarts    uint64 `json:"warm_restarts"` // warm starts
	ColdStarts      uint64 `json:"cold_starts"`
	EOIUDetected    uint64 `json:"eoiu_detected"`    // starts whose initial dump completed
	EOIUTimeouts    uint64 `json:"eoiu_timeouts"`    // starts whose initial dump timed out
	StateRecoveries uint64 `json:"state_recoveries"` // corrupt, missing or outdated files replaced by a backup
	// CorruptionsDetected counts corrupt files, and CorruptionsRecovered those of them for
	// which a good backup was found.
	CorruptionsDetected  uint64 `json:"corruptions_detected"`
	CorruptionsRecovered uint64 `json:"corruptions_recovered"`
	// Losses counts starts that found all copies of the newest counters, records or histogram
	// corrupt, and therefore used older ones or none.
	Losses uint64 `json:"losses"`
}

// all returns pointers to all counters.
func (c *Counters) all() []*uint64 {
	return []*uint64{&c.WarmRestarts, &c.ColdStarts, &c.EOIUDetected, &c.EOIUTimeouts,
		&c.StateRecoveries, &c.CorruptionsDetected, &c.CorruptionsRecovered, &c.Losses}
}

// grow adds n to a counter. Instead of overflowing, the counter stays at its maximum.
func grow(counter *uint64, n uint64) { *counter += min(n, math.MaxUint64-*counter) }

// add adds the counters of o.
func (c *Counters) add(o Counters) {
	from := o.all()
	for i, counter := range c.all() {
		grow(counter, *from[i])
	}
}

// raise sets each counter to the value in o if that is higher. It reports whether any counter was
// raised.
func (c *Counters) raise(o Counters) (lower bool) {
	from := o.all()
	for i, counter := range c.all() {
		lower = lower || *counter < *from[i]
		*counter = max(*counter, *from[i])
	}
	return lower
}

// starts returns the number of starts.
func (c *Counters) starts() uint64 {
	n := c.WarmRestarts
	grow(&n, c.ColdStarts)
	return n
}

// Checksum returns a checksum of the counters, which detects damage in a line of the history.
func (c Counters) Checksum() uint32 {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // cannot happen: numbers can always be encoded
	}
	return crc32.ChecksumIEEE(text)
}
