package portsync

import (
	"testing"
	"time"
)

// TestBackoff: pauses double from min to max, each less a random part of up to a
// quarter, and begin anew after a success.
func TestBackoff(t *testing.T) {
	b := backoff{min: 100 * time.Millisecond, max: time.Second}
	pauses := []time.Duration{100, 200, 400, 800, 1000, 1000}
	for round := range 100 {
		for i, want := range pauses {
			want *= time.Millisecond
			if got := b.next(); got > want || got < want*3/4 {
				t.Fatalf("round %d, pause %d: %v, want %v less up to a quarter", round, i+1, got, want)
			}
		}
		b.reset()
	}
	seen := make(map[time.Duration]bool)
	for range 20 {
		seen[b.next()] = true
		b.reset()
	}
	if len(seen) < 2 {
		t.Errorf("20 first pauses are all %v", seen)
	}
}
