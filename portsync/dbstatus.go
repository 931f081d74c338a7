package portsync

import (
	"time"

	"portsyncd/internal/sonicdb"
)

// databaseNames are the databases that the loop works with, in the order in which
// they are opened.
var databaseNames = [...]string{"APPL_DB", "STATE_DB", "CONFIG_DB"}

// connection says whether the loop is connected to the databases. It belongs to
// the loop.
type connection struct {
	up    bool
	since int64  // of up, or of the loss, on the loop's clock
	err   string // why the last one was lost
}

// search is what the Connector knows: where the databases are, and why its last
// try failed. It belongs to the Connector.
type search struct {
	at  [len(databaseNames)]string // addresses; "" while they are not known
	err string                     // "" until a try fails, and once one has succeeded
}

// searching returns what the Connector last stored.
func (s *Status) searching() search {
	if r := s.search.Load(); r != nil {
		return *r
	}
	return search{}
}

// sought stores why a try to connect failed; nil: it did not.
func (s *Status) sought(err error) {
	r := s.searching()
	was := r.err
	r.err = ""
	if err != nil {
		r.err = err.Error()
	}
	if r.err != was {
		s.search.Store(&r)
	}
}

// located stores where the databases are.
func (s *Status) located(m *sonicdb.Map) {
	r := s.searching()
	for i, name := range databaseNames {
		db, err := m.Database(name)
		if err != nil {
			continue // whoever opens it says so
		}
		r.at[i] = db.Instance.Address()
		if db.Instance.Network() == "unix" {
			r.at[i] = "unix:" + r.at[i]
		}
	}
	if r != s.searching() {
		s.search.Store(&r)
	}
}

// lostConfig stores why CONFIG_DB is not connected although the others are; nil: it
// is. A configLink calls it, and the Connector before there is one.
func (s *Status) lostConfig(err error) {
	var text *string
	if err != nil {
		t := err.Error()
		text = &t
	}
	was := s.configLost.Swap(text)
	if (was == nil) != (text == nil) {
		s.wake()
	}
}

// databases is what the loop and the Connector know together.
type databases struct {
	up    bool
	since time.Time
	err   string // why there is no connection
	at    [len(databaseNames)]string

	configErr string // why CONFIG_DB alone is not connected; "": it is as the others
}

// databases returns how the databases are at present. While there is no
// connection, the reason of the last try that failed counts more than that of the
// loss.
func (s *Status) databases() databases {
	r := s.searching()
	d := databases{since: s.clock.base, at: r.at}
	if c := s.connection.Load(); c != nil {
		d.up, d.since, d.err = c.up, s.clock.time(c.since), c.err
	}
	if lost := s.configLost.Load(); lost != nil && d.up {
		d.configErr = *lost
	}
	if !d.up && r.err != "" {
		d.err = r.err
	}
	return d
}

// view returns the databases, one by one.
func (d *databases) view() []DatabaseView {
	all := make([]DatabaseView, len(databaseNames))
	for i, name := range databaseNames {
		all[i] = DatabaseView{Name: name, Address: d.at[i], Up: d.up, Since: d.since.UTC(), Error: d.err}
		if name == "CONFIG_DB" && d.configErr != "" {
			all[i].Up, all[i].Error = false, d.configErr
		}
	}
	return all
}
