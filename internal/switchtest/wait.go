package switchtest

import (
	"time"
)

// Timeout is the maximum time that a test waits for a condition without its own limit.
const Timeout = 10 * time.Second

// requestTimeout is the maximum time of one request of the test itself to the database or to the daemon.
// It is longer than Timeout, which a busy machine extends (Stopwatch), because it cannot be extended.
const requestTimeout = 6 * Timeout

// Eventually calls check every 2 ms until check returns "", and returns how long that took. If this
// takes longer than limit, Eventually fails the test with the last result of check.
func Eventually(t T, limit time.Duration, check func() string) time.Duration {
	t.Helper()
	watch := StartStopwatch()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		took := time.Since(watch.Begin)
		if problem == "" {
			return took
		}
		if watch.Left(limit) <= 0 {
			t.Fatalf("not within %v: %s", limit, problem)
		}
		<-tick.C
	}
}

// Consistently calls check repeatedly for the given time and fails the test if check returns
// anything but "".
func Consistently(t T, while time.Duration, check func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(while); time.Now().Before(end); <-tick.C {
		if problem := check(); problem != "" {
			t.Fatal(problem)
		}
	}
}
