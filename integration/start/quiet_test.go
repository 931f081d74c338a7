package start

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestQuietRestart restarts the process alone on a switch where nothing happens and
// nothing has to be written: a while after that, longer than max_stall_seconds, it
// is as healthy as before, has no backlog, and the watchdog is fed.
func TestQuietRestart(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	const stall = time.Second
	conf := c.Config(fmt.Sprintf("[health]\nmax_stall_seconds = %d\n", int(stall/time.Second)))
	c.BringUp(3).DiesBy(syscall.SIGTERM, "before the restart")
	d := c.Start(switchtest.Launch{Args: []string{"-c", conf}})
	d.AwaitReady()
	c.Pop() // a start hands the configuration over, whoever had it before
	c.Truthful(d)
	rows := c.WatchRows()
	fed := d.States.Len()
	time.Sleep(stall + 2*switchtest.FeedEvery) // the quiet time itself
	if touched := c.UntilNow(rows); len(touched) > 0 {
		t.Errorf("rows are written: %v", touched)
	}
	if wrong := c.Untrue(switchtest.NewSite(t, switchtest.HttpAddress), d, c.WantedReport()); wrong != "" {
		t.Errorf("after %v in which nothing happened: %s", stall+2*switchtest.FeedEvery, wrong)
	}
	states, _ := d.States.From(fed)
	signs := 0
	for _, s := range states {
		signs += switchtest.Bit(s == "WATCHDOG=1")
	}
	if signs < 2 {
		t.Errorf("%d signs of life, one is due each %v", signs, switchtest.FeedEvery)
	}
	c.Fed(d)
}
