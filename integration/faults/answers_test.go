package faults

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// inLength returns what changes each number in a RESP reply that follows one of
// the markers ("$" for lengths of strings, "*" for those of arrays, ":" for
// integers) as f says.
func inLength(marker string, f func(n int) string) func([]byte) []byte {
	number := regexp.MustCompile(`(?m)^[` + regexp.QuoteMeta(marker) + `]([0-9]+)\r$`)
	return func(b []byte) []byte {
		return number.ReplaceAllFunc(b, func(m []byte) []byte {
			n, _ := strconv.Atoi(string(m[1 : len(m)-1]))
			return fmt.Appendf(nil, "%c%s\r", m[0], f(n))
		})
	}
}

// twice is what passes on everything two times.
func twice(b []byte) []byte { return bytes.Repeat(b, 2) }

// TestLyingServer stands between the daemon and a server that lies about
// lengths, says everything twice, hears everything twice, or speaks a byte at a
// time. Whatever the daemon believed meanwhile: when the server speaks the truth
// again, STATE_DB equals the kernel within a second.
func TestLyingServer(t *testing.T) {
	sw, p := switchtest.NewWithProxy(t)
	if sw == nil {
		return
	}
	replies := func(change func([]byte) []byte) switchtest.ProxyFault {
		return switchtest.ProxyFault{Change: [2]func([]byte) []byte{1: change}}
	}
	plus := func(d int) func(int) string { return func(n int) string { return strconv.Itoa(n + d) } }
	always := func(s string) func(int) string { return func(int) string { return s } }
	d := sw.BringUp(switchtest.ManyPorts)
	for _, lie := range []struct {
		name  string
		fault switchtest.ProxyFault
	}{
		{"strings one longer than said", replies(inLength("$", plus(-1)))},
		{"strings one shorter than said", replies(inLength("$", plus(1)))},
		{"arrays one longer than said", replies(inLength("*", plus(-1)))},
		{"arrays one shorter than said", replies(inLength("*", plus(1)))},
		{"strings of 9 exabytes", replies(inLength("$", always("9223372036854775807")))},
		{"arrays of a length beyond 64 bits", replies(inLength("*", always("18446744073709551616")))},
		{"negative lengths", replies(inLength("$*", always("-2")))},
		{"nothing where there is something", replies(inLength("$*", always("-1")))},
		{"lengths that are no numbers", replies(inLength("$*:", always("+0x1")))},
		{"integers that are others", replies(inLength(":", plus(7)))},
		{"replies twice", replies(twice)},
		{"requests twice", switchtest.ProxyFault{Change: [2]func([]byte) []byte{0: twice}}},
		{"a byte at a time", switchtest.ProxyFault{Slow: 50 * time.Microsecond}},
	} {
		sw.ChangeLinksDuring(d, lie.name, func() {
			p.Set(lie.fault)
			p.CutAll() // so that it meets the lie in every exchange
		}, func() {
			p.Set(switchtest.ProxyFault{})
			p.CutAll() // what was said is still under way
		})
	}
	if n := sw.FaultLines(); n > 2000 {
		t.Errorf("%d log lines: a repeating fault floods the log", n)
	}
	sw.CheckAfterFault(d, "failure_rate")
}

// TestServerFull takes the daemon's connections away and lets no new ones in
// ("max number of clients reached"), while links change.
func TestServerFull(t *testing.T) {
	sw, _ := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	n := sw.Logs.Len()
	sw.Do("APPL_DB", "CONFIG", "SET", "maxclients", "1")
	own := sw.Conn("APPL_DB") // the one that there is to be
	sw.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "pubsub")
	sw.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "normal")
	for name, conn := range sw.Conns {
		if conn != own {
			conn.Close()
			delete(sw.Conns, name)
		}
	}
	sw.ChangeLinks()
	sw.AwaitLog(n, switchtest.Timeout, "max number of clients reached")
	client.AwaitCode("/healthz", http.StatusServiceUnavailable)
	sw.Do("APPL_DB", "CONFIG", "SET", "maxclients", "100")
	sw.AwaitRecovery("full server")
	client.AwaitCode("/healthz", http.StatusOK)
	sw.CheckAfterFault(d)
}
