package switchtest

import (
	"strings"
	"sync"
)

// tail ends the turn of this package before its last tests, which often wait for a minute, end. All
// methods may be called concurrently.
type tail struct {
	mu         sync.Mutex
	release    func() // ends the turn; nil before the turn and after it
	atMost     int    // the number of unfinished tests with which the turn ends
	unfinished int    // registered tests that have not ended
	complete   bool   // whether all top-level tests are registered
}

// remaining counts the tests of this process.
var remaining tail

// begin sets what ends the turn: release is called once, when a test ends and at most atMost tests
// are unfinished.
func (r *tail) begin(release func(), atMost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release, r.atMost = release, atMost
}

// parallel registers the test and makes it parallel.
func (r *tail) parallel(t T) {
	r.mu.Lock()
	r.unfinished++
	r.mu.Unlock()
	t.Cleanup(r.finished)
	t.Parallel()
	// Parallel returns in a top-level test when all other top-level tests have called it or have
	// ended.
	if !strings.Contains(t.Name(), "/") {
		r.mu.Lock()
		r.complete = true
		r.mu.Unlock()
	}
}

func (r *tail) finished() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unfinished--
	if r.release != nil && r.complete && r.unfinished <= r.atMost {
		r.release()
		r.release = nil
	}
}
