package sonicdb

import (
	"errors"
	"fmt"
)

// A reply that exceeds the limits of this package is still valid RESP2: CONFIG_DB may contain a
// very large value. The reply is read without being stored and reported as an error of its command,
// so that the connection can still be used for other rows.

// errTooLarge is returned by the parser if a reply must be skipped.
var errTooLarge = errors.New("reply too large")

const (
	// maxSkippedBulk is the maximum length of a skipped string in bytes. It equals Redis's default
	// of proto-max-bulk-len.
	maxSkippedBulk = 512 << 20
	// maxSkippedElements is the maximum number of elements of a skipped array.
	maxSkippedElements = 64 << 20
	// maxSkippedReply is the maximum size of a skipped reply in bytes.
	maxSkippedReply = 1 << 30
	// skipStep is the number of skipped bytes after which the timeout restarts.
	skipStep = 16 << 20
)

// skipReply skips the reply at rd.r and returns an error reply in its place.
func (rd *reader) skipReply() (*Reply, error) {
	rd.reset()
	size := 0
	left := [maxNesting + 1]int{1} // remaining values at each depth
	for level := 0; level >= 0; {
		if left[level] == 0 {
			level--
			continue
		}
		left[level]--
		kind, n, length, err := rd.skipHead()
		if err != nil {
			return nil, err
		}
		switch {
		case kind == BulkString && n >= 0:
			if err := rd.discard(n + len("\r\n")); err != nil {
				return nil, err
			}
			length += n + len("\r\n")
		case kind == Array && n > 0 && level == maxNesting:
			return nil, protocolError(fmt.Sprintf("at most %d nested arrays", maxNesting), nil)
		case kind == Array && n > 0:
			level++
			left[level] = n
		}
		rd.progress(size, size+length)
		if size += length; size > maxSkippedReply {
			return nil, protocolError(fmt.Sprintf("a reply of at most %d bytes", maxSkippedReply), nil)
		}
	}
	rd.add(0, Reply{Kind: Error, Str: fmt.Appendf(nil, "reply of %d bytes is too large and was skipped", size)})
	return &rd.levels[0][0], nil
}

// skipHead skips the first line of a value. It returns the value's kind, the length of a string or
// an array, and the number of bytes skipped.
func (rd *reader) skipHead() (kind Kind, n, length int, err error) {
	if err := rd.need(1); err != nil {
		return 0, 0, 0, err
	}
	kind = Kind(rd.buf[rd.r])
	end, err := rd.line(1)
	if err != nil {
		return 0, 0, 0, err
	}
	line := rd.buf[rd.r+1 : rd.r+end]
	limit := int64(maxSkippedBulk)
	switch kind {
	case SimpleString, Error, Integer:
		rd.r += end + len("\r\n")
		return kind, 0, end + len("\r\n"), nil
	case BulkString:
	case Array:
		limit = maxSkippedElements
	default:
		return 0, 0, 0, protocolError("one of the type bytes +-:$*", rd.buf[rd.r:rd.w])
	}
	announced, ok := parseInt(line)
	if !ok || announced < -1 || announced > limit {
		return 0, 0, 0, protocolError(fmt.Sprintf("a length from -1 to %d", limit), line)
	}
	rd.r += end + len("\r\n")
	return kind, int(announced), end + len("\r\n"), nil
}

// discard skips n bytes.
func (rd *reader) discard(n int) error {
	for done := 0; done < n; {
		if rd.r == rd.w {
			rd.r, rd.w = 0, 0
			if err := rd.fill(); err != nil {
				return err
			}
		}
		step := min(n-done, rd.w-rd.r)
		rd.progress(done, done+step)
		rd.r, done = rd.r+step, done+step
	}
	return nil
}

// progress restarts the timeout after each skipStep bytes, so that a large reply can be skipped but
// a server that sends too slowly still causes a timeout.
func (rd *reader) progress(from, to int) {
	timed, ok := rd.src.(*timedConn)
	if ok && from/skipStep != to/skipStep {
		timed.restart()
	}
}
