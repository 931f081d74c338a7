package sonicdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"portsyncd/internal/smallfile"
)

// defaultTimeout is used if DialTimeout or IOTimeout is zero.
const defaultTimeout = 2 * time.Second

// Options holds the address, timeouts and credentials for a connection.
type Options struct {
	Dialer  Dialer // nil: a [net.Dialer]
	Network string // "unix" or "tcp"
	Address string // socket path, or host:port
	DB      int    // database number

	DialTimeout time.Duration // timeout of Dial; 0 means 2 s
	IOTimeout   time.Duration // timeout for all replies to the commands of one Flush; 0 means 2 s

	Username string // ACL user; "" for the default user
	Password string // no AUTH is sent if Password and PasswordFile are empty
	// PasswordFile is the path of a file that contains the password. It overrides Password. Dial
	// reads the file each time, so a changed password does not require a restart. Trailing line
	// breaks are removed. If the file does not exist, no AUTH is sent, because the server may not
	// require it.
	PasswordFile string
	// Ping makes the connection fail if the server does not accept commands yet. A server that is
	// loading its data accepts SELECT, but refuses PING and other commands.
	Ping bool
}

// Conn is a connection to one database. It must be used by one goroutine; only Close may be called
// from others.
type Conn struct {
	sock        timedConn
	in          *reader
	out         writer
	outstanding int                         // number of replies to flushed commands that have not been received
	opening     *opening                    // nil after Complete
	broken      error                       // set by the first error; all later calls return it
	closed      atomic.Bool                 // closed and detach may be accessed by Close in any goroutine
	detach      atomic.Pointer[func() bool] // undoes CloseWith
}

