package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestQuietRestart restarts the process alone on a switch where nothing happens and
// nothing has to be written: a while after that, longer than max_stall_seconds, it
// is as healthy as before, has no backlog, and the watchdog is fed.
func TestQuietRestart(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const stall = time.Second
	conf := c.config(fmt.Sprintf("[health]\nmax_stall_seconds = %d\n", int(stall/time.Second)))
	c.bringUp(3).diesBy(syscall.SIGTERM, "before the restart")
	d := c.start(launch{args: []string{"-c", conf}})
	d.awaitReady()
	c.pop() // a start hands the configuration over, whoever had it before
	c.truthful(d)
	rows := c.watchRows()
	fed := d.states.len()
	time.Sleep(stall + 2*feedEvery) // the quiet time itself
	if touched := c.untilNow(rows); len(touched) > 0 {
		t.Errorf("rows are written: %v", touched)
	}
	if wrong := c.untrue(newSite(t, httpAddress), d, c.wantedReport()); wrong != "" {
		t.Errorf("after %v in which nothing happened: %s", stall+2*feedEvery, wrong)
	}
	states, _ := d.states.from(fed)
	signs := 0
	for _, s := range states {
		signs += bit(s == "WATCHDOG=1")
	}
	if signs < 2 {
		t.Errorf("%d signs of life, one is due each %v", signs, feedEvery)
	}
	c.fed(d)
}
