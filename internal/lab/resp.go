package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Reply is the reply to a command. It is one of
//
//	Status        +OK
//	ErrorReply    -ERR ...
//	int           :1
//	string        $2 (a bulk string)
//	nil           $-1 (the null bulk string)
//	[]Reply       *2
type Reply any

// Status is a simple string such as OK.
type Status string

// ErrorReply is an error reply, which begins with its code:
// "WRONGTYPE Operation against a key holding the wrong kind of value".
type ErrorReply string

// Error returns the text of the error without RESP's leading "-".
func (e ErrorReply) Error() string { return string(e) }

// replies holds several replies to one command, for example one per channel of SUBSCRIBE.
type replies []Reply

// nullArray is the null array, *-1.
type nullArray struct{}

const ok = Status("OK")

// appendReply appends the RESP2 encoding of r. Source:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
func appendReply(b []byte, r Reply) []byte {
	switch r := r.(type) {
	case nil:
		return append(b, "$-1\r\n"...)
	case nullArray:
		return append(b, "*-1\r\n"...)
	case Status:
		return append(append(append(b, '+'), r...), "\r\n"...)
	case ErrorReply:
		return append(append(append(b, '-'), oneLine.Replace(string(r))...), "\r\n"...)
	case int:
		return appendHeader(b, ':', r)
	case string:
		return append(append(appendHeader(b, '$', len(r)), r...), "\r\n"...)
	case []Reply:
		b = appendHeader(b, '*', len(r))
		for _, e := range r {
			b = appendReply(b, e)
		}
		return b
	case replies:
		for _, e := range r {
			b = appendReply(b, e)
		}
		return b
	}
	panic(fmt.Sprintf("lab: cannot encode %T in RESP", r))
}

func appendHeader(b []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), "\r\n"...)
}

// oneLine removes line breaks from the text of an error reply.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// bulks returns an array of bulk strings.
func bulks(ss ...string) []Reply {
	out := make([]Reply, len(ss))
	for i, s := range ss {
		out[i] = s
	}
	return out
}

// Limits of a request. Redis's own limits are 64 KiB for a line and 512 MiB for an argument.
const (
	maxLine    = 64 << 10 // bytes of an inline command or a length line
	maxBulk    = 16 << 20 // bytes of one argument
	maxRequest = 64 << 20 // bytes of all arguments
)

// protocolError is the text that follows "-ERR Protocol error: " in an error reply. The server
// closes the connection after such an error.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// requestReader reads the commands of a client.
type requestReader struct{ br *bufio.Reader }

func newRequestReader(r io.Reader) *requestReader {
	return &requestReader{bufio.NewReaderSize(r, maxLine)}
}

// read returns the next command: an array of bulk strings or an inline command. It returns an empty
// command for an empty line or array. Allocations are bounded by the number of bytes received.
func (r *requestReader) read() ([]string, error) {
	first, err := r.br.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] != '*' {
		return r.readInline()
	}
	line, err := r.readLine("too big mbulk count string")
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	if err != nil || n > math.MaxInt32 {
		return nil, protocolError("invalid multibulk length")
	}
	var argv []string
	for size := 0; n > 0; n-- {
		arg, err := r.readBulk()
		if err != nil {
			return nil, err
		}
		// Count the memory used by empty arguments too.
		if size += len(arg) + 16; size > maxRequest {
			return nil, protocolError("too big request")
		}
		argv = append(argv, arg)
	}
	return argv, nil
}

// readLine reads up to CR and skips the next byte without checking that it is LF, like Redis. The
// line is valid until the next read.
func (r *requestReader) readLine(tooLong protocolError) ([]byte, error) {
	line, err := r.br.ReadSlice('\r')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, tooLong
	}
	if err != nil {
		return nil, err
	}
	// Reading the LF may move the data in the buffer.
	line = bytes.Clone(line[:len(line)-1])
	_, err = r.br.Discard(1)
	return line, err
}

func (r *requestReader) readBulk() (string, error) {
	line, err := r.readLine("too big bulk count string")
	if err != nil {
		return "", err
	}
	if len(line) == 0 || line[0] != '$' {
		got := byte('\r')
		if len(line) > 0 {
			got = line[0]
		}
		return "", protocolError(fmt.Sprintf("expected '$', got '%c'", got))
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	if err != nil || n < 0 || n > maxBulk {
		return "", protocolError("invalid bulk length")
	}
	var arg strings.Builder
	if _, err := io.CopyN(&arg, r.br, n); err != nil {
		return "", err
	}
	_, err = r.br.Discard(2) // CR LF, not checked, like Redis
	return arg.String(), err
}

func (r *requestReader) readInline() ([]string, error) {
	line, err := r.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, protocolError("too big inline request")
	}
	if err != nil {
		return nil, err
	}
	argv, err := splitQuoted(strings.TrimSuffix(string(line[:len(line)-1]), "\r"))
	if err != nil {
		return nil, protocolError("unbalanced quotes in request")
	}
	return argv, nil
}

// appendQuoted appends s formatted like an argument in MONITOR and redis-cli: printable ASCII
// unchanged, the usual escapes, and \xHH for all other bytes.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\a':
			b = append(b, '\\', 'a')
		case '\b':
			b = append(b, '\\', 'b')
		default:
			if c < ' ' || c > '~' {
				b = fmt.Appendf(b, "\\x%02x", c)
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}
