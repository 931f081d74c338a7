package sonicdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"portsyncd/internal/smallfile"
)

// defaultTimeout stands for a zero DialTimeout or IOTimeout.
const defaultTimeout = 2 * time.Second

// Options says where a server is and how long to wait for it.
type Options struct {
	Network string // "unix" or "tcp"
	Address string // socket path, or host:port
	DB      int    // number of the database

	DialTimeout time.Duration // for all of Dial; 0 means 2 s
	IOTimeout   time.Duration // for all replies to what one Flush sent; 0 means 2 s

	Username string // of an ACL user; may be empty with a password
	Password string // empty, and no PasswordFile: no AUTH is sent
	// PasswordFile is read by each Dial, so that a changed password needs no
	// restart. It replaces Password. A line break at its end does not count. If there
	// is no such file no AUTH is sent, since the server may need none.
	PasswordFile string
}

// Conn is one connection to one database. It belongs to one goroutine; only
// Close may be called from another.
type Conn struct {
	sock   timedConn
	in     *reader
	out    writer
	owed   int                         // replies of flushed commands not yet received
	broken error                       // set by the first failure, returned from then on
	closed atomic.Bool                 // with detach, what Close touches from any goroutine
	detach atomic.Pointer[func() bool] // of CloseWith
}

// Dial connects, authenticates if there is a password, and selects the
// database. It gives up when ctx ends or DialTimeout has passed. A refusal by
// the server is a ServerError in the chain.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeoutOr(o.DialTimeout))
	defer cancel()
	var missing error // why there is no password
	if o.PasswordFile != "" {
		password, err := readPassword(ctx, o.PasswordFile)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = err
		case err != nil:
			return nil, err
		}
		o.Password = password
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, o.Network, o.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to redis: %w", err)
	}
	c := newConn(nc, o.IOTimeout)
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = c.greet(o)
	if !stop() {
		err = ctx.Err() // it closed the connection, whatever greet made of that
	}
	if err != nil {
		c.Close()
		err = fmt.Errorf("open database %d of redis at %s: %w", o.DB, o.Address, err)
		if missing != nil {
			err = fmt.Errorf("%w; %w", err, missing)
		}
		return nil, err
	}
	return c, nil
}

// NewConn sets up a connection over nc, as [Dial] does over a connection of its own. The
// addresses and DialTimeout of o are not used. NewConn closes nc if it fails.
func NewConn(nc net.Conn, o Options) (*Conn, error) {
	c := newConn(nc, o.IOTimeout)
	if err := c.greet(o); err != nil {
		c.Close()
		return nil, fmt.Errorf("open database %d of redis: %w", o.DB, err)
	}
	return c, nil
}

func newConn(nc net.Conn, ioTimeout time.Duration) *Conn {
	c := &Conn{sock: timedConn{Conn: nc, timeout: timeoutOr(ioTimeout)}}
	c.in = newReader(&c.sock)
	return c
}

func timeoutOr(d time.Duration) time.Duration {
	if d <= 0 {
		return defaultTimeout
	}
	return d
}

// maxPassword limits the size of a password file in bytes.
const maxPassword = 64 << 10

