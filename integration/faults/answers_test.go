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

// changeNumbers returns a function that replaces each number in a RESP reply that follows one of
// the markers: "$" for string lengths, "*" for array lengths, ":" for integers.
func changeNumbers(marker string, f func(n int) string) func([]byte) []byte {
	number := regexp.MustCompile(`(?m)^[` + regexp.QuoteMeta(marker) + `]([0-9]+)\r$`)
	return func(b []byte) []byte {
		return number.ReplaceAllFunc(b, func(m []byte) []byte {
			n, _ := strconv.Atoi(string(m[1 : len(m)-1]))
			return fmt.Appendf(nil, "%c%s\r", m[0], f(n))
		})
	}
}

// twice returns the bytes two times.
func twice(b []byte) []byte { return bytes.Repeat(b, 2) }

// TestCorruptedReplies changes the bytes between daemon and server: wrong lengths, every reply or
// request twice, one byte at a time. When the bytes are right again, STATE_DB must agree with the
// kernel within a second.
func TestCorruptedReplies(t *testing.T) {
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
		{"strings one longer than said", replies(changeNumbers("$", plus(-1)))},
		{"strings one shorter than said", replies(changeNumbers("$", plus(1)))},
		{"arrays one longer than said", replies(changeNumbers("*", plus(-1)))},
		{"arrays one shorter than said", replies(changeNumbers("*", plus(1)))},
		{"strings of 9 exabytes", replies(changeNumbers("$", always("9223372036854775807")))},
		{"arrays of a length beyond 64 bits", replies(changeNumbers("*", always("18446744073709551616")))},
		{"negative lengths", replies(changeNumbers("$*", always("-2")))},
		{"nothing where there is something", replies(changeNumbers("$*", always("-1")))},
		{"lengths that are no numbers", replies(changeNumbers("$*:", always("+0x1")))},
		{"integers that are others", replies(changeNumbers(":", plus(7)))},
		{"replies twice", replies(twice)},
		{"requests twice", switchtest.ProxyFault{Change: [2]func([]byte) []byte{0: twice}}},
		{"a byte at a time", switchtest.ProxyFault{Slow: 50 * time.Microsecond}},
	} {
		sw.ChangeLinksDuring(d, lie.name, func() {
			p.Set(lie.fault)
			p.CutAll() // so that every exchange is corrupted
		}, func() {
			p.Set(switchtest.ProxyFault{})
			p.CutAll() // bytes are still in transit
		})
	}
	if n := sw.FaultLines(); n > 2000 {
		t.Errorf("%d log lines about a repeating fault", n)
	}
	sw.CheckAfterFault(d)
}

// TestRedisMaxClients closes the daemon's connections and rejects new ones ("max number of clients
// reached") while links change.
func TestRedisMaxClients(t *testing.T) {
	sw, _ := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	n := sw.Logs.Len()
	sw.Do("APPL_DB", "CONFIG", "SET", "maxclients", "1")
	own := sw.Conn("APPL_DB") // the expected one
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
	sw.AwaitRecovery("server at its client limit")
	client.AwaitCode("/healthz", http.StatusOK)
	sw.CheckAfterFault(d)
}
