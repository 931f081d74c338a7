package backoff_test

import (
	"testing"
	"time"

	"portsyncd/internal/backoff"
)

// TestNext checks that pauses double from Min to Max, each less up to a quarter, and
// start at Min again after Reset.
func TestNext(t *testing.T) {
	b := backoff.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	pauses := []time.Duration{100, 200, 400, 800, 1000, 1000}
	for round := range 100 {
		for i, want := range pauses {
			want *= time.Millisecond
			if got := b.Next(); got > want || got < want*3/4 {
				t.Fatalf("round %d, pause %d: %v, want %v less up to a quarter", round, i+1, got, want)
			}
		}
		b.Reset()
	}
}

// TestNextIsRandom checks that first pauses differ.
func TestNextIsRandom(t *testing.T) {
	b := backoff.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	seen := make(map[time.Duration]bool)
	for range 20 {
		seen[b.Next()] = true
		b.Reset()
	}
	if len(seen) < 2 {
		t.Errorf("20 first pauses are all %v", seen)
	}
}

// TestNextOfNothing checks that a Backoff without bounds does not pause.
func TestNextOfNothing(t *testing.T) {
	var b backoff.Backoff
	if got := b.Next(); got != 0 {
		t.Errorf("pause %v, want 0", got)
	}
}
