package systemd

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"time"
)

// WatchdogInterval returns how long the service may be silent before the manager takes it for dead (WatchdogSec=
// of the unit); 0 means that nobody watches. Send Watchdog at half of it or faster. WATCHDOG_USEC and WATCHDOG_PID are read
// and removed; a WATCHDOG_PID of another process means that the watch is not on us (sd_watchdog_enabled(3)).
func WatchdogInterval() (time.Duration, error) {
	usec, pid := takeEnv("WATCHDOG_USEC"), takeEnv("WATCHDOG_PID")
	if usec == "" {
		return 0, nil
	}
	ours, err := isOurPID("WATCHDOG_PID", pid)
	if err != nil {
		return 0, err
	}
	if pid != "" && !ours {
		return 0, nil
	}
	const limit = math.MaxInt64 / int64(time.Microsecond)
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > limit {
		return 0, fmt.Errorf("WATCHDOG_USEC is %q: want microseconds from 1 to %d", usec, limit)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// isOurPID tells whether value, of the variable of that name, is this process. Empty is not.
func isOurPID(name, value string) (bool, error) {
	if value == "" {
		return false, nil
	}
	pid, err := strconv.ParseInt(value, 10, 32)
	if err != nil || pid <= 0 {
		return false, fmt.Errorf("%s is %q: want a process id", name, value)
	}
	return int(pid) == os.Getpid(), nil
}
