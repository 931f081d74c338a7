//go:build !race

package switchtest

const (
	RaceEnabled = false // whether the tests run under the race detector
	RaceFactor  = 1     // how much slower that makes the daemon
)
