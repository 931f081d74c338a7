package start

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestIdleRestart restarts the daemon on a switch where nothing changes and nothing has to be
// written. After longer than max_stall_seconds it must still be healthy, have no backlog, and
// notify the watchdog.
func TestIdleRestart(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const stall = time.Second
	conf := sw.WriteConfig(fmt.Sprintf("[health]\nmax_stall_seconds = %d\n", int(stall/time.Second)))
	sw.BringUp(3).EndBySignal(syscall.SIGTERM, "before the restart")
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	d.AwaitReady()
	sw.PopPortTable() // each start produces the configuration
	sw.CheckSelfReport(d)
	rows := sw.WatchRowEvents()
	fed := d.Notifications.Len()
	time.Sleep(stall + 2*switchtest.WatchdogInterval) // the quiet time itself
	if touched := sw.RowEventsSoFar(rows); len(touched) > 0 {
		t.Errorf("rows are written: %v", touched)
	}
	if a := switchtest.NewClient(t, switchtest.HTTPAddress).Request("GET", "/healthz"); a.Body != "healthy\nscore 100 of 100\n" {
		t.Errorf("after an idle time of %v, /healthz says %q", stall+2*switchtest.WatchdogInterval, a.Body)
	}
	sw.CheckSelfReport(d)
	switchtest.Eventually(t, 4*switchtest.WatchdogInterval, func() string {
		states, _ := d.Notifications.From(fed)
		signs := 0
		for _, s := range states {
			signs += switchtest.BoolToInt(s == "WATCHDOG=1")
		}
		if signs < 3 {
			return fmt.Sprintf("%d watchdog notifications, want one each %v", signs, switchtest.WatchdogInterval)
		}
		return ""
	})
}
