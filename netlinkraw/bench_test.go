package netlinkraw

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkDecode decodes one recorded RTM_NEWLINK of 1.5 KB.
func BenchmarkDecode(b *testing.B) {
	datagrams := fixture(b, "mtu")
	b.SetBytes(int64(len(datagrams[0])))
	b.ReportAllocs()
	var batch Batch
	for b.Loop() {
		batch.Load(datagrams...)
		for batch.Next() {
			if batch.Message().Link.MTU != 9100 {
				b.Fatal("wrong MTU")
			}
		}
	}
}

func BenchmarkAppendLinkMessage(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendLinkMessage(buf[:0], unix.RTM_NEWLINK, 0, 0, 0, &testLink)
	}
}

// BenchmarkReceive measures receiving and decoding queued bursts of changes of one link, without the
// time to cause them.
func BenchmarkReceive(b *testing.B) {
	// Only this thread changes its namespace, so it must end with this
	// goroutine: it is not unlocked.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		skip(b, "no network namespace: %v", err)
	}
	l := newLinks(b)
	l.addVeth("Ethernet0", "peer0")
	port := l.index("Ethernet0")
	c := dialBench(b)

	const burst = 512
	events := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		for i := range uint32(burst) {
			l.setMTU(port, 2000+i)
		}
		b.StartTimer()
		for last := uint32(0); last != 2000+burst-1; {
			if err := c.Receive(&c.b); err != nil {
				b.Fatal(err)
			}
			for c.b.Next() {
				m := c.b.Message()
				if m.Type != NewLink {
					b.Fatal(describe(m))
				}
				last = m.Link.MTU
				events++
			}
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

// dialBench returns a Conn without a deadline and with a receive buffer for a burst.
func dialBench(b *testing.B) *testConn {
	c, err := Dial(Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.discard)
	return &testConn{Conn: c, t: b}
}
