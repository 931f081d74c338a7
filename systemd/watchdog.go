package systemd

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"time"
)

// WatchdogInterval returns the service manager's watchdog timeout (WatchdogSec= in the unit), or 0
// if the watchdog is disabled. The service must send Watchdog at least once per interval; twice is
// recommended. WatchdogInterval removes WATCHDOG_USEC and WATCHDOG_PID from the environment. The
// watchdog is disabled if WATCHDOG_PID is not this process (sd_watchdog_enabled(3)).
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
		return 0, fmt.Errorf("invalid WATCHDOG_USEC %q: must be 1 to %d microseconds", usec, limit)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// isOurPID reports whether value is the ID of this process. It returns false for "". name is the
// name of the variable, for use in errors.
func isOurPID(name, value string) (bool, error) {
	if value == "" {
		return false, nil
	}
	pid, err := strconv.ParseInt(value, 10, 32)
	if err != nil || pid <= 0 {
		return false, fmt.Errorf("invalid %s %q: must be a process ID", name, value)
	}
	return int(pid) == os.Getpid(), nil
}
