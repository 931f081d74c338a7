//go:build !race

package main

const (
	raceEnabled = false // whether the tests run under the race detector
	raceFactor  = 1     // how much slower that makes the daemon
)
