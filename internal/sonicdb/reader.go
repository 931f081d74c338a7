package sonicdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// reader decodes replies. It reads a whole reply into one buffer, so that strings in the reply are
// slices of the buffer and are not copied.
//
// A reader may reallocate its buffer while a reply arrives. It therefore stores positions relative
// to the first byte of the reply and converts them to slices when the reply is complete.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] is unparsed data; while parsing, r is the first byte of the reply

	// levels[n] holds the replies at nesting depth n in order of arrival, so that the elements of
	// an array are adjacent. levels[0] has one reply.
	levels   [maxNesting + 1][]Reply
	deepest  int // highest level in use
	elements int // total number of array elements
}

func newReader(src io.Reader) *reader {
	return &reader{src: src, buf: make([]byte, readBuffer)}
}

// next returns the next reply, which is valid until the next call. It returns a *ProtocolError or
// an error of the source. After an error, the reader must not be used again.
func (rd *reader) next() (*Reply, error) {
	rd.reset()
	end, err := rd.parse(0, 0)
	if errors.Is(err, errTooLarge) {
		r, err := rd.skipReply()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return r, err
	}
	if err != nil {
		return nil, err
	}
	rd.resolve()
	rd.r += end
	return &rd.levels[0][0], nil
}

// reset removes the previous reply and frees its memory if the reply was very large.
func (rd *reader) reset() {
	for i := range rd.levels[:rd.deepest+1] {
		if cap(rd.levels[i]) > keepElements {
			rd.levels[i] = nil
		}
		rd.levels[i] = rd.levels[i][:0]
	}
	rd.deepest, rd.elements = 0, 0
	if rd.r < rd.w {
		return
	}
	rd.r, rd.w = 0, 0
	if len(rd.buf) > keepBuffer {
		rd.buf = make([]byte, readBuffer)
	}
}

// parse decodes the value at pos and the given nesting level, and returns its end. Strings and
// arrays are stored as spans, which resolve converts to slices.
func (rd *reader) parse(pos, level int) (int, error) {
	if err := rd.need(pos + 1); err != nil {
		return 0, err
	}
	kind := Kind(rd.buf[rd.r+pos])
	switch kind {
	case SimpleString, Error, Integer, BulkString, Array:
	default:
		return 0, protocolError("one of the type bytes +-:$*", rd.buf[rd.r+pos:rd.w])
	}
	pos++
	end, err := rd.line(pos)
	if err != nil {
		return 0, err
	}
	line := rd.buf[rd.r+pos : rd.r+end]
	after := end + len("\r\n")

	switch kind {
	case SimpleString, Error:
		rd.add(level, Reply{Kind: kind, Int: span(pos, end-pos)})
		return after, nil
	case Integer:
		n, ok := parseInt(line)
		if !ok {
			return 0, protocolError("a 64-bit integer", line)
		}
		rd.add(level, Reply{Kind: Integer, Int: n})
		return after, nil
	}

	n, ok := parseInt(line)
	switch {
	case ok && n == -1:
		rd.add(level, Reply{Kind: Null})
		return after, nil
	case kind == BulkString && ok && n >= 0 && n <= maxBulk:
		return rd.bulk(after, int(n), level)
	case kind == BulkString && ok && n > maxBulk && n <= maxSkippedBulk:
		return 0, errTooLarge
	case kind == BulkString:
		return 0, protocolError(fmt.Sprintf("a bulk string length from -1 to %d", maxBulk), line)
	case ok && n >= 0 && n <= maxElements:
		return rd.array(after, int(n), level)
	case ok && n > maxElements && n <= maxSkippedElements:
		return 0, errTooLarge
	}
	return 0, protocolError(fmt.Sprintf("an array length from -1 to %d", maxElements), line)
}

// bulk parses a bulk string of n bytes that starts at pos and is followed by CRLF. It returns the
// position after the CRLF.
func (rd *reader) bulk(pos, n, level int) (int, error) {
	end := pos + n
	if err := rd.need(end + len("\r\n")); err != nil {
		return 0, err
	}
	if tail := rd.buf[rd.r+end : rd.r+end+2]; tail[0] != '\r' || tail[1] != '\n' {
		return 0, protocolError("CRLF after a bulk string", tail)
	}
	rd.add(level, Reply{Kind: BulkString, Int: span(pos, n)})
	return end + len("\r\n"), nil
}

