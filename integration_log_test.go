package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSyslog holds the form and the severity of lines (PROTOCOL.md section 10).
func TestSyslog(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	c.bringUp(1)
	r.kill()
	c.hangUp()
	const notice, failure = 5, 3
	for _, want := range []struct {
		severity int
		text     string
	}{
		{notice, ":- onMsg: Publish Ethernet0(ok:up) to state db"},
		{notice, ":- loop: wrote PortConfigDone"},
		{failure, ":- loop: Redis connection lost"},
	} {
		line := c.awaitLog(0, patience, want.text)
		const user = 1 // the facility, RFC 3164 section 4.1.1
		if line.pri != user*8+want.severity {
			t.Errorf("priority %d, want %d: %s", line.pri, user*8+want.severity, line)
		}
		if line.tag != "portsyncd" {
			t.Errorf("tag %q, want portsyncd without a process id", line.tag)
		}
	}
	lines, _ := c.logs.from(0)
	for _, l := range lines {
		if l.pri < 0 || !ourForm.MatchString(l.text) {
			t.Errorf("not in the form of RFC 3164 and of SONiC: %q", l.text)
		}
	}
}

// ourForm is that of each line.
var ourForm = regexp.MustCompile(`^:- [A-Za-z]+: [^ ]`)

// TestLoggerRow changes level and output in CONFIG_DB while the daemon runs
// (PROTOCOL.md section 10): both take effect within a second.
func TestLoggerRow(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(1)
	const row = "LOGGER|portsyncd"
	mtu := 1300
	// change makes the daemon write a line at NOTICE, and one at DEBUG for the
	// peer, whose name does not matter.
	change := func() {
		t.Helper()
		mtu++
		c.must("set MTU", c.links.SetMTU(peerName(portName(0)), mtu))
		c.must("set MTU", c.links.SetMTU(portName(0), mtu))
		c.recovered(fmt.Sprint("mtu ", mtu))
	}
	// comes makes changes until what where returns has a text.
	comes := func(where func() string, text string) {
		t.Helper()
		eventually(t, inStepWithin+inStepWithin/2, func() string {
			change()
			if !strings.Contains(where(), text) {
				return "no line with " + text
			}
			return ""
		})
	}
	syslogSince := func(n int) func() string {
		return func() string {
			lines, _ := c.logs.from(n)
			return fmt.Sprint(lines)
		}
	}
	const published, ignored = "Publish Ethernet0(ok:up) to state db", "link message ignored"

	if change(); strings.Contains(syslogSince(0)(), ignored) {
		t.Error("DEBUG lines at NOTICE")
	}
	c.do("CONFIG_DB", "HSET", row, "LOGLEVEL", "DEBUG")
	comes(syslogSince(0), ignored)

	c.do("CONFIG_DB", "HSET", row, "LOGLEVEL", "ERROR")
	eventually(t, inStepWithin+inStepWithin/2, func() string {
		n := c.logs.len()
		if change(); c.logs.len() > n {
			return "still lines: " + syslogSince(n)()
		}
		return ""
	})

	c.do("CONFIG_DB", "HSET", row, "LOGLEVEL", "NOTICE", "LOGOUTPUT", "STDOUT")
	comes(d.stdout.String, published)
	c.do("CONFIG_DB", "HSET", row, "LOGOUTPUT", "STDERR")
	comes(d.stderr.String, published)

	n := c.logs.len()
	c.do("CONFIG_DB", "HSET", row, "LOGLEVEL", "LOUD", "LOGOUTPUT", "PAPER")
	comes(syslogSince(n), published)
	if got := contentOf(c.row("CONFIG_DB", row)); got != `{"LOGLEVEL":"LOUD","LOGOUTPUT":"PAPER"}` {
		t.Errorf("the row was corrected: %s", got)
	}
	for _, word := range []string{"LOUD", "PAPER"} {
		if all := d.stderr.String() + syslogSince(n)(); !strings.Contains(all, word) {
			t.Errorf("no word about %s", word)
		}
	}
}

// TestStuckSyslog has a /dev/log that nobody reads: its queue is soon full, and
// ports are synchronised all the same.
func TestStuckSyslog(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.must("remove /dev/log", os.Remove("/dev/log"))
	stuck, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	c.must("listen", err)
	defer stuck.Close()
	d := c.bringUp(faultPorts)
	for i := range 50 {
		for n := range faultPorts {
			c.must("set MTU", c.links.SetMTU(portName(n), 1300+i))
		}
	}
	c.recovered("stuck syslog")
	c.unharmed(d)
}
