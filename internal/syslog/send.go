package syslog

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// reconnectInterval is the minimum time between attempts to connect to the syslog daemon.
const reconnectInterval = time.Second

// maxStreamLine is the maximum length in bytes of a line written to standard output or standard
// error. It equals PIPE_BUF (linux/limits.h), because a pipe that polls writable can accept
// PIPE_BUF bytes (pipe(7)).
const maxStreamLine = 4096

// socket is the connection to the syslog daemon. Its descriptor is never closed, so writers need no
// lock against a concurrent close. After a restart of the syslog daemon the same descriptor is
// reconnected, which connect(2) allows for datagram sockets.
type socket struct {
	path        string
	fd          atomic.Int64 // -1 before it is opened
	connected   atomic.Bool  // false if the last connect or write found no syslog daemon
	start       time.Time    // reference time of reconnectAt
	reconnectAt atomic.Int64 // earliest time of the next attempt, as a time.Duration since start
}

// init sets the path and connects.
func (s *socket) init(path string) {
	s.path, s.start = path, time.Now()
	s.fd.Store(-1)
	s.connect()
}

// result is the result of writing a line.
type result uint8

const (
	written result = iota
	full           // the output is full
	lost
)

// send writes a datagram. If the syslog daemon's queue is full, send waits up to timeout. After any
// error it reconnects: ECONNREFUSED means that the daemon closed its socket, ENOTCONN that the
// socket is not connected, and EAGAIN that a queue is full, which may be the queue of a previous
// daemon. While no daemon is connected, it makes no other system call.
func (s *socket) send(datagram []byte, timeout time.Duration) result {
	if !s.connected.Load() && !s.connect() {
		return lost
	}
	err := s.write(datagram)
	if err == unix.EAGAIN && timeout > 0 {
		// Another goroutine may use the room first, so one wait is not enough.
		deadline := time.Now().Add(timeout)
		for left := timeout; err == unix.EAGAIN && left > 0 && s.waitRoom(left); left = time.Until(deadline) {
			err = s.write(datagram)
		}
	}
	if err != nil && s.connect() {
		err = s.write(datagram)
	}
	switch err {
	case nil:
		return written
	case unix.EAGAIN:
		return full
	case unix.ECONNREFUSED, unix.ENOTCONN:
		s.connected.Store(false)
	}
	return lost
}

// waitRoom waits up to timeout until the syslog daemon's queue has room. It reports whether it has.
func (s *socket) waitRoom(timeout time.Duration) bool {
	return waitRoom(int(s.fd.Load()), timeout) == written
}

// waitRoom waits until fd is writable. It returns written if fd is writable, full after the
// timeout, and lost on error. The timeout is rounded up to milliseconds. A signal does not end the
// wait.
func waitRoom(fd int, timeout time.Duration) result {
	poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for end := time.Now().Add(timeout); ; timeout = max(0, time.Until(end)) {
		switch n, err := unix.Poll(poll[:], int((timeout+time.Millisecond-1)/time.Millisecond)); {
		case err == unix.EINTR:
		case err != nil:
			return lost
		case n == 0:
			return full
		default:
			return written
		}
	}
}

func (s *socket) write(datagram []byte) error {
	_, err := unix.Write(int(s.fd.Load()), datagram)
	return err
}

// connect connects to the syslog daemon and reports whether it succeeded. It returns false
// immediately if the last attempt was less than reconnectInterval ago.
func (s *socket) connect() bool {
	now, at := int64(time.Since(s.start)), s.reconnectAt.Load()
	if now < at || !s.reconnectAt.CompareAndSwap(at, now+int64(reconnectInterval)) {
		return false // too early, or another goroutine is connecting
	}
	fd := int(s.fd.Load())
	if fd < 0 {
		var err error
		fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return false
		}
		s.fd.Store(int64(fd))
	}
	if unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}) != nil {
		return false
	}
	s.connected.Store(true)
	return true
}

// stream is standard output or standard error. Other processes may share the descriptor, so it must
// not be made non-blocking. Instead, stream writes only if the descriptor polls writable. The mutex
// prevents other goroutines from filling the pipe between the poll and the write. It is held only
// during non-blocking calls.
type stream struct {
	mu       sync.Mutex
	file     *os.File
	fd       int  // descriptor of file, or a new one for the same terminal
	terminal bool // file is a terminal
}

// init prepares the stream for non-blocking writes. If file is a terminal, init reopens it, because
// poll reports a terminal as writable even if a whole line does not fit. No other process shares
// the new descriptor, so it can be made non-blocking.
func (s *stream) init(file *os.File) {
	s.file, s.fd = file, int(file.Fd())
	if _, err := unix.IoctlGetTermios(s.fd, unix.TCGETS); err != nil {
		return
	}
	s.terminal = true
	const flags = unix.O_WRONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	if fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(s.fd), flags, 0); err == nil {
		s.fd = fd
	}
}

// close closes the descriptor that init opened.
func (s *stream) close() {
	if s.fd != int(s.file.Fd()) {
		unix.Close(s.fd)
	}
}

// WriteNow writes line to file without blocking and reports whether the line was written. Lines
// longer than 4096 bytes are truncated.
func WriteNow(file *os.File, line []byte) bool {
	var s stream
	s.init(file)
	defer s.close()
	return s.write(line[:min(len(line), maxStreamLine)]) == written
}

// sendWithin writes a line to the stream. If the stream is not writable, sendWithin waits up to
// timeout.
func (s *stream) sendWithin(line []byte, timeout time.Duration) result {
	line = append(cut(line, maxStreamLine-1), '\n')
	r := s.write(line)
	if r == full && timeout > 0 {
		// Another writer may use the room first, so one wait is not enough.
		deadline := time.Now().Add(timeout)
		for left := timeout; r == full && left > 0 && waitRoom(s.fd, left) == written; left = time.Until(deadline) {
			r = s.write(line)
		}
	}
	return r
}

// send is like sendWithin but does not wait.
func (s *stream) send(line []byte) result { return s.sendWithin(line, 0) }

// write writes at most maxStreamLine bytes.
func (s *stream) write(line []byte) result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := waitRoom(s.fd, 0); room != written {
		return room
	}
	// A descriptor whose reader no longer exists also polls writable. The write then fails
	// immediately.
	switch n, err := unix.Write(s.fd, line); {
	case err == unix.EAGAIN:
		return full
	case err != nil || n != len(line):
		return lost
	}
	return written
}
