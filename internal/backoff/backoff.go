// Package backoff computes the pauses between attempts of a failing task.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff is a pause that doubles with each failure, from Min to Max. It must be used by one
// goroutine. Copying an unused Backoff yields an independent one.
type Backoff struct {
	Min, Max time.Duration

	pause time.Duration
}

// Next returns the pause before the next attempt. It is shortened by a random amount of up to 25%,
// so that daemons that lost the same server do not reconnect simultaneously.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, b.Min), b.Max)
	if quarter := b.pause / 4; quarter > 0 {
		return b.pause - rand.N(quarter)
	}
	return b.pause
}

// Reset sets the next pause to Min. It must be called after a success.
func (b *Backoff) Reset() { b.pause = 0 }
