//go:build race

package switchtest

const (
	RaceEnabled = true // whether the tests run under the race detector
	RaceFactor  = 4    // how much slower that makes the daemon
)
