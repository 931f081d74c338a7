package portsync

import (
	"errors"
	"sync"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/journal"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

var errServerGone = errors.New("the server closed the connection")

// Pauses of the databaseLink. The pause before a reconnect grows while connections are established
// but are lost again before sessionLasting, for example because the server has reached its client
// limit.
const (
	sessionPauseMin    = 5 * time.Millisecond
	sessionPauseMax    = 500 * time.Millisecond
	sessionLasting     = 5 * time.Second
	retryMin, retryMax = 20 * time.Millisecond, 500 * time.Millisecond
)

// databaseLink owns the connection to the databases and records their replies.
type databaseLink struct {
	*base
	helpers      *sync.WaitGroup
	disconnected func() // called to publish the disconnection

	configRead bool          // CONFIG_DB was read at startup, so a session does not require it
	sessions   chan *session // receives a new session
	session    *session      // nil while disconnected
	notes      chan note     // receives the notes of the session
	connection connection
	reopen     backoff.Backoff // pause before a reconnect
	retry      backoff.Backoff // pause after a refusal
	retryAt    int64           // no database access before this time
	answeredAt int64           // when the databases last replied, including refusals
	progressAt int64           // when a request last succeeded
	refusal    *string         // error of the last refusal; nil after a success

	portsUnread *string // why the follower cannot read the table PORT of CONFIG_DB; nil after a success
}

func newDatabaseLink(b *base, helpers *sync.WaitGroup, disconnected func()) databaseLink {
	return databaseLink{base: b, helpers: helpers, disconnected: disconnected,
		sessions: make(chan *session),
		reopen:   backoff.Backoff{Min: sessionPauseMin, Max: sessionPauseMax},
		retry:    backoff.Backoff{Min: retryMin, Max: retryMax},
	}
}

// connect connects after a pause. It uses a separate goroutine, which sends the new session to
// d.sessions.
func (d *databaseLink) connect(pause time.Duration) {
	ctx, needConfig := d.ctx, !d.configRead
	d.helpers.Go(func() {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		s := d.Open.connect(ctx, needConfig)
		if s == nil {
			return
		}
		select {
		case d.sessions <- s:
		case <-ctx.Done():
			s.close()
		}
	})
}

// use makes s the current session.
func (d *databaseLink) use(s *session) {
	d.session, d.notes = s, s.notes
	d.connection = connection{up: true, since: d.clock.now()}
	d.retry.Reset()
	d.retryAt = 0
	d.portsUnread = nil // the follower of the new session reads the ports
	d.addEvent(journal.Event{Kind: journal.RedisConnected})
}

// startRead records that everything that is needed at startup has been read from CONFIG_DB.
func (d *databaseLink) startRead() { d.configRead = true }

// usable reports whether there is a connection and no pause after a refusal.
func (d *databaseLink) usable() bool { return d.session != nil && d.clock.now() >= d.retryAt }

// close closes the session.
func (d *databaseLink) close() {
	if d.session != nil {
		d.session.close()
	}
}

// lose ends the session after the error err and starts to reconnect. The rows in the backlog are
// kept.
func (d *databaseLink) lose(err error) {
	kind := errorIO
	if _, bad := errors.AsType[*sonicdb.ProtocolError](err); bad {
		kind = errorProtocol
	}
	now := d.clock.now()
	if now-d.connection.since > int64(sessionLasting) {
		d.reopen.Reset()
	}
	d.session.close()
	d.session, d.notes = nil, nil
	d.connection = connection{since: now, err: err.Error()}
	d.Status.rate.add(true, now)
	d.disconnected() // before the failure is counted, so that readers see the cause first
	d.Metrics.errors.At(kind).Inc()
	level := syslog.LevelError
	if d.ctx.Err() != nil { // the loop closed the connection on shutdown
		level = syslog.LevelNotice
	} else {
		d.addEvent(journal.Event{Kind: journal.RedisLost, Reason: err.Error()})
	}
	d.Log.Log(d.ctx, level, "Redis connection lost; still tracking links", "error", err)
	d.connect(d.reopen.Next())
}

// check records the result of a database request and reports whether it succeeded.
// After a refusal the loop retries when a pause has elapsed. Any other error makes the connection
// unusable.
func (d *databaseLink) check(err error) bool {
	switch {
	case err == nil:
		d.answered()
		d.progressAt = d.answeredAt
		d.refusal = nil
		d.retry.Reset()
		d.Status.rate.add(false, d.answeredAt)
		return true
	case isServerError(err):
		d.refused(err)
		text := err.Error()
		d.refusal = &text
		d.retryAt = d.answeredAt + int64(d.retry.Next())
	default:
		d.lose(err)
	}
	return false
}

// answered records that a reply has arrived now.
func (d *databaseLink) answered() { d.answeredAt = d.clock.now() }

// progressed records that the last reply from Redis acknowledged an operation.
func (d *databaseLink) progressed() { d.progressAt = d.answeredAt }

// refused counts and logs a request that was refused, at least partly.
func (d *databaseLink) refused(err error) {
	d.answered()
	d.Status.rate.add(true, d.answeredAt)
	d.Metrics.errors.At(errorRefused).Inc()
	d.logger.fault("Redis refused a command; retrying", err, d.answeredAt)
}

// connected makes s the current session. After a reconnect the databases may have lost data.
func (l *Loop) connected(s *session) {
	l.db.use(s)
	if l.initial.started {
		l.Metrics.reconnects.Inc()
		l.Log.Log(l.ctx, syslog.LevelNotice, "reconnected to Redis")
		l.resume(ReasonReconnect)
	}
}

// observe handles a note of the session.
func (l *Loop) observe(n note) {
	switch n.kind {
	case noteLost:
		l.db.lose(errServerGone)
	case noteFlushed:
		if l.initial.started {
			l.Log.Log(l.ctx, syslog.LevelNotice, "a database was flushed")
			l.resume(ReasonFlush)
		}
	case noteConfig:
		l.db.portsUnread = nil // the follower reads them again
		l.db.session.store.setConfig(n.conn)
	case noteUnread:
		if text := n.err.Error(); l.db.portsUnread == nil || *l.db.portsUnread != text {
			l.db.portsUnread = &text
		}
	case notePorts:
		l.db.portsUnread = nil
		l.handover.configure(n.ports, n.replaced, l.initial.started)
		l.state.Describe(n.ports, n.infos)
	}
}
