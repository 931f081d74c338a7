package sonicdb

import (
	"math"
	"strings"
	"testing"
)

// TestWriter checks the encoding of commands.
func TestWriter(t *testing.T) {
	var w writer
	w.begin(1)
	w.string("PING")
	w.begin(5)
	w.string("HSET")
	w.bytes([]byte("Ethernet0\r\n"))
	w.string("")
	w.int(math.MinInt64)
	w.int(0)
	w.check()
	const want = "*1\r\n$4\r\nPING\r\n" +
		"*5\r\n$4\r\nHSET\r\n$11\r\nEthernet0\r\n\r\n$0\r\n\r\n$20\r\n-9223372036854775808\r\n$1\r\n0\r\n"
	if got := string(w.buf); got != want || w.err != nil || w.queued != 2 {
		t.Errorf("got %q, %d commands, %v\nwant %q, 2 commands", got, w.queued, w.err, want)
	}
}

// TestWriterArguments checks that a wrong number of arguments is an error.
func TestWriterArguments(t *testing.T) {
	for name, test := range map[string]struct {
		use  func(w *writer)
		want string
	}{
		"no arguments":   {func(w *writer) { w.begin(0) }, "command with 0 arguments"},
		"missing at end": {func(w *writer) { w.begin(2); w.string("GET") }, "command 1: 1 arguments missing"},
		"missing before another": {func(w *writer) { w.begin(2); w.string("GET"); w.begin(1); w.string("PING") },
			"command 1: 1 arguments missing"},
		"too many": {func(w *writer) { w.begin(1); w.string("PING"); w.int(1) }, "command 1: too many"},
		"stray":    {func(w *writer) { w.bytes([]byte("PING")) }, "command 0: too many"},
		"first counts": {func(w *writer) { w.begin(1); w.string("PING"); w.string("x"); w.begin(2) },
			"command 1: too many"},
	} {
		var w writer
		test.use(&w)
		w.check()
		if w.err == nil || !strings.Contains(w.err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, w.err, test.want)
		}
	}
}

// TestWriterFreesLargeBuffer checks that the buffer of a very large batch is freed.
func TestWriterFreesLargeBuffer(t *testing.T) {
	var w writer
	w.begin(1)
	w.string(strings.Repeat("x", keepBuffer+1))
	w.reset()
	if w.buf != nil || w.queued != 0 || w.missing != 0 {
		t.Errorf("after reset: capacity %d, %d commands, %d missing", cap(w.buf), w.queued, w.missing)
	}
	w.begin(1)
	w.string("PING")
	w.reset()
	if cap(w.buf) == 0 {
		t.Error("a small buffer was not kept")
	}
}
