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

// errConfigAway is the error of a read of CONFIG_DB while its server, which has no
// other database of ours, is away. APPL_DB and STATE_DB are not concerned.
var errConfigAway = errors.New("CONFIG_DB is not connected")

// configPause is the time between two attempts to read what is only in CONFIG_DB.
const configPause = 500 * time.Millisecond

// configLink keeps the connection to a CONFIG_DB that is alone on its server, beside
// a session that goes on without it: a row of STATE_DB needs APPL_DB and STATE_DB
// only. It is a goroutine of its own that ends with the session.
type configLink struct {
	connector *Connector
	ctx       context.Context // of the session
	db        sonicdb.Database
	session   *session
	watch     atomic.Pointer[watch] // nil while the server is away
}

// configAlone reports whether CONFIG_DB shares its server with neither APPL_DB nor
// STATE_DB.
func configAlone(m *sonicdb.Map) (bool, error) {
	config, err := m.Database("CONFIG_DB")
	for _, name := range []string{"APPL_DB", "STATE_DB"} {
		db, dbErr := m.Database(name)
		if err = errors.Join(err, dbErr); err == nil && db.Instance.Same(config.Instance) {
			return false, nil
		}
	}
	return err == nil, err
}

// run listens to the server, and connects again when it is lost.
func (k *configLink) run() {
	c := k.connector
	pause := backoff.Backoff{Min: connectPauseMin, Max: connectPauseMax}
	faults := syslog.Limiters{Every: complainEvery}
	err := errConfigAway
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
		c.status.lostConfig(err)
		if ok, suppressed := faults.Allow(err.Error(), time.Now()); ok {
			c.Log.Error("CONFIG_DB not connected; still writing STATE_DB", "error", err, "suppressed", suppressed)
		}
		select {
		case <-time.After(pause.Next()):
		case <-k.ctx.Done():
			return
		}
		if err = k.connect(); err == nil {
			c.status.lostConfig(nil)
			c.Log.Log(k.ctx, syslog.LevelNotice, "CONFIG_DB is connected again")
		}
	}
}

// connect makes one try, and hands a connection to the loop.
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
		return fmt.Errorf("watch the server of CONFIG_DB: %w", err)
	}
	k.watch.Store(w)
	w.tell(note{kind: noteConfig, conn: conn})
	k.session.ports.reread()
	return nil
}

// drop has the server connected anew. It may be called from any goroutine.
func (k *configLink) drop() {
	if w := k.watch.Load(); w != nil {
		w.conn.Close()
	}
}

// setConfig takes another connection to CONFIG_DB into use.
func (d *Databases) setConfig(c *sonicdb.Conn) {
	if d.config != nil {
		d.config.Close()
	}
	d.config = c
}
