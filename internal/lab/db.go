package lab

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// DBOptions says how a [DB] is set up. The zero value is a server as Redis
// starts without a configuration file.
type DBOptions struct {
	// Databases is how many databases there are, 16 if 0. SONiC has 32.
	Databases int
	// Password, if not empty, must be given with AUTH.
	Password string
	// Notify is notify-keyspace-events. SONiC has "AKE".
	Notify string
}

// DB is an in-memory SONiC database with the interface of a Redis 7.0 server.
// Each command is atomic. Its methods may be called from any goroutine.
type DB struct {
	password string

	mu        sync.Mutex // guards all below; held while a command runs
	keyspaces []keyspace
	notify    eventClass
	clients   map[int64]*client
	lastID    int64
	monitors  int // how many clients are in MONITOR
	scripts   scripts
	fault     Fault
	changed   chan struct{} // closed by the next write; nil if nobody waits
	listeners []net.Listener
	closed    bool
	running   sync.WaitGroup // the goroutines of all connections
	started   time.Time
}

// keyspace is one numbered database. A value is a string, a *hash or a set.
type keyspace map[string]any

type set map[string]struct{}

// hash keeps its fields in the order in which they came, as Redis does for
// the small hashes that SONiC has.
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

// NewDB returns an empty database. It panics if o.Notify has a letter that
// Redis does not know.
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

// Do runs one command on database n, as a client in this process. An error
// answer comes as an [ErrorReply] in err. Faults do not touch it, and
// commands that need a connection, such as SUBSCRIBE, are refused.
func (db *DB) Do(n int, args ...string) (Reply, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if n < 0 || n >= len(db.keyspaces) {
		return nil, fmt.Errorf("lab: no database %d: there are %d", n, len(db.keyspaces))
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

// Hash returns the fields of a hash in database n, nil if there is no such key
// or it is not a hash.
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

// Await returns nil once cond is true. It asks at once, and again after each
// command that changed something. cond may use the database. If ctx ends
// first, its error is returned.
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
			return fmt.Errorf("await database content: %w", ctx.Err())
		}
	}
}

// touch tells all whom it may concern that key changed: subscribers of the
// keyspace event, caching clients, and Await. The lock is held.
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