// readPassword returns the content of a password file without line breaks at its end.
func readPassword(ctx context.Context, path string) (string, error) {
	text, err := smallfile.Read(ctx, path, maxPassword)
	if err != nil {
		return "", fmt.Errorf("read redis password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// authError returns what is wrong with the reply to AUTH. A server that needs no
// password says so, and is used without. Some errors repeat the arguments of a
// command, which here are secret.
func authError(err error, password string) error {
	refused, ok := errors.AsType[ServerError](err)
	if !ok {
		return err
	}
	text := string(refused)
	if strings.Contains(text, "without any password configured") || strings.Contains(text, "no password is set") {
		return nil // redis src/acl.c, authCommand; before 6.0 src/server.c
	}
	return ServerError(strings.ReplaceAll(text, password, "(password)"))
}

// greet sends what a fresh connection needs, in one round trip.
func (c *Conn) greet(o Options) error {
	switch {
	case o.Password == "":
	case o.Username == "":
		c.Send("AUTH", o.Password)
	default:
		c.Send("AUTH", o.Username, o.Password)
	}
	c.Send("SELECT", strconv.Itoa(o.DB))
	if _, err := c.sock.Write(c.out.buf); err != nil {
		// A server with too many clients says so and hangs up without
		// waiting for a command (redis src/networking.c, acceptCommonHandler).
		if r, e := c.in.next(); e == nil && r.Kind == Error {
			return ServerError(r.Str)
		}
		return fmt.Errorf("write commands: %w", err)
	}
	c.owed = c.out.queued
	c.out.reset()
	if o.Password != "" {
		if _, err := c.Receive(); err != nil {
			if err = authError(err, o.Password); err != nil {
				return err
			}
		}
	}
	_, err := c.Receive()
	return err
}

// Command begins a command of nargs arguments, its name included. The caller
// appends exactly that many with String, Bytes and Int. A wrong number is an
// error of Flush, which then sends nothing and closes the connection.
func (c *Conn) Command(nargs int) { c.out.begin(nargs) }

// String appends one argument.
func (c *Conn) String(s string) { c.out.string(s) }

// Bytes appends one argument. It copies b.
func (c *Conn) Bytes(b []byte) { c.out.bytes(b) }

// Int appends one argument in decimal.
func (c *Conn) Int(n int64) { c.out.int(n) }

// Send appends one whole command.
func (c *Conn) Send(args ...string) {
	c.Command(len(args))
	for _, a := range args {
		c.String(a)
	}
}

// Flush writes the appended commands. Once it has returned nil each of them is
// owed a reply.
//
// A server that does not read while its replies wait to be read would block a
// very long batch until IOTimeout. Redis itself is not such a server.
func (c *Conn) Flush() error {
	defer c.out.reset()
	if err := c.usable(); err != nil {
		return err
	}
	if c.out.check(); c.out.err != nil {
		return c.fail(c.out.err)
	}
	if len(c.out.buf) == 0 {
		return nil
	}
	if _, err := c.sock.Write(c.out.buf); err != nil {
		return c.fail(fmt.Errorf("write commands: %w", err))
	}
	if !c.sock.patient { // else the answers come as messages
		c.owed += c.out.queued
	}
	return nil
}

// Pending returns the number of replies still owed for commands that were
// flushed. It is 0 once the connection has failed.
func (c *Conn) Pending() int { return c.owed }

// Receive returns the next reply, in the order of the commands; it is valid
// until the next one is received. An error reply is returned as a ServerError.
func (c *Conn) Receive() (*Reply, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if c.owed == 0 {
		return nil, c.fail(errors.New("receive a reply: none is owed"))
	}
	r, err := c.in.next()
	if err != nil {
		return nil, c.fail(fmt.Errorf("read reply: %w", err))
	}
	c.owed--
	if r.Kind == Error {
		return nil, ServerError(r.Str)
	}
	return r, nil
}

// ReceiveBool receives the reply of a command such as HEXISTS, which answers 1
// or 0. Another integer is no answer, and a protocol error: who believed it could
// take what is there for absent.
func (c *Conn) ReceiveBool() (bool, error) {
	r, err := c.Receive()
	switch {
	case err != nil:
		return false, err
	case r.Kind != Integer:
		return false, c.mismatch("0 or 1", r)
	case r.Int != 0 && r.Int != 1:
		return false, c.fail(&ProtocolError{Want: "0 or 1", Got: strconv.FormatInt(r.Int, 10)})
	}
	return r.Int == 1, nil
}

// Do is one round trip: it sends one command and returns its reply. Nothing
// else may be queued or owed.
func (c *Conn) Do(args ...string) (*Reply, error) {
	c.Send(args...)
	return c.roundTrip()
}

// roundTrip flushes the one queued command and returns its reply.
func (c *Conn) roundTrip() (*Reply, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	if c.owed != 1 {
		return nil, c.fail(fmt.Errorf("round trip while %d other replies are owed", c.owed-1))
	}
	return c.Receive()
}

// Close closes the connection. It may be called from any goroutine, and more
// than once; a blocked call returns with an error that is net.ErrClosed.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if detach := c.detach.Swap(nil); detach != nil {
		(*detach)()
	}
	return c.sock.Conn.Close()
}

// CloseWith has the connection closed when ctx ends. It is called once, before the
// connection is closed.
func (c *Conn) CloseWith(ctx context.Context) {
	detach := context.AfterFunc(ctx, func() { c.Close() })
	c.detach.Store(&detach)
}

func (c *Conn) usable() error {
	if c.broken == nil && c.closed.Load() {
		c.broken = net.ErrClosed
	}
	return c.broken
}

// fail closes the connection for good because of cause, and returns cause.
func (c *Conn) fail(cause error) error {
	if c.closed.Load() && !errors.Is(cause, net.ErrClosed) {
		cause = fmt.Errorf("%w: %w", net.ErrClosed, cause)
	}
	c.Close()
	c.owed = 0
	c.broken = fmt.Errorf("%w earlier: %w", net.ErrClosed, cause)
	return cause
}

// mismatch fails the connection because a reply does not fit its command.
func (c *Conn) mismatch(want string, r *Reply) error {
	return c.fail(&ProtocolError{Want: want, Got: r.Kind.String()})
}

// timedConn bounds each exchange: a write, and the time that all reads until the next
// write wait together. A server that sends its reply one byte at a time gains nothing
// by it, and a caller that was held up between two calls loses nothing. Deadlines
// move only now and then, since reading the clock is much cheaper than setting the
// runtime's timers: an exchange times out after timeout to timeout*9/8.
type timedConn struct {
	net.Conn
	timeout time.Duration
	set     time.Time     // when the deadlines were last moved
	waited  time.Duration // in reads, since the last write
	patient bool          // reads wait for ever
}

func (t *timedConn) Read(p []byte) (int, error) {
	if t.patient {
		return t.Conn.Read(p)
	}
	begin := time.Now()
	left := t.timeout - t.waited
	if left <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	if err := t.extend(begin, left); err != nil {
		return 0, err
	}
	n, err := t.Conn.Read(p)
	t.waited += time.Since(begin)
	return n, err
}

func (t *timedConn) Write(p []byte) (int, error) {
	t.restart()
	if err := t.extend(time.Now(), t.timeout); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

// restart gives what comes next the whole timeout.
func (t *timedConn) restart() { t.waited = 0 }

// extend moves the deadline to left from now, or leaves it where it is if it was set
// a moment ago.
func (t *timedConn) extend(now time.Time, left time.Duration) error {
	if now.Sub(t.set) < t.timeout/8 {
		return nil
	}
	t.set = now
	deadline := now.Add(left + t.timeout/8)
	if t.patient {
		return t.Conn.SetWriteDeadline(deadline)
	}
	return t.Conn.SetDeadline(deadline)
}

// waitForEver takes the deadline off reads.
func (t *timedConn) waitForEver() error {
	t.patient = true
	return t.Conn.SetReadDeadline(time.Time{})
}
