package sonicdb

// Kind says what a Reply is. Its value is the first byte of the wire form;
// Null, which RESP2 writes as a length of -1, has the byte of RESP3.
type Kind byte

// The kinds of RESP2.
const (
	SimpleString Kind = '+' // +OK\r\n
	Error        Kind = '-' // -ERR unknown command\r\n
	Integer      Kind = ':' // :1000\r\n
	BulkString   Kind = '$' // $5\r\nhello\r\n
	Array        Kind = '*' // *2\r\n:1\r\n:2\r\n
	Null         Kind = '_' // $-1\r\n or *-1\r\n
)

// String names the kind as the protocol's documentation does.
func (k Kind) String() string {
	switch k {
	case SimpleString:
		return "simple string"
	case Error:
		return "error"
	case Integer:
		return "integer"
	case BulkString:
		return "bulk string"
	case Array:
		return "array"
	case Null:
		return "null"
	}
	return "unknown"
}

// Reply is one answer of the server. Everything in it, slices included, is
// valid until the next Receive, Do or ReceiveMessage on the same Conn.
type Reply struct {
	Kind  Kind
	Int   int64   // of an Integer
	Str   []byte  // of a SimpleString, Error or BulkString
	Array []Reply // of an Array; errors may be among the elements
}

// Limits on what a server can make us hold. None of them is met by a SONiC
// database; they bound the harm of a broken or hostile one. Memory grows with
// the bytes that arrive, never with an announced length. A reply beyond maxBulk,
// maxReply or maxElements is read past and counts as an error reply (skip.go); one
// beyond the others is a protocol error.
const (
	maxLine     = 64 << 10  // bytes of a simple string, error or number without CRLF
	maxBulk     = 64 << 20  // bytes of one bulk string
	maxReply    = 128 << 20 // bytes of one reply, everything included
	maxElements = 1 << 20   // elements of all arrays in one reply
	maxNesting  = 8         // arrays within arrays
)

// Sizes of buffers. One that an unusual reply or batch made larger than
// keepBuffer is not kept for the next.
const (
	readBuffer   = 32 << 10
	keepBuffer   = 1 << 20
	keepElements = 16 << 10
)
