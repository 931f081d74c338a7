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

// note is a message that a watch, the follower or a configLink sends to the loop.
type note struct {
	kind  noteKind
	conn  *sonicdb.Conn // noteConfig: the connection to CONFIG_DB
	ports []string      // notePorts: names of all rows of CONFIG_DB PORT, sorted
	infos []*PortInfo   // of notePorts: the infos of these ports
	err   error         // noteUnread: why CONFIG_DB PORT cannot be read
	// replaced holds the names whose row was deleted and added again since the last read.
	replaced []string
}

type noteKind uint8

const (
	noteLost    noteKind = iota // the server closed the connection
	noteFlushed                 // a database of the server was flushed
	notePorts                   // CONFIG_DB PORT was read
	noteUnread                  // CONFIG_DB PORT cannot be read
	noteConfig                  // CONFIG_DB, which is on a separate server, was reconnected
)

// watch listens to one Redis server on a separate connection. It detects a lost connection even if
// the loop has nothing to write, and flushes, which cause no keyspace notification. On the server
// of CONFIG_DB it also handles changes of the LOGGER row and of the table PORT. Each watch runs on
// its own goroutine, which blocks in reads until conn is closed.
type watch struct {
	conn   *sonicdb.Conn
	logger *loggerRow // nil unless the server has CONFIG_DB
	ports  *follower  // nil unless the server has CONFIG_DB
	notes  chan<- note
	done   <-chan struct{}
	log    *slog.Logger
}

// subscribe subscribes and waits for the server's confirmations, so that no change made after a
// later read or write is missed. If the server refuses, the watch only detects a lost connection.
// All subscriptions are sent before the first confirmation is received.
func (w *watch) subscribe() error {
	tracked := w.trackFlushes()
	if tracked != nil && !refusedForGood(tracked) {
		return fmt.Errorf("subscribe: %w", tracked)
	}
	var err error
	if tracked == nil {
		err = w.conn.Subscribe(sonicdb.InvalidateChannel)
	}
	if err == nil && w.logger != nil {
		err = w.conn.PSubscribe(w.logger.pattern())
	}
	if err == nil && w.ports != nil {
		err = w.conn.PSubscribe(w.ports.pattern())
	}
	if err == nil && tracked == nil {
		tracked = w.confirmed()
		err = unlessRefused(tracked)
	}
	if err == nil && w.logger != nil {
		err = w.confirmed()
	}
	if err == nil && w.ports != nil {
		refused := w.confirmed()
		if refusedForGood(refused) {
			w.log.Info("cannot subscribe to changes of the CONFIG_DB table PORT; changes are detected by audits", "error", refused)
		}
		err = unlessRefused(refused)
	}
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if tracked != nil {
		w.log.Info("cannot subscribe to flush notifications; flushes are detected by audits", "error", tracked)
	}
	return nil
}

// refusedForGood reports whether the server refused a command and would refuse it again.
func refusedForGood(err error) bool { return isServerError(err) && !sonicdb.Temporary(err) }

// unlessRefused returns err unless the server refused a command for good.
func unlessRefused(err error) error {
	if refusedForGood(err) {
		return nil
	}
	return err
}

// confirmed waits for the confirmation of one subscription.
func (w *watch) confirmed() error {
	for {
		m, err := w.conn.ReceiveMessage()
		if err != nil || m.Kind == sonicdb.Subscribed {
			return err
		}
	}
}

// trackFlushes makes the server report flushes on this connection. In broadcasting mode with a
// prefix that no key has, the server reports only flushes
// (https://redis.io/docs/latest/develop/reference/client-side-caching/). Redis versions before 6
// refuse the command; then audits find the rows that a flush deleted.
func (w *watch) trackFlushes() error {
	id, err := w.conn.Do("CLIENT", "ID")
	if err != nil {
		return err
	}
	_, err = w.conn.Do("CLIENT", "TRACKING", "ON", "REDIRECT", fmt.Sprint(id.Int),
		"BCAST", "PREFIX", "portsyncd-no-such-key:")
	return err
}

// run listens until the connection is lost and then notifies the loop.
func (w *watch) run() {
	w.listen()
	w.tell(note{kind: noteLost})
}

// listen handles messages of the server until the connection is lost.
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
			w.ports.flushed() // a flush of CONFIG_DB causes no keyspace notifications
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

// loggerRow applies the row LOGGER|portsyncd of CONFIG_DB to the log (PROTOCOL.md sections 5 and
// 10).
type loggerRow struct {
	ctx     context.Context
	db      sonicdb.Database
	logs    *syslog.Handler
	log     *slog.Logger
	initial slog.Level // level used if LOGLEVEL is missing
}

func (l *loggerRow) key() string { return sonicdb.NewTable(l.db, "LOGGER").Key(daemonName) }

func (l *loggerRow) channel() string {
	return fmt.Sprintf("__keyspace@%d__:%s", l.db.ID, l.key())
}

// pattern returns the subscription pattern of the C++ daemon.
func (l *loggerRow) pattern() string {
	return strings.TrimSuffix(l.channel(), daemonName) + "*"
}

// concerns reports whether m is about a write to the row. A deletion of the row has no effect.
func (l *loggerRow) concerns(m *sonicdb.Message) bool {
	return l != nil && string(m.Channel) == l.channel() && string(m.Payload.Str) == "hset"
}

// apply reads the row and sets the level and the output of the log. It opens a new connection,
// because changes are rare.
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

// applyFrom is like apply but reads over an existing connection to CONFIG_DB. If create is set, it
// also adds the missing fields of the row.
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
		l.log.Error("invalid LOGLEVEL; using NOTICE", "key", l.key(), "error", err)
		level = syslog.LevelNotice
	}
	if l.logs.Level() != level {
		l.logs.SetLevel(level)
		l.log.Log(l.ctx, syslog.LevelNotice, "log level changed", "to", syslog.LevelName(level))
	}
}

func (l *loggerRow) setOutput(name string) {
	output, err := syslog.ParseOutput(name)
	if err != nil {
		l.log.Error("invalid LOGOUTPUT; using SYSLOG", "key", l.key(), "error", err)
		output = syslog.Syslog
	}
	l.logs.SetOutput(output)
}

// session is a set of connections to the databases. It exists from a connect until a connection is
// lost.
type session struct {
	store   *Databases
	watches []*watch
	ports   *follower // nil in tests
	notes   chan note
	done    chan struct{}
	cancel  context.CancelFunc // closes connections opened later in the session; nil in tests
	once    sync.Once
}

// close closes the connections and ends the goroutines of the session.
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
