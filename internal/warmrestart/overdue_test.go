package warmrestart

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOverdue checks that files that cannot be written become overdue, the oldest first, until they
// are written.
func TestOverdue(t *testing.T) {
	c := config(t.TempDir())
	changed := make(chan struct{}, 100)
	c.OnChange = func() { changed <- struct{}{} }
	begun := time.Now()
	p := open(t, c) // the metrics are dirty, since there is no file
	<-changed       // the files have been read
	p.fs.fail(unix.ENOSPC)
	p.run()
	defer func() { p.stop() }()
	<-changed
	p.RecordPorts(somePorts(9100))
	<-changed
	check := func(after time.Duration, want string) {
		t.Helper()
		what, since, overdue := p.Overdue(begun.Add(after))
		if what != want || overdue != (want != "") {
			t.Errorf("after %v overdue: %v, %q, want %q", after, overdue, what, want)
		}
		if overdue && (since.Before(begun) || since.After(time.Now())) {
			t.Errorf("after %v dirty since %v, want since %v", after, since, begun)
		}
	}
	check(overduePorts-time.Second, "")
	check(overduePorts+time.Minute, "the state file")
	check(24*time.Hour, "the metrics")
	p.fs.fail(0)
	<-changed
	<-changed // both are written
	check(24*time.Hour, "")
	if n := testing.AllocsPerRun(100, func() { p.Overdue(begun) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
