package portsync

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/systemd"
)

// Connector connects to the databases and retries until it succeeds. It runs on its own goroutine
// while the loop is disconnected, so a slow dial or an unresponsive server does not delay the loop.
type Connector struct {
	// Map returns the addresses of the databases. It is called for each attempt, because the
	// database configuration file may appear after the daemon starts.
	Map func() (*sonicdb.Map, error)
	// Logs is configured by the LOGGER row of CONFIG_DB. If the row has no LOGLEVEL, Level is used.
	Logs     *syslog.Handler
	Level    slog.Level
	Log      *slog.Logger
	Notifier *systemd.Notifier

	status     *Status
	failed     func()      // called when an attempt fails
	loggerDone atomic.Bool // missing fields of the LOGGER row were added; atomic because an ending configLink can overlap the next session
	connected  bool        // an attempt has succeeded
}

// reportTo sets the Status in which the Connector stores the addresses of the databases and
// connection errors, and a function that is called when an attempt fails. It is called by NewLoop.
func (c *Connector) reportTo(s *Status, failed func()) { c.status, c.failed = s, failed }

// Pauses between attempts. A Redis server that comes back is noticed within half a second; one that
// stays down costs two attempts a second.
const (
	connectPauseMin = 20 * time.Millisecond
	connectPauseMax = 500 * time.Millisecond
	// complainEvery is the interval at which a persistent error is logged again.
	complainEvery = 60 * time.Second
	// connectGrace is how long Redis may be unreachable before this is logged as an error.
	connectGrace = 10 * time.Second
	// subscribeTimeout is how long a server may take to confirm subscriptions.
	subscribeTimeout = 2 * time.Second
	// startExtension is how far each notification to the service manager extends the start timeout. The
	// Connector sends up to three notifications in that time.
	startExtension = 30 * time.Second
)

// connect retries until it has a session. It returns nil if ctx ends first. If CONFIG_DB is on a
// separate server, its connection is optional unless needConfig is set, which is the case at
// startup.
func (c *Connector) connect(ctx context.Context, needConfig bool) *session {
	pause := backoff.Backoff{Min: connectPauseMin, Max: connectPauseMax}
	faults := syslog.Limiters{Every: complainEvery}
	notices := syslog.Limiters{Every: startExtension / 3}
	began := time.Now()
	for {
		s, err := c.open(ctx, needConfig)
		if err == nil {
			c.connected = true
			c.status.setConnectError(nil)
			return s
		}
		if ctx.Err() != nil {
			return nil
		}
		c.status.setConnectError(err)
		c.failed()
		// Redis may still be starting: that is logged as a notice, and as an error only after
		// connectGrace. Each of the two messages has its own rate limit.
		now := time.Now()
		level, text := syslog.LevelNotice, "waiting for Redis"
		if now.Sub(began) >= connectGrace {
			level, text = syslog.LevelError, "cannot connect to Redis; retrying"
		}
		if ok, suppressed := faults.Allow(text+err.Error(), now); ok {
			c.Log.Log(ctx, level, text, "error", err, "suppressed", suppressed)
		}
		if ok, _ := notices.Allow(err.Error(), now); ok {
			c.notifyWaiting(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause.Next()):
		}
	}
}

// notifyWaiting notifies the service manager that startup is waiting for Redis and extends the
// start timeout.
func (c *Connector) notifyWaiting(err error) {
	states := []string{systemd.Status("waiting for the databases: %v", err)}
	if !c.connected {
		states = append(states, systemd.ExtendTimeout(startExtension))
	}
	if err := c.Notifier.Notify(states...); err != nil {
		c.Log.Warn("cannot notify the service manager", "error", err)
	}
}

