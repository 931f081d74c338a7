package switchtest

import (
	"time"
)

// Patience is how long a test waits for what has no limit of its own.
const Timeout = 10 * time.Second

// Eventually looks again and again until check returns "", and returns how long
// that took; the test fails with its last answer if it takes longer than limit.
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

// Throughout fails the test if check returns anything but "" for a while.
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
