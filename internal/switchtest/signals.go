package switchtest

import (
	"os"
	"syscall"
	"time"
)

// EndsWithin is how soon the daemon is to die of the signal that asks it to.
const ExitTimeout = 5 * time.Second

// DiesBy sends a signal and looks that the daemon dies of it in time.
func (d *Daemon) EndBySignal(sig syscall.Signal, when string) (took time.Duration) {
	d.t.Helper()
	begin := time.Now()
	d.Signal(sig)
	status := d.Wait(ExitTimeout)
	if !status.Signaled() || status.Signal() != sig {
		d.t.Errorf("%s: wait status %#x, want the end by %v", when, int(status), sig)
	}
	return time.Since(begin)
}

// Thorough reports whether a test takes its time: in the one run of CI that skips
// nothing.
func LongRun() bool {
	return os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" && !RaceEnabled
}
