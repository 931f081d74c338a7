package portsync

import (
	"time"

	"portsyncd/internal/sonicdb"
)

// databaseNames lists the databases in the order in which the loop connects to them.
var databaseNames = [...]string{"APPL_DB", "STATE_DB", "CONFIG_DB"}

// connection is the state of the connection to the databases. The loop stores it in Status.
type connection struct {
	up    bool
	since int64  // when the connection was established or lost, on the loop's clock
	err   string // why the last connection was lost
}

// search describes the Connector's attempts to connect to the databases. The Connector stores it in
// Status.
type search struct {
	at  [len(databaseNames)]string // addresses by index of databaseNames; "" if unknown
	err string                     // error of the last attempt; "" after a success
}

// lastSearch returns the search that the Connector stored last.
func (s *Status) lastSearch() search {
	if r := s.search.Load(); r != nil {
		return *r
	}
	return search{}
}

// setConnectError stores the error of the last attempt to connect, or nil if it succeeded.
func (s *Status) setConnectError(err error) {
	r := s.lastSearch()
	was := r.err
	r.err = ""
	if err != nil {
		r.err = err.Error()
	}
	if r.err != was {
		s.search.Store(&r)
	}
}

// setAddresses stores the addresses of the databases.
func (s *Status) setAddresses(m *sonicdb.Map) {
	r := s.lastSearch()
	for i, name := range databaseNames {
		db, err := m.Database(name)
		if err != nil {
			continue // the error is reported when the Connector connects
		}
		r.at[i] = db.Instance.Address()
		if db.Instance.Network() == "unix" {
			r.at[i] = "unix:" + r.at[i]
		}
	}
	if r != s.lastSearch() {
		s.search.Store(&r)
	}
}

// configConnection is the state of the connection to CONFIG_DB if CONFIG_DB has its own server. The
// configLink and the Connector store it in Status.
type configConnection struct {
	link  *configLink // of the current session; nil in tests
	since int64       // when the connection was established or lost, on the loop's clock
	err   string      // why it is lost; "" while it is up
}

// beginConfig makes link the one whose state is stored. It keeps the state of the previous session,
// which is the best known one until link has tried to connect. The Connector calls it before it starts
// the link.
func (s *Status) beginConfig(link *configLink) {
	is := configConnection{since: s.clock.now()}
	if was := s.configLink.Load(); was != nil {
		is = *was
	}
	is.link = link
	s.configLink.Store(&is)
}

// setConfigError stores the error why only CONFIG_DB is not connected, or nil if it is connected. It
// ignores the error of a link that is not the current one, because the link of an earlier session can
// end late.
func (s *Status) setConfigError(link *configLink, err error) {
	is := configConnection{link: link, since: s.clock.now()}
	if err != nil {
		is.err = err.Error()
	}
	for {
		was := s.configLink.Load()
		if was != nil && was.link != link {
			return
		}
		changed := was != nil && (was.err == "") != (is.err == "") || was == nil && err != nil
		if was != nil && !changed {
			is.since = was.since
		}
		if !s.configLink.CompareAndSwap(was, &is) {
			continue // a new session has begun
		}
		if changed {
			s.wake()
		}
		return
	}
}

// databases is the state of the databases as reported by the loop and the Connector.
type databases struct {
	up    bool
	since time.Time
	err   string // why the databases are not connected
	at    [len(databaseNames)]string

	configErr   string    // why only CONFIG_DB is not connected; "" otherwise
	configSince time.Time // when CONFIG_DB was connected or disconnected
	unread      string    // why the table PORT of the connected CONFIG_DB cannot be read; "" otherwise
}

// databases returns the current state of the databases. While they are not connected, the error is
// that of the last attempt to connect or, before the first attempt, the reason for the
// disconnection.
func (s *Status) databases() databases {
	r := s.lastSearch()
	d := databases{since: s.clock.base, at: r.at}
	if c := s.connection.Load(); c != nil {
		d.up, d.since, d.err = c.up, s.clock.time(c.since), c.err
	}
	d.configSince = d.since
	if link := s.configLink.Load(); link != nil && d.up {
		d.configErr = link.err
		if at := s.clock.time(link.since); at.After(d.since) {
			d.configSince = at
		}
	}
	if unread := s.portsUnread.Load(); unread != nil && d.up && d.configErr == "" {
		d.unread = *unread
	}
	if !d.up && r.err != "" {
		d.err = r.err
	}
	return d
}

// view returns the state of each database.
func (d *databases) view() []DatabaseView {
	all := make([]DatabaseView, len(databaseNames))
	for i, name := range databaseNames {
		all[i] = DatabaseView{Name: name, Address: d.at[i], Up: d.up, Since: d.since.UTC(), Error: d.err}
		if name == "CONFIG_DB" {
			all[i].Since = d.configSince.UTC()
			if d.configErr != "" {
				all[i].Up, all[i].Error = false, d.configErr
			}
		}
	}
	return all
}