// open tries once to connect to all databases and returns the new session.
func (c *Connector) open(ctx context.Context, needConfig bool) (*session, error) {
	m, err := c.Map()
	if err != nil {
		return nil, err
	}
	c.status.setAddresses(m)
	alone, err := configAlone(m)
	if err != nil {
		return nil, err
	}
	dbs, err := openDatabases(ctx, m, needConfig || !alone)
	if err != nil {
		return nil, err
	}
	s := &session{store: dbs, notes: make(chan note, 4), done: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	if err := c.watch(ctx, m, s, dbs, alone); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// watch starts a watch for each server and the follower of the CONFIG_DB table PORT. The first call
// also adds the missing fields of the LOGGER row. If alone is set, CONFIG_DB is on a separate
// server, which is watched by a configLink.
func (c *Connector) watch(ctx context.Context, m *sonicdb.Map, s *session, dbs *Databases, alone bool) error {
	config, err := m.Database("CONFIG_DB")
	if err != nil {
		return err
	}
	s.ports = newFollower(ctx, config, s, c.Log)
	link := &configLink{connector: c, ctx: ctx, db: config, session: s}
	servers := []sonicdb.Instance{config.Instance}
	if dbs.config != nil {
		w, err := c.watchConfig(ctx, config, s, dbs.config)
		if err != nil {
			return fmt.Errorf("monitor Redis server for CONFIG_DB: %w", err)
		}
		if alone {
			link.watch.Store(w)
		} else {
			s.watches = append(s.watches, w)
		}
	}
	for _, name := range []string{"APPL_DB", "STATE_DB"} {
		db, err := m.Database(name)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(servers, db.Instance.Same) {
			continue
		}
		servers = append(servers, db.Instance)
		conn, err := dial(ctx, db)
		if err != nil {
			return fmt.Errorf("monitor Redis server for %s: %w", name, err)
		}
		w := &watch{conn: conn, notes: s.notes, done: s.done, log: c.Log}
		s.watches = append(s.watches, w)
		if err := subscribeInTime(ctx, w); err != nil {
			return fmt.Errorf("monitor Redis server for %s: %w", name, err)
		}
	}
	for _, w := range s.watches {
		go w.run()
	}
	c.status.beginConfig(link)
	if dbs.config != nil {
		c.status.setConfigError(link, nil)
	}
	if alone {
		dbs.onConfigError(link.drop)
		go link.run()
	}
	s.ports.reread() // in case rows changed before the subscription
	go s.ports.run()
	return nil
}

// watchConfig subscribes to the server of CONFIG_DB. It reads the LOGGER row over conn and applies
// it.
func (c *Connector) watchConfig(ctx context.Context, db sonicdb.Database, s *session, conn *sonicdb.Conn) (*watch, error) {
	listener, err := dial(ctx, db)
	if err != nil {
		return nil, err
	}
	w := &watch{conn: listener, ports: s.ports, notes: s.notes, done: s.done, log: c.Log,
		logger: &loggerRow{ctx: ctx, db: db, logs: c.Logs, log: c.Log, initial: c.Level}}
	if err = subscribeInTime(ctx, w); err == nil {
		err = c.completeLogger(w.logger, conn)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return w, nil
}

// subscribeInTime subscribes and closes the connection if the server does not confirm in time. A
// connection that waits for notifications has no deadline of its own.
func subscribeInTime(ctx context.Context, w *watch) error {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	return w.subscribe()
}

// completeLogger applies the log settings in the LOGGER row. The first call also adds missing
// fields to the row. If the key is not a hash, completeLogger logs this and ignores the row. It
// returns an error if the server is not ready.
func (c *Connector) completeLogger(l *loggerRow, conn *sonicdb.Conn) error {
	err := l.applyFrom(conn, !c.loggerDone.Load())
	switch {
	case err == nil:
		c.loggerDone.Store(true)
	case isServerError(err) && !sonicdb.Temporary(err):
		c.Log.Error("cannot read the LOGGER row; keeping the log settings", "key", l.key(), "error", err)
	default:
		return fmt.Errorf("read the LOGGER row: %w", err)
	}
	return nil
}
