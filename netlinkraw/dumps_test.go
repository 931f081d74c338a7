package netlinkraw

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDumpTracking checks that only answers to requests of the own socket count as a dump.
func TestDumpTracking(t *testing.T) {
	const port, multi, intr = 100, unix.NLM_F_MULTI, unix.NLM_F_DUMP_INTR
	link := func(flags uint16, seq, port uint32) []byte {
		return AppendLinkMessage(nil, unix.RTM_NEWLINK, flags, seq, port, &Link{Index: 1})
	}
	done := func(flags uint16, seq, port uint32) []byte { return AppendDone(nil, seq, port, flags, 0) }

	for _, tt := range []struct {
		name    string
		issued  uint32
		in      [][]byte
		want    []string
		foreign uint64
	}{
		{"ours", 1, [][]byte{link(multi, 1, port), done(multi, 1, port)}, []string{`newlink dump=1 1 ""`, "dumpdone dump=1"}, 0},
		{"live", 1, [][]byte{link(0, 0, 0), link(0, 1, port), link(multi, 1, 5)}, []string{`newlink 1 ""`, `newlink 1 ""`, `newlink 1 ""`}, 0},
		{"not issued yet", 1, [][]byte{link(multi, 2, port), done(multi, 2, port), errorMessage(2, port, unix.EBUSY)}, nil, 3},
		{"nothing issued", 0, [][]byte{link(multi, 0, port), done(multi, 0, port)}, nil, 2},
		{"other port", 1, [][]byte{done(multi, 1, 5), errorMessage(1, 5, unix.EBUSY)}, nil, 2},
		{"not multipart", 1, [][]byte{done(0, 1, port)}, nil, 1},
		{"after the counter has wrapped", 2, [][]byte{done(multi, 1<<32-1, port)}, []string{"dumpdone dump=4294967295"}, 0},
		{"of the other half of the numbers", 1, [][]byte{done(multi, 1<<31+1, port), done(multi, 1<<31+2, port)}, []string{"dumpdone dump=2147483650"}, 1},
		{"interrupted part", 1, [][]byte{link(multi|intr, 1, port), link(multi, 1, port), done(multi, 1, port)},
			[]string{`newlink dump=1 1 ""`, `newlink dump=1 1 ""`, "dumpdone dump=1 interrupted"}, 0},
		{"interrupted end", 1, [][]byte{done(multi|intr, 1, port)}, []string{"dumpdone dump=1 interrupted"}, 0},
		{"the next is not interrupted", 2, [][]byte{done(multi|intr, 1, port), link(multi, 2, port), done(multi, 2, port)},
			[]string{"dumpdone dump=1 interrupted", `newlink dump=2 1 ""`, "dumpdone dump=2"}, 0},
		{"nor is the next with the same number", 1, [][]byte{done(multi|intr, 1, port), done(multi, 1, port)},
			[]string{"dumpdone dump=1 interrupted", "dumpdone dump=1"}, 0},
		{"the one before was never ended", 2, [][]byte{link(multi|intr, 1, port), done(multi, 2, port)},
			[]string{`newlink dump=1 1 ""`, "dumpdone dump=2"}, 0},
		{"a refused request leaves the running dump alone", 2, [][]byte{link(multi|intr, 1, port), errorMessage(2, port, unix.EBUSY), done(multi, 1, port)},
			[]string{`newlink dump=1 1 ""`, "dumpdone dump=2 errno=16", "dumpdone dump=1 interrupted"}, 0},
		{"a live message is no part", 1, [][]byte{link(multi, 1, port), link(intr, 1, port), done(multi, 1, port)},
			[]string{`newlink dump=1 1 ""`, `newlink 1 ""`, "dumpdone dump=1"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b Batch
			var stats Stats
			dumps := dumpTracker{port: port}
			dumps.issued.Store(tt.issued)
			var got []string
			for _, d := range tt.in { // what is known of a dump outlives the batch
				b.reset(&dumps, &stats)
				b.datagrams = append(b.datagrams, d)
				got = append(got, decodeAll(&b)...)
			}
			wantLines(t, got, tt.want...)
			if n := stats.ForeignSeq.Load(); n != tt.foreign {
				t.Errorf("foreign: %d, want %d", n, tt.foreign)
			}
		})
	}
}

