package portsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// note is what a watch, the follower or a configLink tells the loop.
type note struct {
	kind  noteKind
	conn  *sonicdb.Conn // of noteConfig: to CONFIG_DB
	ports []string      // of notePorts: all names of CONFIG_DB PORT, sorted
	// replaced names those of them whose row was deleted since the read before, and
	// is there again.
	replaced []string
}

type noteKind uint8

const (
	noteLost    noteKind = iota // the server went away, or cut the subscription
	noteFlushed                 // a database of the server was flushed
	notePorts                   // CONFIG_DB PORT was read
	noteConfig                  // CONFIG_DB's server, which has no other database of ours, is back
)

// watch listens to one Redis server beside the data path: for the death of the
// connection, which a loop that has nothing to write would not notice; for
// flushes, which no keyspace notification reports; and, where it is CONFIG_DB's
// server, for changes of the LOGGER row and of PORT. It blocks in a read and costs
// nothing while nothing happens. Each watch is a goroutine, stopped by closing conn.
type watch struct {
	conn   *sonicdb.Conn
	logger *loggerRow // nil but for CONFIG_DB's server
	ports  *follower  // likewise
	notes  chan<- note
	done   <-chan struct{}
	log    *slog.Logger
}

// subscribe sets the subscriptions up and returns once they are in force, so
// that whatever is read or written afterwards cannot change unnoticed. A server
// that refuses is watched for its death alone.
func (w *watch) subscribe() error {
	err := w.trackFlushes()
	if err == nil {
		err = w.conn.Subscribe(sonicdb.InvalidateChannel)
	}
	if err == nil {
		err = w.confirmed()
	}
	if isServerError(err) && !sonicdb.Temporary(err) {
		w.log.Info("the server does not announce flushes; the audit will notice them", "error", err)
		err = nil
	}
	if err == nil && w.logger != nil {
		err = w.follow(w.logger.pattern())
	}
	if err == nil && w.ports != nil {
		err = w.follow(w.ports.pattern())
		if isServerError(err) && !sonicdb.Temporary(err) {
			w.log.Info("the server does not announce changes of PORT; the audit will notice them", "error", err)
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// follow subscribes to all channels that match a pattern.
func (w *watch) follow(pattern string) error {
	if err := w.conn.PSubscribe(pattern); err != nil {
		return err
	}
	return w.confirmed()
}

// confirmed waits for the answer to one subscription.
func (w *watch) confirmed() error {
	for {
		m, err := w.conn.ReceiveMessage()
		if err != nil || m.Kind == sonicdb.Subscribed {
			return err
		}
	}
}

// trackFlushes makes the server announce flushes on this connection. In
// broadcasting mode with a prefix no key has, a flush is all that is ever
// announced (https://redis.io/docs/latest/develop/reference/client-side-caching/).
// A server before version 6 refuses; there the audit finds what a flush took.
func (w *watch) trackFlushes() error {
	id, err := w.conn.Do("CLIENT", "ID")
	if err != nil {
		return err
	}
	_, err = w.conn.Do("CLIENT", "TRACKING", "ON", "REDIRECT", fmt.Sprint(id.Int),
		"BCAST", "PREFIX", "portsyncd-no-such-key:")
	return err
}

// run ends with the connection and then tells the loop.
func (w *watch) run() {
	w.listen()
	w.tell(note{kind: noteLost})
}

// listen acts on what the server says until the connection ends.
func (w *watch) listen() error {
	for {
		m, err := w.conn.ReceiveMessage()
		switch {
		case err != nil:
			return err
		case m.Kind != sonicdb.Published:
		case w.logger.concerns(&m):
			w.logger.apply()
		case w.ports.concerns(&m):
			w.ports.changed(&m)
		case string(m.Channel) == sonicdb.InvalidateChannel && m.Payload.Kind == sonicdb.Null:
			w.ports.flushed() // no keyspace notification reports the rows of a flushed CONFIG_DB
			w.tell(note{kind: noteFlushed})
		}
	}
}

func (w *watch) tell(n note) {
	select {
	case w.notes <- n:
	case <-w.done:
	}
}

// loggerRow keeps the log in step with CONFIG_DB LOGGER|portsyncd (PROTOCOL.md
// sections 5 and 10).
type loggerRow struct {
	ctx     context.Context
	db      sonicdb.Database
	logs    *syslog.Handler
	log     *slog.Logger
	initial slog.Level // what a missing LOGLEVEL is set to
}

func (l *loggerRow) key() string { return sonicdb.NewTable(l.db, "LOGGER").Key(daemonName) }

func (l *loggerRow) channel() string {
	return fmt.Sprintf("__keyspace@%d__:%s", l.db.ID, l.key())
}

// pattern is the one the C++ daemon subscribes to.
func (l *loggerRow) pattern() string {
	return strings.TrimSuffix(l.channel(), daemonName) + "*"
}

// concerns reports whether a message is about a write to our row; its deletion
// changes nothing.
func (l *loggerRow) concerns(m *sonicdb.Message) bool {
	return l != nil && string(m.Channel) == l.channel() && string(m.Payload.Str) == "hset"
}

// apply reads the row and sets level and output by it. It uses a connection of
// its own, made for the moment, since changes are rare.
func (l *loggerRow) apply() {
	c, err := dial(l.ctx, l.db)
	if err == nil {
		defer c.Close()
		err = l.applyFrom(c, false)
	}
	if err != nil && l.ctx.Err() == nil {
		l.log.Error("cannot read the LOGGER row", "key", l.key(), "error", err)
	}
}

// applyFrom is apply over a connection to CONFIG_DB; create also adds what is
// missing in the row.
func (l *loggerRow) applyFrom(c *sonicdb.Conn, create bool) error {
	row, err := c.HGetAll(l.key())
	if err != nil {
		return err
	}
	level, hasLevel := sonicdb.Lookup(row, "LOGLEVEL")
	output, hasOutput := sonicdb.Lookup(row, "LOGOUTPUT")
	if create && (!hasLevel || !hasOutput) {
		if !hasLevel {
			level = syslog.LevelName(l.initial)
		}
		if !hasOutput {
			output = syslog.Syslog.String()
		}
		hasLevel, hasOutput = true, true
		err = c.HSet(l.key(), sonicdb.FieldValue{Field: "LOGLEVEL", Value: level},
			sonicdb.FieldValue{Field: "LOGOUTPUT", Value: output})
		if err != nil {
			return err
		}
	}
	if hasLevel {
		l.setLevel(sonicdb.TrimListMark(level))
	}
	if hasOutput {
		l.setOutput(sonicdb.TrimListMark(output))
	}
	return nil
}

func (l *loggerRow) setLevel(name string) {
	level, err := syslog.ParseLevel(name)
	if err != nil {
		l.log.Error("LOGLEVEL counts as NOTICE", "key", l.key(), "error", err)
		level = syslog.LevelNotice
	}
	if l.logs.Level() != level {
		l.logs.SetLevel(level)
		l.log.Log(l.ctx, syslog.LevelNotice, "log level changed", "level", syslog.LevelName(level))
	}
}

func (l *loggerRow) setOutput(name string) {
	output, err := syslog.ParseOutput(name)
	if err != nil {
		l.log.Error("LOGOUTPUT counts as SYSLOG", "key", l.key(), "error", err)
		output = syslog.Syslog
	}
	l.logs.SetOutput(output)
}

// session is one life of the connections to the databases.
type session struct {
	store   *Databases
	watches []*watch
	ports   *follower // nil in tests
	notes   chan note
	done    chan struct{}
	cancel  context.CancelFunc // closes connections that the session made later; nil in tests
	once    sync.Once
}

// close ends the session's connections and goroutines. Nothing is read from
// notes afterwards.
func (s *session) close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		if s.cancel != nil {
			s.cancel()
		}
		err = s.store.Close()
		for _, w := range s.watches {
			err = errors.Join(err, w.conn.Close())
		}
	})
	return err
}
