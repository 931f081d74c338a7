package lab

import (
	"errors"
	"net"
	"sync"
	"time"
)

// client is a connection or a caller of [DB.Do]. DB.mu guards all fields except conn and the
// channels.
type client struct {
	id            int64 // 0 for a caller of Do
	addr          string
	name          string
	dbIndex       int
	authenticated bool

	inMulti bool
	dirty   bool // a queued command was rejected
	queue   [][]string
	inLua   bool

	channels set
	patterns set
	monitor  bool
	tracking *tracking

	conn    net.Conn
	out     []byte        // data to be sent by writeLoop
	sent    int           // bytes sent since the last SetFault
	wake    chan struct{} // out or closing changed; capacity 1
	room    chan struct{} // the writer took the data; capacity 1
	quit    bool          // the client sent QUIT
	closing bool          // the reader ended; close after out is sent

	dead       chan struct{} // closed by hangUp
	hangUpOnce sync.Once
}

const (
	// Maximum size in bytes of unread replies. When it is reached, the server stops reading the
	// client's commands.
	maxUnsent = 1 << 20
	// Maximum size in bytes of unread messages for a subscriber or monitor. When it is exceeded,
	// the connection is closed, as with client-output-buffer-limit pubsub.
	maxBehind = 32 << 20
	// Timeout for the last write before a connection is closed.
	lingerTimeout = 5 * time.Second
)

func (c *client) subscriptions() int { return len(c.channels) + len(c.patterns) }

// push queues the message r for sending to the client. The caller must hold the lock.
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

// signal sends to ch unless it is full. ch must have a capacity of 1.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Serve accepts connections on l until Close is called, then returns nil. It closes l. Several
// listeners can be served at the same time.
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

// Close closes all listeners and connections and waits for their goroutines. The data can still be
// read with Do.
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

// Disconnect closes all connections and removes all loaded scripts, as a server restart would. New
// connections are accepted.
func (db *DB) Disconnect() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, c := range db.clients {
		c.hangUp()
	}
	db.scripts.flush()
}

// attach adds a client for conn. It closes conn instead if the server is closed.
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

// clientAddr returns the client address shown by MONITOR. For a unix socket it is the server's
// path.
func clientAddr(conn net.Conn) string {
	if conn.LocalAddr().Network() == "unix" {
		return "unix:" + conn.LocalAddr().String()
	}
	return conn.RemoteAddr().String()
}

// detach removes c and tells the writer to finish.
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

// answer runs a client's command and queues the reply. It returns false if the connection must be
// closed.
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

// writeLoop sends the queued data. It closes the connection after the reader has ended.
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

// hangUp closes the connection and wakes the goroutines that wait for the client.
func (c *client) hangUp() {
	c.conn.Close()
	c.hangUpOnce.Do(func() { close(c.dead) })
}
