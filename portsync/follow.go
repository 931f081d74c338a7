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

// follower keeps the loop informed of which ports CONFIG_DB has. It reads the
// keys of PORT after each keyspace notification about them, and whenever reread
// is called, and hands the names to the loop as a note. It is a goroutine of its
// own with a connection for each read, so that no read delays a link event.
type follower struct {
	ctx  context.Context
	db   sonicdb.Database
	wake chan struct{} // has an element while a read is due

	mu      sync.Mutex
	deleted map[string]bool // rows deleted since the last read; guarded by mu
	flush   bool            // all were; guarded by mu

	notes chan<- note
	done  <-chan struct{}
	log   *slog.Logger
}

// Pauses of the follower.
const (
	// followDelay is the time from a notification to the read. A config reload
	// writes hundreds of rows; they are read together.
	followDelay = 100 * time.Millisecond
	// followRetry is the time from a failed read to the next one.
	followRetry = time.Second
)

func newFollower(ctx context.Context, db sonicdb.Database, s *session, log *slog.Logger) *follower {
	return &follower{ctx: ctx, db: db, wake: make(chan struct{}, 1), deleted: make(map[string]bool),
		notes: s.notes, done: s.done, log: log}
}

// pattern matches the keyspace notifications of all PORT rows.
func (f *follower) pattern() string {
	return fmt.Sprintf("__keyspace@%d__:%s", f.db.ID, f.table().Pattern())
}

func (f *follower) table() sonicdb.Table { return sonicdb.NewTable(f.db, "PORT") }

// concerns reports whether a message is about a PORT row.
func (f *follower) concerns(m *sonicdb.Message) bool {
	return f != nil && strings.HasPrefix(string(m.Channel), strings.TrimSuffix(f.pattern(), "*"))
}

// changed has the rows read after a message about one of them. Which rows there
// are is read, not inferred; but a row that is deleted and added in between would
// look as if nothing had happened.
func (f *follower) changed(m *sonicdb.Message) {
	switch string(m.Payload.Str) {
	case "del", "rename_from", "expired", "evicted":
		f.mu.Lock()
		f.deleted[strings.TrimPrefix(string(m.Channel), strings.TrimSuffix(f.pattern(), "*"))] = true
		f.mu.Unlock()
	}
	f.reread()
}

// flushed is for a database that was emptied; which one it was is not announced.
func (f *follower) flushed() {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.flush = true
	f.mu.Unlock()
	f.reread()
}

// replaced returns which of the names had their row deleted since it was last
// called.
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

// reread has the rows read soon. It may be called from any goroutine and does
// not wait.
func (f *follower) reread() {
	if f == nil {
		return
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run reads until the session ends.
func (f *follower) run() {
	complaint := syslog.Limiter{Every: complainEvery}
	for {
		select {
		case <-f.wake:
		case <-f.done:
			return
		}
		if !f.sleep(followDelay) {
			return
		}
		// What is written from here on has another notification and another read.
		select {
		case <-f.wake:
		default:
		}
		names, err := f.read()
		if err == nil {
			select {
			case f.notes <- note{kind: notePorts, ports: names, replaced: f.replaced(names)}:
			case <-f.done:
				return
			}
			continue
		}
		// A lost server has a watch that says so.
		if ok, suppressed := complaint.Allow(time.Now()); ok && isServerError(err) {
			f.log.Warn("cannot follow CONFIG_DB; retrying", "error", err, "suppressed", suppressed)
		}
		if !f.sleep(followRetry) {
			return
		}
		f.reread()
	}
}

// sleep reports whether the session still lasts after a pause.
func (f *follower) sleep(pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-f.done:
		return false
	}
}

// read returns the names of the PORT rows, sorted. A key that is no hash is no
// row.
func (f *follower) read() ([]string, error) {
	c, err := dial(f.ctx, f.db)
	if err != nil {
		return nil, fmt.Errorf("follow the ports of CONFIG_DB: %w", err)
	}
	defer c.Close()
	keys, err := c.Scan(f.table().Pattern())
	if err != nil {
		return nil, fmt.Errorf("list the ports of CONFIG_DB: %w", err)
	}
	names := make([]string, 0, len(keys))
	for chunk := range slices.Chunk(keys, publishChunk) {
		if names, err = f.appendRows(names, c, chunk); err != nil {
			return nil, fmt.Errorf("look at the ports of CONFIG_DB: %w", err)
		}
	}
	return names, nil
}

// appendRows appends the names of those keys that are hashes now.
func (f *follower) appendRows(names []string, c *sonicdb.Conn, keys []string) ([]string, error) {
	table := f.table()
	for _, key := range keys {
		c.Send("HLEN", key)
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	var refused error
	for _, key := range keys {
		r, err := c.Receive()
		switch {
		case err != nil && (!isServerError(err) || sonicdb.Temporary(err)):
			refused = err
		case err != nil || r.Int == 0: // another type, or deleted since
		default:
			if name, ok := table.KeyOf(key); ok {
				names = append(names, name)
			}
		}
		if refused != nil && !isServerError(refused) {
			return nil, refused
		}
	}
	return names, refused
}
