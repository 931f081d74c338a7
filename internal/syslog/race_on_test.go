//go:build race

package syslog

// raceEnabled: under the race detector x/sys reports the buffers of its system calls to the detector's run time,
// and for that they have to be on the heap. Counting allocations then says nothing about the real build.
const raceEnabled = true
