//go:build race

package syslog

// raceEnabled is true with the race detector, which moves the buffers of system calls in x/sys to
// the heap, so that the number of allocations differs from a normal build.
const raceEnabled = true
