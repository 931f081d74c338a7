package syslog

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// retryEvery is the least time between two attempts to connect to the syslog daemon.
const retryEvery = time.Second

// maxStreamLine is the longest line on standard output and error, in bytes: PIPE_BUF of linux/limits.h. A pipe that
// polls writable has room for that much (pipe(7)).
const maxStreamLine = 4096

// socket is the connection to the syslog daemon. Its descriptor is opened once and lives as long as the process: when the daemon
// has been restarted, the same descriptor is connected again, as connect(2) allows for datagram sockets. Thus no
// goroutine can write to a descriptor that another one just closed, and none needs a lock.
type socket struct {
	path    string
	fd      atomic.Int64 // -1 until it could be opened
	start   time.Time    // retryAt counts from here
	retryAt atomic.Int64 // time.Duration since start of the next attempt to connect
}

// init connects for the first time.
func (s *socket) init(path string) {
	s.path, s.start = path, time.Now()
	s.fd.Store(-1)
	s.connect()
}

// outcome is what became of a line.
type outcome uint8

const (
	taken outcome = iota
	full          // there is somebody to take it, who has no room now
	lost
)

// send writes the datagram. ECONNREFUSED says that the daemon closed its
// socket, ENOTCONN that it did so earlier or was never there; after EAGAIN, a full queue, connecting again does no
// harm, and helps if the path belongs to another daemon by now. With patience send waits that long for room in a full
// queue.
func (s *socket) send(datagram []byte, patience time.Duration) outcome {
	err := s.write(datagram)
	if err == unix.EAGAIN && patience > 0 && s.waitRoom(patience) {
		err = s.write(datagram)
	}
	if err != nil && s.connect() {
		err = s.write(datagram)
	}
	switch err {
	case nil:
		return taken
	case unix.EAGAIN:
		return full
	}
	return lost
}

// waitRoom waits until the daemon's queue has room, and reports whether it has.
func (s *socket) waitRoom(patience time.Duration) bool {
	return waitRoom(int(s.fd.Load()), patience) == taken
}

// waitRoom waits until a descriptor has room.
func waitRoom(fd int, patience time.Duration) outcome {
	poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	switch n, err := unix.Poll(poll[:], int(patience.Milliseconds())); {
	case err != nil:
		return lost
	case n == 0:
		return full
	}
	return taken
}

func (s *socket) write(datagram []byte) error {
	_, err := unix.Write(int(s.fd.Load()), datagram)
	return err
}

// connect finds the daemon, unless somebody tried less than retryEvery ago, and tells whether it did.
func (s *socket) connect() bool {
	now, at := int64(time.Since(s.start)), s.retryAt.Load()
	if now < at || !s.retryAt.CompareAndSwap(at, now+int64(retryEvery)) {
		return false // too early, or another goroutine is at it
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
	return unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}) == nil
}

// stream is standard output or standard error. The descriptor may be shared with other processes, so it cannot be
// made non-blocking; instead it is written to only while it polls writable. The lock keeps another goroutine from filling
// the pipe in between; since nobody waits while holding it, it makes nobody wait.
type stream struct {
	mu   sync.Mutex
	file *os.File
}

// WriteNow writes the line, at most 4096 bytes of it, to a file that others may
// read or not: if writing would block, nothing is written. It reports whether the
// line went out whole.
func WriteNow(file *os.File, line []byte) bool {
	s := stream{file: file}
	return s.send(line[:min(len(line), maxStreamLine)]) == taken
}

// send writes the line, at most maxStreamLine bytes; it is taken if it went out whole.
func (s *stream) send(line []byte) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := int(s.file.Fd())
	if room := waitRoom(fd, 0); room != taken {
		return room
	}
	// A reader that is gone polls ready as well; write then fails at once.
	if n, err := unix.Write(fd, line); err != nil || n != len(line) {
		return lost
	}
	return taken
}
