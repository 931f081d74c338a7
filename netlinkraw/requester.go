package netlinkraw

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// requestTimeout is the timeout of one request. Bringing a link down takes tens of milliseconds
// because the kernel waits for packets in flight.
const requestTimeout = 5 * time.Second

// OpError is the error of a failed request.
type OpError struct {
	Op   string // request type, such as "RTM_NEWLINK"
	Err  error  // a syscall.Errno from the kernel, or a socket error
	Text string // the kernel's error text, often empty
}

// Error returns a message with Op, Err and Text.
func (e *OpError) Error() string {
	s := e.Op + ": " + e.Err.Error()
	if e.Text != "" {
		s += " (" + e.Text + ")"
	}
	return s
}

// Unwrap returns e.Err, so that errors such as unix.ENODEV can be tested with errors.Is.
func (e *OpError) Unwrap() error { return e.Err }

// Requester sends requests to rtnetlink and waits for acknowledgements. It must not be used by
// several goroutines at the same time.
type Requester struct {
	file *os.File
	raw  syscall.RawConn
	port uint32
	seq  uint32
	buf  []byte
}

// DialRequester opens a Requester in the caller's network namespace.
func DialRequester() (*Requester, error) {
	fd, port, err := openSocket(0)
	if err != nil {
		return nil, err
	}
	// Omit the request from acknowledgements. The option is optional, so errors are ignored.
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	file, raw, err := pollable(fd)
	if err != nil {
		return nil, err
	}
	return &Requester{file: file, raw: raw, port: port, buf: make([]byte, 16<<10)}, nil
}

// Close closes the socket.
func (r *Requester) Close() error { return r.file.Close() }

// Do sends msg and waits for the acknowledgement. msg must be one complete message (see
// [FinishMessage]). Do sets its sequence number and the flags NLM_F_REQUEST and NLM_F_ACK. Unless
// msg is invalid, errors are of type *[OpError]. If the error wraps os.ErrDeadlineExceeded, the
// kernel may or may not have executed the request.
func (r *Requester) Do(msg []byte) error {
	h, _, rest, ok := cutMessage(msg)
	if !ok || len(rest) != 0 {
		return fmt.Errorf("invalid netlink request of %d bytes: must be one complete message", len(msg))
	}
	r.seq++
	native.PutUint16(msg[6:], h.flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	native.PutUint32(msg[8:], r.seq)

	op := requestName(h.typ)
	if err := r.file.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return &OpError{Op: op, Err: err}
	}
	if _, err := r.file.Write(msg); err != nil {
		return &OpError{Op: op, Err: err}
	}
	for {
		datagram, err := r.receive()
		if err != nil {
			return &OpError{Op: op, Err: err}
		}
		if errno, text, ok := findAck(datagram, r.seq, r.port); ok {
			if errno == 0 {
				return nil
			}
			return &OpError{Op: op, Err: errno, Text: text}
		}
	}
}

// receive returns the next datagram that was sent by the kernel.
func (r *Requester) receive() ([]byte, error) {
	for {
		var n int
		var from unix.Sockaddr
		var err error
		waitErr := r.raw.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), r.buf, unix.MSG_DONTWAIT)
			return err != unix.EAGAIN
		})
		switch {
		case waitErr != nil:
			return nil, waitErr
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); ok && kernel.Pid == 0 {
			return r.buf[:n], nil
		}
	}
}

// findAck searches datagram for the acknowledgement of request seq.
func findAck(datagram []byte, seq, port uint32) (errno syscall.Errno, text string, ok bool) {
	for {
		h, payload, rest, ok := cutMessage(datagram)
		if !ok {
			return 0, "", false
		}
		datagram = rest
		if h.typ != unix.NLMSG_ERROR || h.seq != seq || h.port != port || len(payload) < errorLen {
			continue
		}
		return errnoOf(payload), ackText(h, payload), true
	}
}

// ackText returns the text of an extended acknowledgement. The text attribute follows the copy of
// the request, which is only a header if NLM_F_CAPPED is set.
func ackText(h header, payload []byte) string {
	if h.flags&unix.NLM_F_ACK_TLVS == 0 {
		return ""
	}
	attrs := payload[errorLen:]
	if h.flags&unix.NLM_F_CAPPED == 0 {
		_, _, rest, ok := cutMessage(payload[4:])
		if !ok {
			return ""
		}
		attrs = rest
	}
	for {
		typ, value, rest, ok := cutAttr(attrs)
		if !ok {
			return ""
		}
		if typ == errAttrMsg {
			return string(untilNUL(value))
		}
		attrs = rest
	}
}

// requestName returns the name of a message type for use in errors.
func requestName(msgType uint16) string {
	switch msgType {
	case unix.RTM_NEWLINK:
		return "RTM_NEWLINK"
	case unix.RTM_DELLINK:
		return "RTM_DELLINK"
	}
	return "netlink message type " + strconv.Itoa(int(msgType))
}
