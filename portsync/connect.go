package portsync

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/systemd"
)

// Connector opens the databases and keeps trying, on a goroutine of its own, so
// that neither a slow dial nor a server that accepts and says nothing holds the
// loop up. It lives while the loop has no connection.
type Connector struct {
	// Map says where the databases are. It is asked at each try: on a switch that
	// boots, the file may come after us.
	Map func() (*sonicdb.Map, error)
	// Logs is set by CONFIG_DB's LOGGER row; a row without LOGLEVEL gets Level.
	Logs     *syslog.Handler
	Level    slog.Level
	Log      *slog.Logger
	Notifier *systemd.Notifier

	status     *Status
	loggerDone bool // the LOGGER row was completed once
	everOpen   bool
}

// Pauses between tries: a Redis that comes back is noticed within half a
// second, one that stays away costs two tries a second.
const (
	connectPauseMin = 20 * time.Millisecond
	connectPauseMax = 500 * time.Millisecond
	// complainEvery is how often a fault that lasts is logged again.
	complainEvery = 60 * time.Second
	// connectGrace is how long Redis may take to start beside us before that counts
	// as a fault in the log.
	connectGrace = 10 * time.Second
	// subscribePatience is how long a server may take to confirm subscriptions.
	subscribePatience = 2 * time.Second
	// startPatience is what the service manager is asked for, three times as often.
	startPatience = 30 * time.Second
)

// connect tries until it has a session or ctx ends, then returns nil. A start needs
// CONFIG_DB; afterwards, if its server has no other database of ours, a session can
// do without.
func (c *Connector) connect(ctx context.Context, needConfig bool) *session {
	pause := backoff.Backoff{Min: connectPauseMin, Max: connectPauseMax}
	faults := syslog.Limiters{Every: complainEvery}
	notices := syslog.Limiters{Every: startPatience / 3}
	began := time.Now()
	for {
		s, err := c.open(ctx, needConfig)
		if err == nil {
			c.everOpen = true
			c.status.sought(nil)
			return s
		}
		if ctx.Err() != nil {
			return nil
		}
		c.status.sought(err)
		// A database that starts beside us is part of normal operation; one that
		// stays away is not. The two lines have limits of their own.
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

// notifyWaiting keeps the service manager from taking a wait for Redis for a
// start that hangs.
func (c *Connector) notifyWaiting(err error) {
	states := []string{systemd.Status("waiting for the databases: %v", err)}
	if !c.everOpen {
		states = append(states, systemd.ExtendTimeout(startPatience))
	}
	if err := c.Notifier.Notify(states...); err != nil {
		c.Log.Warn("cannot notify the service manager", "error", err)
	}
}

// open makes one try.
func (c *Connector) open(ctx context.Context, needConfig bool) (*session, error) {
	m, err := c.Map()
	if err != nil {
		return nil, err
	}
	c.status.located(m)
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

// watch completes the LOGGER row at the first opening, starts one watch for each
// server, and has CONFIG_DB PORT followed. If CONFIG_DB is alone on its server, a
// configLink keeps that watch.
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
			return fmt.Errorf("watch the server of CONFIG_DB: %w", err)
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
		if knows(servers, db.Instance) {
			continue
		}
		servers = append(servers, db.Instance)
		conn, err := dial(ctx, db)
		if err != nil {
			return fmt.Errorf("watch the server of %s: %w", name, err)
		}
		w := &watch{conn: conn, notes: s.notes, done: s.done, log: c.Log}
		s.watches = append(s.watches, w)
		if err := subscribeInTime(ctx, w); err != nil {
			return fmt.Errorf("watch the server of %s: %w", name, err)
		}
	}
	for _, w := range s.watches {
		go w.run()
	}
	c.status.lostConfig(nil)
	if alone {
		dbs.configLost = link.drop
		go link.run()
	}
	s.ports.reread() // in case rows came or went before the subscription
	go s.ports.run()
	return nil
}

// watchConfig subscribes to CONFIG_DB's server and brings the log in step with the
// LOGGER row, which it reads over conn.
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

// subscribeInTime closes the connection of a server that does not answer, since
// a connection that listens has no deadline of its own.
func subscribeInTime(ctx context.Context, w *watch) error {
	ctx, cancel := context.WithTimeout(ctx, subscribePatience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	return w.subscribe()
}

// completeLogger reads the LOGGER row before anything else happens. A row that
// is none leaves the log as it is; a server that is not ready is an error.
func (c *Connector) completeLogger(l *loggerRow, conn *sonicdb.Conn) error {
	err := l.applyFrom(conn, !c.loggerDone)
	switch {
	case err == nil:
		c.loggerDone = true
	case isServerError(err) && !sonicdb.Temporary(err):
		c.Log.Error("cannot read the LOGGER row, the log stays as it is", "key", l.key(), "error", err)
	default:
		return fmt.Errorf("read the LOGGER row: %w", err)
	}
	return nil
}

func knows(servers []sonicdb.Instance, i sonicdb.Instance) bool {
	for _, s := range servers {
		if s.Same(i) {
			return true
		}
	}
	return false
}
