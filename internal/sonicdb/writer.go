package sonicdb

import (
	"fmt"
	"strconv"
)

// writer encodes commands as arrays of bulk strings into a buffer. If err is set, the buffer must
// not be sent.
type writer struct {
	buf     []byte
	missing int // number of arguments that the last command still lacks
	queued  int // commands in buf
	err     error
}

// begin starts a command with n arguments, including its name.
func (w *writer) begin(n int) {
	w.check()
	if n < 1 {
		w.misuse(fmt.Errorf("invalid command with %d arguments", n))
		return
	}
	w.makeRoom(0)
	w.buf = appendHeader(w.buf, Array, n)
	w.missing = n
	w.queued++
}

// makeRoom makes room for a header, n bytes and CRLF. It doubles the capacity: append would increase it
// by a quarter, and copy the commands for hundreds of ports, and leave them as garbage, many times.
func (w *writer) makeRoom(n int) {
	const header = 24 // type byte, 20 digits, CRLF
	if need := len(w.buf) + header + n + len("\r\n"); need > cap(w.buf) {
		w.buf = append(make([]byte, 0, max(need, 2*cap(w.buf), minBuffer)), w.buf...)
	}
}

func (w *writer) string(s string) {
	w.makeRoom(len(s))
	w.buf = append(appendHeader(w.buf, BulkString, len(s)), s...)
	w.end()
}

func (w *writer) bytes(b []byte) {
	w.makeRoom(len(b))
	w.buf = append(appendHeader(w.buf, BulkString, len(b)), b...)
	w.end()
}

func (w *writer) int(n int64) {
	var digits [20]byte // -9223372036854775808
	w.bytes(strconv.AppendInt(digits[:0], n, 10))
}

func (w *writer) end() {
	w.buf = append(w.buf, '\r', '\n')
	if w.missing--; w.missing < 0 {
		w.misuse(fmt.Errorf("command %d: too many arguments", w.queued))
	}
}

// check sets w.err if the last command has too few arguments.
func (w *writer) check() {
	if w.missing > 0 {
		w.misuse(fmt.Errorf("command %d: %d arguments missing", w.queued, w.missing))
	}
}

func (w *writer) misuse(err error) {
	if w.err == nil {
		w.err = err
	}
}

// reset empties the buffer and frees it if it is very large.
func (w *writer) reset() {
	w.buf, w.missing, w.queued = w.buf[:0], 0, 0
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
}

// appendHeader appends a type byte, a length and CRLF.
func appendHeader(b []byte, kind Kind, n int) []byte {
	b = append(b, byte(kind))
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}
