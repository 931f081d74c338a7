//go:build race

package sonicdb

// raceEnabled: with the race detector, slices.Grow allocates twice what it needs.
const raceEnabled = true
