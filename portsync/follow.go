package portsync

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// follower reads the rows of the CONFIG_DB table PORT after keyspace notifications and after each
// call of reread, and sends the names and the PortInfo of the ports to the loop. It runs on its own
// goroutine and opens a connection for each read, so reads do not delay link messages.
type follower struct {
	ctx  context.Context
	db   sonicdb.Database
	wake chan struct{} // holds a value while a read is due

	mu      sync.Mutex
	deleted map[string]bool // rows deleted since the last read; guarded by mu
	flush   bool            // all rows were deleted; guarded by mu

	notes chan<- note
	done  <-chan struct{}
	log   *slog.Logger
}

// Delays of the follower.
const (
	// followDelay is the time from a notification to the read, so that the hundreds of rows
	// that a config reload writes are read together.
	followDelay = 100 * time.Millisecond
	// followRetry is the time from a failed read to the next one.
	followRetry = time.Second
)

// followChunk is the maximum number of rows that the follower requests at once. It limits the memory
// for the requests and the replies.
const followChunk = 32

func newFollower(ctx context.Context, db sonicdb.Database, s *session, log *slog.Logger) *follower {
	return &follower{ctx: ctx, db: db, wake: make(chan struct{}, 1), deleted: make(map[string]bool),
		notes: s.notes, done: s.done, log: log}
}

// pattern returns the pattern of the keyspace notifications for all rows of PORT.
func (f *follower) pattern() string {
	return fmt.Sprintf("__keyspace@%d__:%s", f.db.ID, f.table().Pattern())
}

func (f *follower) table() sonicdb.Table { return sonicdb.NewTable(f.db, "PORT") }

// concerns reports whether m is about a row of PORT.
func (f *follower) concerns(m *sonicdb.Message) bool {
	return f != nil && strings.HasPrefix(string(m.Channel), strings.TrimSuffix(f.pattern(), "*"))
}

// changed handles a notification about a row and schedules a read. It records deletions, because
// the read cannot show that a row was deleted and added again.
func (f *follower) changed(m *sonicdb.Message) {
	switch string(m.Payload.Str) {
	case "del", "rename_from", "expired", "evicted":
		f.mu.Lock()
		f.deleted[strings.TrimPrefix(string(m.Channel), strings.TrimSuffix(f.pattern(), "*"))] = true
		f.mu.Unlock()
	}
	f.reread()
}

// flushed handles a flush. Redis does not report which database was flushed.
func (f *follower) flushed() {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.flush = true
	f.mu.Unlock()
	f.reread()
}

// replaced returns the names whose rows were deleted since the last call.
func (f *follower) replaced(names []string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, name := range names {
		if f.flush || f.deleted[name] {
			out = append(out, name)
		}
	}
	clear(f.deleted)
	f.flush = false
	return out
}

// reread schedules a read. It does not block and may be called from any goroutine.
func (f *follower) reread() {
	if f == nil {
		return
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run reads when a read is due, until the session ends.
func (f *follower) run() {
	faults := syslog.Limiter{Every: complainEvery}
	failures := 0
	for {
		select {
		case <-f.wake:
		case <-f.done:
			return
		}
		if !f.sleep(followDelay) {
			return
		}
		// A later write causes another notification and another read.
		select {
		case <-f.wake:
		default:
		}
		names, infos, err := f.read()
		if err == nil {
			failures = 0
			select {
			case f.notes <- note{kind: notePorts, ports: names, infos: infos, replaced: f.replaced(names)}:
			case <-f.done:
				return
			}
			continue
		}
		// If the server was lost, the watch reports that before the second failure.
		if failures++; failures > 1 {
			select {
			case f.notes <- note{kind: noteUnread, err: err}:
			case <-f.done:
				return
			}
		}
		if failures > 1 || isServerError(err) {
			if ok, suppressed := faults.Allow(time.Now()); ok {
				f.log.Warn("cannot read the ports in CONFIG_DB; retrying", "error", err, "suppressed", suppressed)
			}
		}
		if !f.sleep(followRetry) {
			return
		}
		f.reread()
	}
}

// sleep waits for the given time. It returns false if the session ends first.
func (f *follower) sleep(pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-f.done:
		return false
	}
}

// read returns the names of the rows of PORT, sorted, and the infos of these ports in the same
// order. Keys that are not hashes are skipped.
func (f *follower) read() (names []string, infos []*PortInfo, err error) {
	c, err := dial(f.ctx, f.db)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to CONFIG_DB: %w", err)
	}
	defer c.Close()
	keys, err := c.Scan(f.table().Pattern())
	if err != nil {
		return nil, nil, fmt.Errorf("list the ports in CONFIG_DB: %w", err)
	}
	table := f.table()
	names, infos = make([]string, 0, len(keys)), make([]*PortInfo, 0, len(keys))
	for chunk := range slices.Chunk(keys, followChunk) {
		for _, key := range chunk {
			c.Send("HLEN", key)
			c.Command(2 + len(infoFields))
			c.String("HMGET")
			c.String(key)
			for _, field := range infoFields {
				c.String(field)
			}
		}
		if err := c.Flush(); err != nil {
			return nil, nil, fmt.Errorf("read the ports in CONFIG_DB: %w", err)
		}
		for _, key := range chunk {
			info, err := receivePort(c)
			if err != nil {
				return nil, nil, fmt.Errorf("read the ports in CONFIG_DB: %w", err)
			}
			if name, ok := table.KeyOf(key); ok && info != nil {
				names, infos = append(names, name), append(infos, info)
			}
		}
	}
	return names, infos, nil
}

// receivePort receives the replies to HLEN and HMGET for a row of PORT. It returns nil if the key
// no longer exists or is not a hash. If Redis cannot return the values, for example because one is
// too large, the PortInfo is empty.
func receivePort(c *sonicdb.Conn) (*PortInfo, error) {
	length, err := receiveUsable(c)
	if err != nil {
		return nil, err
	}
	exists := length != nil && length.Int > 0 // the next reply overwrites length
	values, err := receiveUsable(c)
	if err != nil || !exists {
		return nil, err
	}
	if values == nil {
		return new(PortInfo), nil
	}
	return newPortInfo(values.Array), nil
}

// receiveUsable receives a reply. It returns nil for an error reply that a retry cannot change.
func receiveUsable(c *sonicdb.Conn) (*sonicdb.Reply, error) {
	r, err := c.Receive()
	if sonicdb.AboutKey(err) {
		return nil, nil
	}
	return r, err
}
