package portsync

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// errConfigDown is returned by reads of CONFIG_DB while its own server is not connected. APPL_DB
// and STATE_DB are on another server and remain usable.
var errConfigDown = errors.New("CONFIG_DB is not connected")

// configPause is the interval between attempts to read CONFIG_DB while its server is down.
const configPause = 500 * time.Millisecond

// configLink maintains the connection to CONFIG_DB if CONFIG_DB is on a separate server. The
// session continues while this server is down, because writing rows of STATE_DB requires only
// APPL_DB and STATE_DB. A configLink runs on its own goroutine, which ends with the session.
type configLink struct {
	connector *Connector
	ctx       context.Context // ends with the session
	db        sonicdb.Database
	session   *session
	watch     atomic.Pointer[watch] // nil while the server is not connected
}

// configAlone reports whether CONFIG_DB is on a server that has neither APPL_DB nor STATE_DB.
func configAlone(m *sonicdb.Map) (bool, error) {
	config, err := m.Database("CONFIG_DB")
	alone := true
	for _, name := range []string{"APPL_DB", "STATE_DB"} {
		if err != nil {
			return false, err
		}
		var db sonicdb.Database
		db, err = m.Database(name)
		alone = alone && !db.Instance.Same(config.Instance)
	}
	return alone && err == nil, err
}

// run watches the server and reconnects when the connection is lost.
func (k *configLink) run() {
	c := k.connector
	pause := backoff.Backoff{Min: connectPauseMin, Max: connectPauseMax}
	faults := syslog.Limiters{Every: complainEvery}
	err := errConfigDown
	if k.watch.Load() == nil { // a new session; it has not tried to connect yet
		if err = k.connect(); err == nil {
			c.status.setConfigError(k, nil)
		}
	}
	for {
		if w := k.watch.Load(); w != nil {
			err = w.listen()
			w.conn.Close()
			k.watch.Store(nil)
			pause.Reset()
		}
		if k.ctx.Err() != nil {
			return
		}
		c.status.setConfigError(k, err)
		if ok, suppressed := faults.Allow(err.Error(), time.Now()); ok {
			c.Log.Error("cannot connect to CONFIG_DB; still updating STATE_DB", "error", err, "suppressed", suppressed)
		}
		select {
		case <-time.After(pause.Next()):
		case <-k.ctx.Done():
			return
		}
		if err = k.connect(); err == nil {
			c.status.setConfigError(k, nil)
			c.Log.Log(k.ctx, syslog.LevelNotice, "reconnected to CONFIG_DB")
		}
	}
}

// connect makes one attempt to connect. On success it passes the connection to the loop.
func (k *configLink) connect() error {
	conn, err := dial(k.ctx, k.db)
	if err != nil {
		return fmt.Errorf("connect to CONFIG_DB: %w", err)
	}
	if _, err := conn.Do("PING"); err != nil {
		conn.Close()
		return fmt.Errorf("connect to CONFIG_DB: %w", err)
	}
	w, err := k.connector.watchConfig(k.ctx, k.db, k.session, conn)
	if err != nil {
		conn.Close()
		return fmt.Errorf("monitor Redis server for CONFIG_DB: %w", err)
	}
	k.watch.Store(w)
	w.tell(note{kind: noteConfig, conn: conn})
	k.session.ports.reread()
	return nil
}

// drop closes the connection, which makes run reconnect. It may be called from any goroutine.
func (k *configLink) drop() {
	if w := k.watch.Load(); w != nil {
		w.conn.Close()
	}
}

// onConfigError sets the function to call when the connection to CONFIG_DB fails. If it is not set,
// such an error makes all connections unusable.
func (d *Databases) onConfigError(lost func()) { d.configLost = lost }

// setConfig replaces the connection to CONFIG_DB.
func (d *Databases) setConfig(c *sonicdb.Conn) {
	if d.config != nil {
		d.config.Close()
	}
	d.config = c
}
