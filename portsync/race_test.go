//go:build race

package portsync

// raceEnabled: the race detector moves buffers of system calls to the heap, so
// that allocations cannot be counted.
const raceEnabled = true
