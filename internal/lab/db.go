package lab

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// DBOptions configures a [DB]. The zero value uses Redis's defaults.
type DBOptions struct {
	// Databases is the number of databases; 0 means 16. SONiC uses 32.
	Databases int
	// Password is the password that clients must send with AUTH, or "" for none.
	Password string
	// Notify is the value of notify-keyspace-events. SONiC uses "AKE".
	Notify string
}

// DB is an in-memory database that behaves like a Redis 7.0 server. Commands are atomic. The
// methods may be called from any goroutine.
type DB struct {
	password string

	mu        sync.Mutex // guards the following fields; held while a command runs
	keyspaces []keyspace
	notify    eventClass
	clients   map[int64]*client
	lastID    int64
	monitors  int // number of clients in MONITOR
	scripts   scripts
	fault     Fault
	changed   chan struct{} // closed by the next write; nil unless Await is waiting
	listeners []net.Listener
	closed    bool
	running   sync.WaitGroup // goroutines of the connections
	started   time.Time
}

// keyspace holds the keys of one numbered database. Each value is a string, a *hash or a set.
type keyspace map[string]any

type set map[string]struct{}

// hash keeps its fields in insertion order, as Redis does for small hashes.
type hash struct {
	fields []string
	values map[string]string
}

func (h *hash) set(field, value string) (added bool) {
	_, had := h.values[field]
	if !had {
		h.fields = append(h.fields, field)
	}
	h.values[field] = value
	return !had
}

func (h *hash) del(field string) (deleted bool) {
	if _, had := h.values[field]; !had {
		return false
	}
	delete(h.values, field)
	for i, f := range h.fields {
		if f == field {
			h.fields = append(h.fields[:i], h.fields[i+1:]...)
			break
		}
	}
	return true
}

// NewDB returns an empty database. It panics if o.Notify contains an unknown letter.
func NewDB(o DBOptions) *DB {
	if o.Databases == 0 {
		o.Databases = 16
	}
	notify, err := parseEventClass(o.Notify)
	if err != nil {
		panic(err)
	}
	db := &DB{
		password:  o.Password,
		keyspaces: make([]keyspace, o.Databases),
		notify:    notify,
		clients:   make(map[int64]*client),
		started:   time.Now(),
	}
	for i := range db.keyspaces {
		db.keyspaces[i] = make(keyspace)
	}
	db.scripts.init()
	return db
}

// Do runs a command on database n without a connection. It returns an error reply as an
// [ErrorReply]. Faults do not apply. Commands that need a connection, such as SUBSCRIBE, return an
// error.
func (db *DB) Do(n int, args ...string) (Reply, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if n < 0 || n >= len(db.keyspaces) {
		return nil, fmt.Errorf("lab: database %d does not exist: must be less than %d", n, len(db.keyspaces))
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("lab: empty command")
	}
	c := &client{dbIndex: n, authenticated: true}
	r := db.process(c, args)
	if e, isErr := r.(ErrorReply); isErr {
		return nil, e
	}
	return r, nil
}

// Hash returns the fields of a hash in database n. It returns nil if the key does not exist or is
// not a hash.
func (db *DB) Hash(n int, key string) map[string]string {
	r, err := db.Do(n, "HGETALL", key)
	if err != nil {
		return nil
	}
	flat := r.([]Reply)
	if len(flat) == 0 {
		return nil
	}
	out := make(map[string]string, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		out[flat[i].(string)] = flat[i+1].(string)
	}
	return out
}

// Await blocks until cond returns true. It calls cond immediately and after each write. cond may
// use the database. Await returns an error if ctx ends first.
func (db *DB) Await(ctx context.Context, cond func() bool) error {
	for {
		db.mu.Lock()
		if db.changed == nil {
			db.changed = make(chan struct{})
		}
		changed := db.changed
		db.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for database content: %w", ctx.Err())
		}
	}
}

// touch notifies Await, subscribers of keyspace events and clients with tracking that key was
// changed. The caller must hold the lock.
func (db *DB) touch(c *client, class eventClass, event, key string) {
	db.notifyKeyspace(c.dbIndex, class, event, key)
	db.invalidate(c, key)
	db.wakeAwait()
}

func (db *DB) wakeAwait() {
	if db.changed != nil {
		close(db.changed)
		db.changed = nil
	}
}
