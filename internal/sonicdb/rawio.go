package sonicdb

import (
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawIO reads and writes the socket of a connection with system calls that the Go scheduler does not
// see (raw calls). It returns the same results and errors as the net.Conn.
//
// A daemon that is idle between two link messages would otherwise pay more for the scheduler than for
// the system calls: the first ordinary system call after all goroutines have slept wakes the
// scheduler's monitor thread (sysmon), which then sleeps 20 µs at a time until all goroutines sleep
// again. For a raw call this is not necessary, because it does not block: MSG_DONTWAIT makes it fail
// with EAGAIN, and the goroutine then waits in the runtime poller like one in net.Conn.
//
// Raw calls get addresses as numbers. The package does not use unsafe, so they read and write a
// memory mapping, which does not move, and the data is copied (see slots in package netlinkraw).
type rawIO struct {
	conn net.Conn
	raw  syscall.RawConn
	mem  []byte  // rawSize bytes for received data, then as many for data to send
	base uintptr // address of mem[0]

	size  int           // bytes to receive or send
	done  int           // bytes received or sent
	errno syscall.Errno // result of the last call
	full  bool          // the last receive filled its memory

	receive, send func(fd uintptr) bool // method values; new ones for each call would allocate
}

// rawSize is the maximum number of bytes that a raw call receives or sends. A row and its reply need
// less than 200 bytes.
const rawSize = 4096

// newRawIO returns a rawIO for the connection, or nil if it has no socket or there is no memory.
func newRawIO(conn net.Conn) *rawIO {
	sock, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil
	}
	mem, err := unix.Mmap(-1, 0, 2*rawSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil
	}
	r := &rawIO{conn: conn, raw: raw, mem: mem, base: reflect.ValueOf(mem).Pointer()}
	r.receive, r.send = r.receiveNow, r.sendNow
	// Close can be called while another goroutine is in Read, so it cannot free the memory.
	runtime.AddCleanup(r, func(mem []byte) { unix.Munmap(mem) }, mem)
	return r
}

// Read implements [io.Reader]. After a read of rawSize bytes, it uses the net.Conn for the next read,
// which can return more at once.
func (r *rawIO) Read(p []byte) (int, error) {
	if r.full {
		r.full = false
		return r.conn.Read(p)
	}
	r.size, r.done = min(len(p), rawSize), 0
	err := r.raw.Read(r.receive)
	if err = r.named(err, "read"); err != nil {
		return 0, err
	}
	if r.done == 0 && r.size > 0 {
		return 0, io.EOF
	}
	r.full = r.done == rawSize
	n := copy(p, r.mem[:r.done])
	runtime.KeepAlive(r) // the memory is mapped until then
	return n, nil
}

// receiveNow makes one attempt to receive data. It returns false if it must be called again when the
// socket becomes readable.
func (r *rawIO) receiveNow(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, r.base, uintptr(r.size), unix.MSG_DONTWAIT, 0, 0)
		switch r.errno = errno; errno {
		case 0:
			r.done = int(n)
			return true
		case unix.EINTR:
		default:
			return errno != unix.EAGAIN
		}
	}
}

// Write implements [io.Writer]. It uses the net.Conn for more than rawSize bytes.
func (r *rawIO) Write(p []byte) (int, error) {
	if len(p) > rawSize {
		return r.conn.Write(p)
	}
	r.size, r.done = copy(r.mem[rawSize:], p), 0
	err := r.raw.Write(r.send)
	return r.done, r.named(err, "write")
}

// sendNow sends as much as the socket accepts. It returns false if it must be called again when the
// socket becomes writable.
func (r *rawIO) sendNow(fd uintptr) bool {
	for r.errno = 0; r.done < r.size; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, r.base+rawSize+uintptr(r.done), uintptr(r.size-r.done),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch r.errno = errno; errno {
		case 0:
			r.done += int(n)
		case unix.EINTR:
		default:
			return errno != unix.EAGAIN
		}
	}
	return true
}

// named returns the error that the net.Conn would return: err is the result of the raw connection,
// which is not nil after a timeout or Close, and otherwise r.errno is that of the system call.
func (r *rawIO) named(err error, op string) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		e.Op = op // instead of "raw-read" or "raw-write"
		return e
	}
	if err == nil && r.errno != 0 {
		local := r.conn.LocalAddr()
		return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: r.conn.RemoteAddr(), Err: os.NewSyscallError(op, r.errno)}
	}
	return err
}
