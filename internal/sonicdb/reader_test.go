package sonicdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// show renders a reply for comparison: +OK -ERR :1 "bulk" null [...].
func show(r *Reply) string {
	switch r.Kind {
	case SimpleString, Error:
		return string(r.Kind) + string(r.Str)
	case Integer:
		return fmt.Sprintf(":%d", r.Int)
	case BulkString:
		return fmt.Sprintf("%q", r.Str)
	case Null:
		return "null"
	case Array:
		elements := make([]string, len(r.Array))
		for i := range r.Array {
			elements[i] = show(&r.Array[i])
		}
		return "[" + strings.Join(elements, " ") + "]"
	}
	return fmt.Sprintf("kind %d", r.Kind)
}

// encode is the inverse of the reader, for tests.
func encode(b []byte, r *Reply) []byte {
	switch r.Kind {
	case SimpleString, Error:
		return append(append(append(b, byte(r.Kind)), r.Str...), "\r\n"...)
	case Integer:
		return fmt.Appendf(b, ":%d\r\n", r.Int)
	case BulkString:
		return append(append(appendHeader(b, BulkString, len(r.Str)), r.Str...), "\r\n"...)
	case Null:
		return append(b, "$-1\r\n"...)
	}
	b = appendHeader(b, Array, len(r.Array))
	for i := range r.Array {
		b = encode(b, &r.Array[i])
	}
	return b
}

// TestRecordedReplies checks replies recorded from a real server.
func TestRecordedReplies(t *testing.T) {
	want := map[string]string{
		"ping":                      `+PONG`,
		"select":                    `+OK`,
		"hset new fields":           `:4`,
		"hset old fields":           `:0`,
		"hgetall":                   `["state" "ok" "netdev_oper_status" "up" "admin_status" "up" "mtu" "9100"]`,
		"hgetall of no key":         `[]`,
		"hget of no field":          `null`,
		"hmget":                     `["9100" null "ok"]`,
		"exists":                    `:1`,
		"exists not":                `:0`,
		"empty value":               `["value" ""]`,
		"keys":                      `["PORT_TABLE|Ethernet0"]`,
		"del":                       `:1`,
		"script without result":     `null`,
		"nested arrays":             `[:1 ["two" [null +three -ERR four]]]`,
		"multi":                     `+OK`,
		"queued":                    `+QUEUED`,
		"refused in a transaction":  `-ERR unknown command 'WATCHED', with args beginning with: `,
		"execabort":                 `-EXECABORT Transaction discarded because of previous errors.`,
		"null array":                `null`,
		"unknown command":           `-ERR unknown command 'HELLOO', with args beginning with: 'a  b' `,
		"wrong number of arguments": `-ERR wrong number of arguments for 'hset' command`,
		"subscribe":                 `["subscribe" "PORT_TABLE_CHANNEL@0" :1]`,
		"unsubscribe from nothing":  `["unsubscribe" null :0]`,
		"pmessage":                  `["pmessage" "__keyspace@0__:LOGGER|*" "__keyspace@0__:LOGGER|portsyncd" "hset"]`,
		"invalidate":                `["message" "__redis__:invalidate" ["PORT_TABLE:Ethernet0"]]`,
		"invalidate all":            `["message" "__redis__:invalidate" null]`,
	}
	var stream []byte
	var shown []string
	for _, rec := range recordings(t) {
		rd := newReader(bytes.NewReader(rec.bytes))
		r, err := rd.next()
		if err != nil {
			t.Errorf("%s: %v", rec.name, err)
			continue
		}
		if w, ok := want[rec.name]; ok && show(r) != w {
			t.Errorf("%s: got %s, want %s", rec.name, show(r), w)
		}
		delete(want, rec.name)
		if _, err := rd.next(); err != io.EOF {
			t.Errorf("%s: got %v after the reply, want EOF", rec.name, err)
		}
		stream = append(stream, rec.bytes...)
		shown = append(shown, show(r))
	}
	for name := range want {
		t.Errorf("%s: not recorded", name)
	}

	// All of them in one stream, however it is cut into reads.
	for name, src := range map[string]io.Reader{
		"whole":       bytes.NewReader(stream),
		"single byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"half":        iotest.HalfReader(bytes.NewReader(stream)),
		"data + EOF":  iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		rd := newReader(src)
		for i, want := range shown {
			if r, err := rd.next(); err != nil || show(r) != want {
				t.Fatalf("%s: reply %d: got %v, %v, want %s", name, i, r, err, want)
			}
		}
		if _, err := rd.next(); err != io.EOF {
			t.Errorf("%s: got %v at the end, want EOF", name, err)
		}
	}
}

