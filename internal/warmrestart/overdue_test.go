package warmrestart

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOverdue: what a full disk keeps from being written is overdue after a
// while, the longest owed first, and no more once it is written.
func TestOverdue(t *testing.T) {
	c := config(t.TempDir())
	troubled := make(chan struct{}, 100)
	c.Troubled = func() { troubled <- struct{}{} }
	begun := time.Now()
	l := open(t, c) // which owes the metrics, since there are none
	l.fs.fail(unix.ENOSPC)
	l.run()
	defer func() { l.stop() }()
	<-troubled
	l.PortsChanged(somePorts(9100))
	<-troubled
	check := func(after time.Duration, want string) {
		t.Helper()
		what, since, overdue := l.Overdue(begun.Add(after))
		if what != want || overdue != (want != "") {
			t.Errorf("after %v overdue: %v, %q, want %q", after, overdue, what, want)
		}
		if overdue && (since.Before(begun) || since.After(time.Now())) {
			t.Errorf("after %v owed since %v, want since %v", after, since, begun)
		}
	}
	check(latePorts-time.Second, "")
	check(latePorts+time.Minute, "the state file")
	check(24*time.Hour, "the metrics")
	l.fs.fail(0)
	<-troubled
	<-troubled // both are written
	check(24*time.Hour, "")
	if n := testing.AllocsPerRun(100, func() { l.Overdue(begun) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
