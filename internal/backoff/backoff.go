// Package backoff computes the pauses between the attempts of a task that fails.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff is a pause that doubles from Min to Max with each failure. It is for one
// goroutine. The zero pause state is that before the first failure; a copy of an
// unused Backoff is another one.
type Backoff struct {
	Min, Max time.Duration

	pause time.Duration
}

// Next returns the pause before the next attempt. Up to a quarter of it is taken off
// at random, so that daemons that lost the same server do not return in step.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, b.Min), b.Max)
	if quarter := b.pause / 4; quarter > 0 {
		return b.pause - rand.N(quarter)
	}
	return b.pause
}

// Reset makes the next pause Min. It is called after a success.
func (b *Backoff) Reset() { b.pause = 0 }
