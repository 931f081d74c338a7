package lab

import (
	"errors"
	"net"
	"sync"
	"time"
)

// client is one connection, or a caller of [DB.Do]. All fields but conn and the
// channels are guarded by DB.mu.
type client struct {
	id            int64 // 0 for a caller of Do
	addr          string
	name          string
	dbIndex       int
	authenticated bool

	inMulti bool
	dirty   bool // a queued command was refused
	queue   [][]string
	inLua   bool

	channels set
	patterns set
	monitor  bool
	tracking *tracking

	conn    net.Conn
	out     []byte        // what the writer has not taken yet
	sent    int           // bytes of replies since the last SetFault
	wake    chan struct{} // out or closing changed; capacity 1
	room    chan struct{} // the writer took out; capacity 1
	quit    bool          // the client said QUIT
	closing bool          // the reader has ended: close once out is sent

	dead       chan struct{} // closed by hangUp
	hangUpOnce sync.Once
}

const (
	// A client that does not read its answers is not read from beyond this.
	maxUnsent = 1 << 20
	// A subscriber or monitor that does not read is cut off beyond this, as
	// client-output-buffer-limit pubsub does.
	maxBehind = 32 << 20
	// What is left to say to a connection that ends must be read within this.
	lingerTimeout = 5 * time.Second
)

func (c *client) subscriptions() int { return len(c.channels) + len(c.patterns) }

// push queues r for the client. The lock is held.
func (c *client) push(r Reply) {
	if c.conn == nil || c.closing {
		return
	}
	c.out = appendReply(c.out, r)
	if len(c.out) > maxBehind {
		c.hangUp()
	}
	signal(c.wake)
}

// signal makes the next receive from ch, of capacity 1, succeed.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Serve accepts connections on l until Close, and then returns nil. It closes
// l. Several listeners may be served at a time.
func (db *DB) Serve(l net.Listener) error {
	defer l.Close()
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.listeners = append(db.listeners, l)
	db.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			db.mu.Lock()
			defer db.mu.Unlock()
			if db.closed {
				return nil
			}
			return err
		}
		if c := db.attach(conn); c != nil {
			go db.readLoop(c)
			go db.writeLoop(c)
		}
	}
}

// Close ends all listeners and connections and waits for their goroutines.
// The content stays and can be read with Do.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	for _, l := range db.listeners {
		l.Close()
	}
	db.mu.Unlock()
	db.Disconnect()
	db.running.Wait()
	return nil
}

// Disconnect cuts all connections, as a server does that is restarted, and
// forgets all loaded scripts. New connections are accepted.
func (db *DB) Disconnect() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, c := range db.clients {
		c.hangUp()
	}
	db.scripts.flush()
}

// attach makes a client of conn, or closes it if the server is closed.
func (db *DB) attach(conn net.Conn) *client {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		conn.Close()
		return nil
	}
	db.lastID++
	c := &client{
		id:            db.lastID,
		addr:          clientAddr(conn),
		authenticated: db.password == "",
		channels:      set{},
		patterns:      set{},
		conn:          conn,
		wake:          make(chan struct{}, 1),
		room:          make(chan struct{}, 1),
		dead:          make(chan struct{}),
	}
	db.clients[c.id] = c
	db.running.Add(2)
	return c
}

// clientAddr is the client's address as MONITOR shows it. A client of a unix
// socket has none; the server's path stands for it.
func clientAddr(conn net.Conn) string {
	if conn.LocalAddr().Network() == "unix" {
		return "unix:" + conn.LocalAddr().String()
	}
	return conn.RemoteAddr().String()
}

// detach takes c out of every table and lets the writer finish.
func (db *DB) detach(c *client) {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.clients, c.id)
	if c.monitor {
		db.monitors--
	}
	c.closing = true
	signal(c.wake)
}

// readLoop reads and runs the commands of c until its connection ends.
func (db *DB) readLoop(c *client) {
	defer db.running.Done()
	defer db.detach(c)
	r := newRequestReader(c.conn)
	for {
		argv, err := r.read()
		var bad protocolError
		if errors.As(err, &bad) {
			db.mu.Lock()
			c.push(ErrorReply("ERR " + bad.Error()))
			db.mu.Unlock()
		}
		if err != nil {
			return
		}
		if len(argv) > 0 && !db.answer(c, argv) {
			return
		}
	}
}

// answer runs one command and queues its reply; false ends the connection.
func (db *DB) answer(c *client, argv []string) bool {
	if !db.pause(c) {
		return false
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	c.push(db.process(c, argv))
	for len(c.out) > maxUnsent {
		db.mu.Unlock()
		alive := true
		select {
		case <-c.room:
		case <-c.dead:
			alive = false
		}
		db.mu.Lock()
		if !alive {
			return false
		}
	}
	return !c.quit
}

// writeLoop sends what push queued, in order, and closes the connection when
// the reader has ended.
func (db *DB) writeLoop(c *client) {
	defer db.running.Done()
	defer c.hangUp()
	var buf []byte
	for range c.wake {
		db.mu.Lock()
		buf, c.out = c.out, buf[:0]
		last := c.closing
		cut := db.fault.admit(c, len(buf))
		db.mu.Unlock()
		signal(c.room)
		if last {
			c.conn.SetWriteDeadline(time.Now().Add(lingerTimeout))
		}
		if _, err := c.conn.Write(buf[:cut]); err != nil || last || cut < len(buf) {
			return
		}
	}
}

// hangUp closes the connection, which ends the reader, and what waits for the
// client.
func (c *client) hangUp() {
	c.conn.Close()
	c.hangUpOnce.Do(func() { close(c.dead) })
}