// Dial connects to the server, authenticates if there is a password, and selects the database. It
// fails when ctx ends or after DialTimeout. If the server refuses a command, the error wraps a
// ServerError.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeoutOr(o.DialTimeout))
	defer cancel()
	c, err := Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = c.Complete()
	if !stop() { // ctx closed the connection
		c.Close()
		return nil, fmt.Errorf("open database %d of redis at %s: %w", o.DB, o.Address, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Begin is like [Dial] but does not wait for the replies of the server, so that several connections
// can be opened in the time of one. [Conn.Complete] must be called before other replies are
// received.
func Begin(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeoutOr(o.DialTimeout))
	defer cancel()
	var missing error // set if the password file does not exist
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
	dialer := o.Dialer
	if dialer == nil {
		dialer = new(net.Dialer)
	}
	nc, err := dialer.DialContext(ctx, o.Network, o.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to redis: %w", err)
	}
	c := newConn(nc, o.IOTimeout)
	c.opening = &opening{options: o, missing: missing}
	if err := c.sendHandshake(&o); err != nil {
		c.Close()
		return nil, c.opening.wrap(err)
	}
	return c, nil
}

// opening holds what Complete needs to know about a connection.
type opening struct {
	options Options
	missing error // the password file does not exist
}

// wrap adds the address to an error and, if the server requires another password, where the password
// comes from.
func (o *opening) wrap(err error) error {
	refused, _ := errors.AsType[ServerError](err)
	err = fmt.Errorf("open database %d of redis at %s: %w", o.options.DB, o.options.Address, err)
	file := o.options.PasswordFile
	switch code := refused.Code(); {
	case o.missing != nil:
		return fmt.Errorf("%w; %w", err, o.missing)
	case code == "NOAUTH" && file == "":
		return fmt.Errorf("%w; no password file is configured", err)
	case code == "NOAUTH":
		return fmt.Errorf("%w; the password file %q is empty", err, file)
	case code == "WRONGPASS" && file != "":
		return fmt.Errorf("%w; the password is that of %q", err, file)
	}
	return err
}

// Complete receives the replies to the commands that Begin sent. If it fails, it closes the
// connection. It does nothing if the connection is complete.
func (c *Conn) Complete() error {
	o := c.opening
	if o == nil {
		return nil
	}
	c.opening = nil
	if err := c.receiveHandshake(&o.options); err != nil {
		c.Close()
		return o.wrap(err)
	}
	return nil
}

// NewConn is like [Dial] but uses the established connection nc. It ignores the addresses and
// DialTimeout in o. If it fails, it closes nc.
func NewConn(nc net.Conn, o Options) (*Conn, error) {
	c := newConn(nc, o.IOTimeout)
	err := c.sendHandshake(&o)
	if err == nil {
		err = c.receiveHandshake(&o)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("open database %d of redis: %w", o.DB, err)
	}
	return c, nil
}

func newConn(nc net.Conn, ioTimeout time.Duration) *Conn {
	c := &Conn{sock: timedConn{Conn: nc, io: nc, timeout: timeoutOr(ioTimeout)}}
	if r := newRawIO(nc); r != nil {
		c.sock.io = r
	}
	c.in = newReader(&c.sock)
	return c
}

func timeoutOr(d time.Duration) time.Duration {
	if d <= 0 {
		return defaultTimeout
	}
	return d
}

// maxPassword is the maximum size of a password file in bytes.
const maxPassword = 64 << 10

// readPassword returns the content of a password file without trailing line breaks.
func readPassword(ctx context.Context, path string) (string, error) {
	text, err := smallfile.Read(ctx, path, maxPassword)
	if err != nil {
		return "", fmt.Errorf("read redis password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// authError returns the error of AUTH. It removes the password, since some error replies repeat the
// command's arguments. It returns nil if the server has no password and therefore needs no AUTH.
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

// sendHandshake sends AUTH, SELECT and PING, as far as o requires them.
func (c *Conn) sendHandshake(o *Options) error {
	switch {
	case o.Password == "":
	case o.Username == "":
		c.Send("AUTH", o.Password)
	default:
		c.Send("AUTH", o.Username, o.Password)
	}
	c.Send("SELECT", strconv.Itoa(o.DB))
	if o.Ping {
		c.Send("PING")
	}
	if _, err := c.sock.Write(c.out.buf); err != nil {
		// A server with too many clients sends an error and closes the connection before it reads a
		// command (redis src/networking.c, acceptCommonHandler).
		if r, e := c.in.next(); e == nil && r.Kind == Error {
			return ServerError(r.Str)
		}
		return fmt.Errorf("write commands: %w", err)
	}
	c.outstanding = c.out.queued
	c.out.reset()
	return nil
}

// receiveHandshake receives the replies to the commands of sendHandshake.
func (c *Conn) receiveHandshake(o *Options) error {
	if o.Password != "" {
		if _, err := c.Receive(); err != nil {
			if err = authError(err, o.Password); err != nil {
				return err
			}
		}
	}
	_, err := c.Receive()
	if err == nil && o.Ping {
		_, err = c.Receive()
	}
	return err
}

// Command starts a command with nargs arguments, including its name. The caller must append exactly
// nargs arguments with String, Bytes and Int. Otherwise Flush sends nothing, closes the connection
// and returns an error.
func (c *Conn) Command(nargs int) { c.out.begin(nargs) }

// String appends one argument.
func (c *Conn) String(s string) { c.out.string(s) }

// Bytes appends one argument. It copies b.
func (c *Conn) Bytes(b []byte) { c.out.bytes(b) }

// Int appends one argument in decimal.
func (c *Conn) Int(n int64) { c.out.int(n) }

// Send appends a complete command.
func (c *Conn) Send(args ...string) {
	c.Command(len(args))
	for _, a := range args {
		c.String(a)
	}
}

// Flush writes the appended commands. Their replies are returned by Receive.
//
// Flush does not read replies while it writes. This works because Redis keeps reading commands even
// if the client does not read the replies. With other servers, Flush could time out.
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
	if !c.sock.subscribed { // the replies to a subscription are messages
		c.outstanding += c.out.queued
	}
	return nil
}

// Pending returns the number of flushed commands whose replies have not been received. It returns 0
// after an error closed the connection.
func (c *Conn) Pending() int { return c.outstanding }

// Receive returns the next reply, in the order of the commands. The reply is valid until the next
// one is received. An error reply is returned as a ServerError.
func (c *Conn) Receive() (*Reply, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if c.outstanding == 0 {
		return nil, c.fail(errors.New("receive a reply: no command is pending"))
	}
	r, err := c.in.next()
	if err != nil {
		return nil, c.fail(fmt.Errorf("read reply: %w", err))
	}
	c.outstanding--
	if r.Kind == Error {
		return nil, ServerError(r.Str)
	}
	return r, nil
}

// ReceiveBool receives an integer reply that must be 1 (true) or 0 (false), such as that of
// HEXISTS. Any other reply is a protocol error.
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

// Do sends one command and returns its reply. No other command may be queued or pending.
func (c *Conn) Do(args ...string) (*Reply, error) {
	c.Send(args...)
	return c.roundTrip()
}

// roundTrip flushes the queued command and returns its reply.
func (c *Conn) roundTrip() (*Reply, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	if c.outstanding != 1 {
		return nil, c.fail(fmt.Errorf("cannot start a round trip while %d other commands are pending", c.outstanding-1))
	}
	return c.Receive()
}

// Close closes the connection. It may be called from any goroutine and more than once. A blocked call
// returns an error that wraps net.ErrClosed.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if detach := c.detach.Swap(nil); detach != nil {
		(*detach)()
	}
	return c.sock.Conn.Close()
}

// CloseWith closes the connection when ctx ends. It may be called at most once, before Close.
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

// fail closes the connection after the error cause. It returns the error for the caller to return.
func (c *Conn) fail(cause error) error {
	if c.closed.Load() && !errors.Is(cause, net.ErrClosed) {
		cause = fmt.Errorf("%w: %w", net.ErrClosed, cause)
	}
	c.Close()
	c.outstanding = 0
	c.broken = fmt.Errorf("%w because of an earlier error: %w", net.ErrClosed, cause)
	return cause
}

// mismatch closes the connection because the reply r does not have the expected type.
func (c *Conn) mismatch(want string, r *Reply) error {
	return c.fail(&ProtocolError{Want: want, Got: r.Kind.String()})
}

// timedConn applies a timeout to each write, and to the total time spent blocked in reads between
// two writes, so that a server cannot extend the timeout by sending one byte at a time. Time
// between calls does not count. timedConn does not set a deadline on each call, because that is
// much more expensive than reading the clock. The effective timeout is therefore up to timeout*9/8.
type timedConn struct {
	net.Conn
	io         io.ReadWriter // rawIO, or the net.Conn
	timeout    time.Duration
	set        time.Time     // when the deadlines were last set
	waited     time.Duration // time spent in reads since the last write
	subscribed bool          // reads have no timeout
}

func (t *timedConn) Read(p []byte) (int, error) {
	if t.subscribed {
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
	n, err := t.io.Read(p)
	t.waited += time.Since(begin)
	return n, err
}

func (t *timedConn) Write(p []byte) (int, error) {
	t.restart()
	if err := t.extend(time.Now(), t.timeout); err != nil {
		return 0, err
	}
	return t.io.Write(p)
}

// restart begins a new timeout.
func (t *timedConn) restart() { t.waited = 0 }

// extend sets the connection's deadline to now plus left, unless the deadline was set shortly
// before.
func (t *timedConn) extend(now time.Time, left time.Duration) error {
	if now.Sub(t.set) < t.timeout/8 {
		return nil
	}
	t.set = now
	deadline := now.Add(left + t.timeout/8)
	if t.subscribed {
		return t.Conn.SetWriteDeadline(deadline)
	}
	return t.Conn.SetDeadline(deadline)
}

// clearReadDeadline removes the timeout of reads.
func (t *timedConn) clearReadDeadline() error {
	t.subscribed = true
	return t.Conn.SetReadDeadline(time.Time{})
}