// TestLossy checks that a loss concerns the dumps requested before it was detected, also if
// sequence numbers wrap.
func TestLossy(t *testing.T) {
	var d dumpTracker
	if d.lossy(0) || d.lossy(1) {
		t.Error("lossy without a loss")
	}
	const now = 5
	d.issued.Store(now)
	d.lose()
	for seq, want := range map[uint32]bool{now - 1: true, now: true, now + 1: false, 1<<32 - 1: true, now + 1<<31: false, now + 1<<31 + 1: true} {
		if got := d.lossy(seq); got != want {
			t.Errorf("loss at %d: dump %d is lossy: %t, want %t", now, seq, got, want)
		}
	}
}

// TestIssueSkipsZero checks that the sequence number 0 is not used after a wrap.
func TestIssueSkipsZero(t *testing.T) {
	var d dumpTracker
	d.issued.Store(1<<32 - 2)
	if a, b := d.issue(), d.issue(); a != 1<<32-1 || b != 1 {
		t.Errorf("issued %d, %d; want 4294967295, 1", a, b)
	}
}

// TestRawBetweenDumps checks that raw system calls are used only while no dump can be running.
func TestRawBetweenDumps(t *testing.T) {
	const port, multi = 100, unix.NLM_F_MULTI
	var b Batch
	var stats Stats
	d := dumpTracker{port: port}
	receive := func(message []byte) {
		b.reset(&d, &stats)
		b.datagrams = append(b.datagrams, message)
		decodeAll(&b)
	}
	request := func() { d.issue(); d.sent() }
	for _, step := range []struct {
		what string
		do   func()
		want bool
	}{
		{"before the first dump", func() {}, true},
		{"while the request is being sent", func() { d.issue() }, false},
		{"with the end received before the request returns", func() { receive(AppendDone(nil, 1, port, multi, 0)) }, false},
		{"after the dump", d.sent, true},
		{"after a request", request, false},
		{"in a dump", func() { receive(AppendLinkMessage(nil, unix.RTM_NEWLINK, multi, 2, port, &Link{Index: 1})) }, false},
		{"after the end of an earlier dump", func() { receive(AppendDone(nil, 1, port, multi, 0)) }, false},
		{"after the end of another socket's dump", func() { receive(AppendDone(nil, 2, port+1, multi, 0)) }, false},
		{"after a refused request in the dump", func() { request(); receive(errorMessage(3, port, unix.EBUSY)) }, false},
		{"after the dump that the refused request met", func() { receive(AppendDone(nil, 2, port, multi, 0)) }, false},
		{"after the next dump", func() { request(); receive(AppendDone(nil, 4, port, multi, 0)) }, true},
		{"after a dump that ended with an error", func() { request(); receive(AppendDone(nil, 5, port, multi, unix.ENOMEM)) }, true},
	} {
		step.do()
		raw := d.beginRaw()
		if raw != step.want || d.raw.Load() != raw {
			t.Errorf("%s: raw %t (flag %t), want %t", step.what, raw, d.raw.Load(), step.want)
		}
		d.endRaw()
	}
}

// TestRequestWaitsForRawCall checks that a request for a dump is not sent during a raw system call,
// which would take part in the dump.
func TestRequestWaitsForRawCall(t *testing.T) {
	var d dumpTracker
	if !d.beginRaw() {
		t.Fatal("no raw call before the first dump")
	}
	issued := make(chan uint32, 1)
	go func() { issued <- d.issue() }()
	for d.issued.Load() == 0 {
		runtime.Gosched()
	}
	for range 1000 {
		runtime.Gosched()
	}
	select {
	case seq := <-issued:
		t.Errorf("request %d was not held back during a raw call", seq)
	default:
		d.endRaw()
		<-issued
	}
}
