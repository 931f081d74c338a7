package sonicdb

// Kind is the type of a Reply. Its value is the first byte of the wire format. Null, which RESP2
// encodes as a length of -1, has the type byte of RESP3.
type Kind byte

// RESP2 types.
const (
	SimpleString Kind = '+' // +OK\r\n
	Error        Kind = '-' // -ERR unknown command\r\n
	Integer      Kind = ':' // :1000\r\n
	BulkString   Kind = '$' // $5\r\nhello\r\n
	Array        Kind = '*' // *2\r\n:1\r\n:2\r\n
	Null         Kind = '_' // $-1\r\n or *-1\r\n
)

// String returns the name of the type as in the protocol documentation.
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

// Reply is a decoded reply from the server. A Reply and its slices are valid until the next call of
// Receive, Do or ReceiveMessage on the same Conn.
type Reply struct {
	Kind  Kind
	Int   int64   // value of an Integer
	Str   []byte  // value of a SimpleString, Error or BulkString
	Array []Reply // elements of an Array, which may be errors
}

// Limits of replies. They bound the memory used for a broken or hostile server; SONiC databases
// stay far below them. Memory is allocated for bytes received, not for announced lengths. A reply
// that exceeds maxBulk, maxReply or maxElements is skipped and replaced by an error reply
// (skip.go). A reply that exceeds another limit is a protocol error.
const (
	maxLine     = 64 << 10  // bytes of a simple string, error or number, without CRLF
	maxBulk     = 64 << 20  // bytes of one bulk string
	maxReply    = 128 << 20 // bytes of a reply
	maxElements = 1 << 20   // elements of all arrays in a reply
	maxNesting  = 8         // arrays within arrays
)

// Buffer sizes. Buffers that grew beyond keepBuffer or keepElements are freed after use.
const (
	readBuffer   = 32 << 10
	minBuffer    = 1 << 10 // of a writer that has written
	keepBuffer   = 1 << 20
	keepElements = 16 << 10
)