// TestReaderAccepts checks valid replies, however they are split into reads.
func TestReaderAccepts(t *testing.T) {
	for in, want := range map[string]string{
		"+\r\n":                          `+`,
		"-\r\n":                          `-`,
		":0\r\n":                         `:0`,
		":-0\r\n":                        `:0`,
		":+7\r\n":                        `:7`,
		":9223372036854775807\r\n":       `:9223372036854775807`,
		":-9223372036854775808\r\n":      `:-9223372036854775808`,
		":000000000000000000001\r\n":     `:1`,
		"$0\r\n\r\n":                     `""`,
		"$4\r\n\r\n\r\n\r\n":             `"\r\n\r\n"`,
		"*0\r\n":                         `[]`,
		"*1\r\n*0\r\n":                   `[[]]`,
		"*2\r\n*1\r\n:1\r\n*1\r\n+2\r\n": `[[:1] [+2]]`,
		"*3\r\n*2\r\n*1\r\n:1\r\n*0\r\n$-1\r\n*1\r\n*1\r\n:2\r\n": `[[[:1] []] null [[:2]]]`,
		strings.Repeat("*1\r\n", maxNesting) + ":1\r\n":           strings.Repeat("[", maxNesting) + ":1" + strings.Repeat("]", maxNesting),
		"+" + strings.Repeat("x", maxLine) + "\r\n":               "+" + strings.Repeat("x", maxLine),
	} {
		r, err := newReader(strings.NewReader(in)).next()
		if err != nil {
			t.Errorf("%.50q: %v", in, err)
		} else if show(r) != want {
			t.Errorf("%.50q: got %.50s, want %.50s", in, show(r), want)
		}
	}
}

// TestReaderRefuses checks the protocol errors of invalid replies.
func TestReaderRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"\r\n":                      `type bytes`,
		"HTTP/1.1 400\r\n":          `got "HTTP/1.1 400\r\n", expected one of the type bytes`,
		"%1\r\n":                    `type bytes`, // a map, RESP3
		"_\r\n":                     `type bytes`, // null, RESP3
		"+OK\n":                     ``,
		"+O\nK\r\n":                 `a line ended by CRLF`,
		"+OK\rX":                    `a line ended by CRLF`,
		"+\nOK\r\n":                 `a line ended by CRLF`,
		":\r\n":                     `a 64-bit integer`,
		":-\r\n":                    `a 64-bit integer`,
		":1 \r\n":                   `a 64-bit integer`,
		":0x1\r\n":                  `a 64-bit integer`,
		":9223372036854775808\r\n":  `a 64-bit integer`,
		":-9223372036854775809\r\n": `a 64-bit integer`,
		":99999999999999999999\r\n": `a 64-bit integer`,
		"$\r\n":                     `a bulk string length`,
		"$-2\r\n":                   `a bulk string length`,
		"$536870913\r\n":            `a bulk string length`,
		"$4294967296\r\n":           `a bulk string length`,
		"$?\r\n":                    `a bulk string length`, // streamed, RESP3
		"$2\r\nOKAY":                `CRLF after a bulk string`,
		"$2\r\nOKX\n":               `CRLF after a bulk string`,
		"$2\r\nOK\n\r":              `CRLF after a bulk string`,
		"*-2\r\n":                   `an array length`,
		"*67108865\r\n":             `an array length`,
		"*2\r\n*1048576\r\n":        ``, // read past, to the end that does not come
		"*1\r\n*-3\r\n":             `an array length`,
		strings.Repeat("*1\r\n", maxNesting+1) + ":1\r\n": `at most 8 nested arrays`,
		"+" + strings.Repeat("x", maxLine+1) + "\r\n":     `a line of at most 65536 bytes`,
		":" + strings.Repeat("1", 2*maxLine):              `a line of at most 65536 bytes`,
	} {
		_, err := newReader(strings.NewReader(in)).next()
		var p *ProtocolError
		switch {
		case want == "" && err != io.ErrUnexpectedEOF:
			t.Errorf("%.50q: got %v, want unexpected EOF", in, err)
		case want != "" && (!errors.As(err, &p) || !strings.Contains(err.Error(), want)):
			t.Errorf("%.50q: got %v, want a protocol error with %q", in, err, want)
		}
	}
}