// array parses an array of n elements at pos.
func (rd *reader) array(pos, n, level int) (int, error) {
	if level == maxNesting {
		return 0, protocolError(fmt.Sprintf("at most %d nested arrays", maxNesting), nil)
	}
	if rd.elements += n; rd.elements > maxElements {
		return 0, errTooLarge
	}
	rd.deepest = max(rd.deepest, level+1)
	first := len(rd.levels[level+1])
	// An element has at least four bytes, such as ":1\r\n", so this is not more than was received.
	rd.levels[level+1] = slices.Grow(rd.levels[level+1], min(n, (rd.w-rd.r-pos)/4+1))
	for range n {
		var err error
		if pos, err = rd.parse(pos, level+1); err != nil {
			return 0, err
		}
	}
	rd.add(level, Reply{Kind: Array, Int: span(first, n)})
	return pos, nil
}

func (rd *reader) add(level int, r Reply) {
	rd.levels[level] = append(rd.levels[level], r)
}

// span packs a position and a length into one integer. Both are less than 1<<31 because the size of
// replies is limited.
func span(first, n int) int64 { return int64(first)<<32 | int64(n) }

// resolve converts the spans of a complete reply to slices.
func (rd *reader) resolve() {
	for level := range rd.levels[:rd.deepest+1] {
		replies := rd.levels[level]
		for i := range replies {
			r := &replies[i]
			first, end := int(r.Int>>32), int(r.Int>>32)+int(r.Int&0xffffffff)
			switch r.Kind {
			case SimpleString, Error, BulkString:
				r.Int, r.Str = 0, rd.buf[rd.r+first:rd.r+end:rd.r+end]
			case Array:
				r.Int, r.Array = 0, rd.levels[level+1][first:end:end]
			}
		}
	}
}

// line returns the position of the CRLF that terminates the line starting at pos.
func (rd *reader) line(pos int) (int, error) {
	for from := pos; ; {
		if i := bytes.IndexByte(rd.buf[rd.r+from:rd.w], '\r'); i >= 0 {
			end := from + i
			if end-pos > maxLine {
				break
			}
			if err := rd.need(end + len("\r\n")); err != nil {
				return 0, err
			}
			line, tail := rd.buf[rd.r+pos:rd.r+end], rd.buf[rd.r+end+1]
			if tail != '\n' || bytes.IndexByte(line, '\n') >= 0 {
				return 0, protocolError("a line ended by CRLF", rd.buf[rd.r+pos:rd.w])
			}
			return end, nil
		}
		from = rd.w - rd.r
		if from-pos > maxLine {
			break
		}
		if err := rd.need(from + 1); err != nil {
			return 0, err
		}
	}
	return 0, protocolError(fmt.Sprintf("a line of at most %d bytes", maxLine), rd.buf[rd.r+pos:rd.w])
}

// need reads from the connection until the buffer contains at least n bytes of the current reply.
func (rd *reader) need(n int) error {
	for rd.w-rd.r < n {
		if n > maxReply {
			return errTooLarge
		}
		if err := rd.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads from the connection once. If the buffer is full, fill first moves the data to the
// front of the buffer or doubles its size.
func (rd *reader) fill() error {
	if rd.w == len(rd.buf) {
		to := rd.buf
		if rd.r == 0 {
			to = make([]byte, 2*len(rd.buf))
		}
		rd.w = copy(to, rd.buf[rd.r:rd.w])
		rd.buf, rd.r = to, 0
	}
	n, err := rd.src.Read(rd.buf[rd.w:])
	rd.w += n
	switch {
	case n > 0: // the next Read returns a simultaneous error again
		return nil
	case err == nil:
		return io.ErrNoProgress
	case errors.Is(err, io.EOF) && rd.w > rd.r:
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseInt parses a decimal 64-bit integer with an optional sign. Unlike strconv.ParseInt, it needs
// no conversion to a string.
func parseInt(b []byte) (int64, bool) {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, b = b[0] == '-', b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, d := range b {
		d -= '0'
		// For larger n, 10*n could overflow.
		if d > 9 || n > 1<<63/10 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}
