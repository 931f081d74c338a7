package process

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestSyslog checks the form and the severity of log lines (docs/PROTOCOL.md section 10).
func TestSyslog(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.BringUp(1)
	r.Stop()
	sw.CloseConns()
	const notice, failure = 5, 3
	for _, want := range []struct {
		severity int
		text     string
	}{
		{notice, ":- onMsg: Publish Ethernet0(ok:up) to state db"},
		{notice, ":- loop: wrote PortConfigDone"},
		{failure, ":- loop: Redis connection lost"},
	} {
		line := sw.AwaitLog(0, switchtest.Timeout, want.text)
		const user = 1 // the facility, RFC 3164 section 4.1.1
		if line.Priority != user*8+want.severity {
			t.Errorf("priority %d, want %d: %s", line.Priority, user*8+want.severity, line)
		}
		if line.Tag != "portsyncd" {
			t.Errorf("tag %q, want portsyncd without a process id", line.Tag)
		}
	}
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if l.Priority < 0 || !lineForm.MatchString(l.Text) {
			t.Errorf("not the format of RFC 3164 and SONiC: %q", l.Text)
		}
	}
}

// lineForm matches each log line.
var lineForm = regexp.MustCompile(`^:- [A-Za-z]+: [^ ]`)

// TestLoggerRow changes level and output in CONFIG_DB's LOGGER row while the daemon runs. Both
// must take effect within a second (docs/PROTOCOL.md section 10).
func TestLoggerRow(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(1)
	const row = "LOGGER|portsyncd"
	mtu := 1300
	// change makes the daemon log a line at NOTICE for a port, and one at DEBUG for
	// its peer.
	change := func() {
		t.Helper()
		mtu++
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PeerName(switchtest.PortName(0)), mtu))
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), mtu))
		sw.AwaitRecovery(fmt.Sprint("mtu ", mtu))
	}
	// comes makes changes until the text that where returns contains a word.
	comes := func(where func() string, text string) {
		t.Helper()
		switchtest.Eventually(t, switchtest.SyncTimeout+switchtest.SyncTimeout/2, func() string {
			change()
			if !strings.Contains(where(), text) {
				return "no line with " + text
			}
			return ""
		})
	}
	syslogSince := func(n int) func() string {
		return func() string {
			lines, _ := sw.Logs.From(n)
			return fmt.Sprint(lines)
		}
	}
	const published, ignored = "Publish Ethernet0(ok:up) to state db", "link message ignored"

	if change(); strings.Contains(syslogSince(0)(), ignored) {
		t.Error("DEBUG lines at NOTICE")
	}
	sw.Do("CONFIG_DB", "HSET", row, "LOGLEVEL", "DEBUG")
	comes(syslogSince(0), ignored)

	sw.Do("CONFIG_DB", "HSET", row, "LOGLEVEL", "ERROR")
	switchtest.Eventually(t, switchtest.SyncTimeout+switchtest.SyncTimeout/2, func() string {
		n := sw.Logs.Len()
		if change(); sw.Logs.Len() > n {
			return "still lines: " + syslogSince(n)()
		}
		return ""
	})

	sw.Do("CONFIG_DB", "HSET", row, "LOGLEVEL", "NOTICE", "LOGOUTPUT", "STDOUT")
	comes(d.Stdout.String, published)
	sw.Do("CONFIG_DB", "HSET", row, "LOGOUTPUT", "STDERR")
	comes(d.Stderr.String, published)

	n := sw.Logs.Len()
	sw.Do("CONFIG_DB", "HSET", row, "LOGLEVEL", "LOUD", "LOGOUTPUT", "PAPER")
	comes(syslogSince(n), published)
	if got := switchtest.RowText(sw.Row("CONFIG_DB", row)); got != `{"LOGLEVEL":"LOUD","LOGOUTPUT":"PAPER"}` {
		t.Errorf("the row was corrected: %s", got)
	}
	for _, word := range []string{"LOUD", "PAPER"} {
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if all := d.Stderr.String() + syslogSince(n)(); !strings.Contains(all, word) {
				return "no log line about " + word
			}
			return ""
		})
	}
}

// TestStuckSyslog has a /dev/log that no process reads. Its queue fills up, and the daemon must
// still synchronize ports.
func TestStuckSyslog(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.NoError("remove /dev/log", os.Remove("/dev/log"))
	stuck, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	sw.NoError("listen", err)
	defer stuck.Close()
	d := sw.BringUp(switchtest.ManyPorts)
	for i := range 50 {
		for n := range switchtest.ManyPorts {
			sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(n), 1300+i))
		}
	}
	sw.AwaitRecovery("stuck syslog")
	sw.CheckAfterFault(d)
}