// TestReaderTruncated checks that each proper prefix of a reply returns io.ErrUnexpectedEOF.
func TestReaderTruncated(t *testing.T) {
	const whole = "*3\r\n$3\r\nabc\r\n:12\r\n*1\r\n+OK\r\n"
	for n := 1; n < len(whole); n++ {
		if r, err := newReader(strings.NewReader(whole[:n])).next(); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: got %v, %v, want unexpected EOF", whole[:n], r, err)
		}
	}
}

// TestReaderAllocatesWhatArrives checks that the announced length of a reply alone does not allocate
// memory.
func TestReaderAllocatesWhatArrives(t *testing.T) {
	for _, in := range []string{
		"$67108864\r\nabc",
		"*1048576\r\n:1\r\n",
		strings.Repeat("*1000\r\n", maxNesting) + ":1\r\n",
	} {
		rd := newReader(strings.NewReader(in))
		if _, err := rd.next(); err != io.ErrUnexpectedEOF {
			t.Errorf("%.30q: got %v, want unexpected EOF", in, err)
		}
		if held := held(rd); held > 2*readBuffer {
			t.Errorf("%.30q: the reader holds %d bytes", in, held)
		}
	}
}

// held is the memory of a reader in bytes, with 64 for each Reply.
func held(rd *reader) int {
	n := len(rd.buf)
	for _, l := range rd.levels {
		n += 64 * cap(l)
	}
	return n
}

// TestReaderFreesLargeBuffers checks that the buffers of a very large reply are freed.
func TestReaderFreesLargeBuffers(t *testing.T) {
	const n, size = 100_000, 100
	var in []byte
	in = appendHeader(in, Array, n)
	for i := range n {
		in = append(append(appendHeader(in, BulkString, size), bytes.Repeat([]byte{'a' + byte(i%26)}, size)...), "\r\n"...)
	}
	in = append(in, ":1\r\n:2\r\n"...)
	rd := newReader(bytes.NewReader(in))
	r, err := rd.next()
	if err != nil || len(r.Array) != n {
		t.Fatalf("huge reply: %v", err)
	}
	for i := range r.Array {
		if s := r.Array[i].Str; len(s) != size || s[0] != 'a'+byte(i%26) || s[size-1] != s[0] {
			t.Fatalf("element %d: got %q", i, s)
		}
	}
	for _, want := range []string{":1", ":2"} {
		if r, err := rd.next(); err != nil || show(r) != want {
			t.Fatalf("after a huge reply: got %v, %v, want %s", r, err, want)
		}
	}
	if _, err := rd.next(); err != io.EOF {
		t.Fatal(err)
	}
	if held := held(rd); held > keepBuffer+64*keepElements {
		t.Errorf("the reader still holds %d bytes", held)
	}
}

// TestReaderLongStream checks replies of many sizes that cross the end of the buffer at different
// positions.
func TestReaderLongStream(t *testing.T) {
	var stream []byte
	var sizes []int
	for size := 0; len(stream) < 20*readBuffer; size = (size*5 + 3) % (readBuffer / 3) {
		s := bytes.Repeat([]byte{'a' + byte(size%26)}, size)
		stream = append(append(appendHeader(stream, BulkString, size), s...), "\r\n"...)
		sizes = append(sizes, size)
	}
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(stream),
		"half":  iotest.HalfReader(bytes.NewReader(stream)),
	} {
		rd := newReader(src)
		for i, size := range sizes {
			r, err := rd.next()
			if err != nil || len(r.Str) != size || bytes.Count(r.Str, []byte{'a' + byte(size%26)}) != size {
				t.Fatalf("%s: reply %d: got %.60q, %v, want %d times %q", name, i, r.Str, err, size, 'a'+byte(size%26))
			}
		}
		if len(rd.buf) != readBuffer {
			t.Errorf("%s: the buffer grew to %d bytes", name, len(rd.buf))
		}
	}
}

// TestReplyPartsAreSeparate checks that appending to one part of a reply does not change another part.
func TestReplyPartsAreSeparate(t *testing.T) {
	r, err := newReader(strings.NewReader("*2\r\n*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n")).next()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(r.Array[0].Array[0].Str, "xxxxxxxxxxxx"...)
	_ = append(r.Array[0].Array, Reply{Kind: Null})
	if got := show(r); got != `[["a"] ["b"]]` {
		t.Errorf("got %s", got)
	}
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

// TestReaderNoProgress checks that a source that returns nothing ends the read.
func TestReaderNoProgress(t *testing.T) {
	if _, err := newReader(stuckReader{}).next(); err != io.ErrNoProgress {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}
