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
	c.OnChange = func() { troubled <- struct{}{} }
	begun := time.Now()
	p := open(t, c) // which owes the metrics, since there are none
	p.fs.fail(unix.ENOSPC)
	p.run()
	defer func() { p.stop() }()
	<-troubled
	p.RecordPorts(somePorts(9100))
	<-troubled
	check := func(after time.Duration, want string) {
		t.Helper()
		what, since, overdue := p.Overdue(begun.Add(after))
		if what != want || overdue != (want != "") {
			t.Errorf("after %v overdue: %v, %q, want %q", after, overdue, what, want)
		}
		if overdue && (since.Before(begun) || since.After(time.Now())) {
			t.Errorf("after %v owed since %v, want since %v", after, since, begun)
		}
	}
	check(overduePorts-time.Second, "")
	check(overduePorts+time.Minute, "the state file")
	check(24*time.Hour, "the metrics")
	p.fs.fail(0)
	<-troubled
	<-troubled // both are written
	check(24*time.Hour, "")
	if n := testing.AllocsPerRun(100, func() { p.Overdue(begun) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
