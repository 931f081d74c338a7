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

// requestTimeout is how long the kernel may take over one request. Setting a
// link down waits for packets in flight, some 10 ms each.
const requestTimeout = 5 * time.Second

// OpError is a request that failed.
type OpError struct {
	Op   string // message type, such as "RTM_NEWLINK"
	Err  error  // a syscall.Errno from the kernel, or what became of the socket
	Text string // what the kernel adds to its errno, often nothing
}

// Error returns op, error and the kernel's text.
func (e *OpError) Error() string {
	s := e.Op + ": " + e.Err.Error()
	if e.Text != "" {
		s += " (" + e.Text + ")"
	}
	return s
}

// Unwrap returns e.Err, so that errors.Is(err, unix.ENODEV) works.
func (e *OpError) Unwrap() error { return e.Err }

// Requester sends requests to rtnetlink and waits for the acknowledgement of
// each. One goroutine at a time may use it.
type Requester struct {
	file *os.File
	raw  syscall.RawConn
	port uint32
	seq  uint32
	buf  []byte
}

// DialRequester opens a Requester in the network namespace of the caller.
func DialRequester() (*Requester, error) {
	fd, port, err := openSocket(0)
	if err != nil {
		return nil, err
	}
	// An acknowledgement need not repeat the request.
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	file, raw, err := pollable(fd)
	if err != nil {
		return nil, err
	}
	return &Requester{file: file, raw: raw, port: port, buf: make([]byte, 16<<10)}, nil
}

// Close closes the socket.
func (r *Requester) Close() error { return r.file.Close() }

// Do sends msg, one finished message (see [FinishMessage]), and waits for its
// acknowledgement. It sets the flags NLM_F_REQUEST and NLM_F_ACK and the
// sequence number in msg. What fails after sending is an [OpError]; with
// os.ErrDeadlineExceeded in it the outcome is unknown.
func (r *Requester) Do(msg []byte) error {
	h, _, rest, ok := cutMessage(msg)
	if !ok || len(rest) != 0 {
		return fmt.Errorf("netlink request of %d bytes: want one whole message", len(msg))
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

// receive returns the next datagram from the kernel.
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

// findAck looks in a datagram for the kernel's verdict on request seq.
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

// ackText returns the kernel's words in an extended acknowledgement: attributes
// after the copy of the request, which is a bare header if NLM_F_CAPPED.
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

// requestName returns the name of a message type for an error text.
func requestName(msgType uint16) string {
	switch msgType {
	case unix.RTM_NEWLINK:
		return "RTM_NEWLINK"
	case unix.RTM_DELLINK:
		return "RTM_DELLINK"
	}
	return "netlink message type " + strconv.Itoa(int(msgType))
}
