package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shrink returns a part of events, in order, that still fails and fails no longer without any one
// of its events, unless tries is too small for that. It is delta debugging: Zeller and
// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on Software
// Engineering 28 (2002), algorithm ddmin, with complements only.
func shrink[E any](events []E, fails func([]E) bool, tries int) []E {
	for parts := 2; len(events) > 1 && parts <= len(events); {
		smaller := false
		size := (len(events) + parts - 1) / parts
		for from := 0; from < len(events); from += size {
			if tries--; tries < 0 {
				return events
			}
			rest := slices.Concat(events[:from], events[min(from+size, len(events)):])
			if fails(rest) {
				events, smaller = rest, true
				break
			}
		}
		switch {
		case smaller:
			parts = max(parts-1, 2)
		case parts == len(events):
			return events
		default:
			parts = min(2*parts, len(events))
		}
	}
	return events
}

// spell returns events as Go for modelFound.
func spell(events []modelEvent) string {
	var b strings.Builder
	b.WriteString("[]modelEvent{")
	for i, e := range events {
		if i%5 == 0 {
			b.WriteString("\n\t")
		}
		fmt.Fprintf(&b, "%v, ", e)
	}
	return strings.ReplaceAll(b.String(), ", \n", ",\n") + "\n}"
}

// TestShrink checks that only the events that the failure needs are left.
func TestShrink(t *testing.T) {
	var all []int
	for i := range 40 {
		all = append(all, i)
	}
	for _, need := range [][]int{{}, {0}, {39}, {3, 4}, {0, 17, 39}, {1, 2, 3, 5, 8, 13, 21, 34}} {
		tried := 0
		fails := func(some []int) bool {
			tried++
			for _, n := range need {
				if !slices.Contains(some, n) {
					return false
				}
			}
			return true
		}
		got := shrink(all, fails, 1000)
		want := max(len(need), 1) // an empty sequence cannot fail
		if len(got) != want || len(need) > 0 && !slices.Equal(got, need) {
			t.Errorf("shrunk to %v after %d tries, want %v", got, tried, need)
		}
		if got := shrink(all, fails, 3); !fails(got) {
			t.Errorf("after 3 tries %v is left, which does not fail", got)
		}
	}
}
