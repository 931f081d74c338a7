package portsync

import (
	"time"

	"portsyncd/sonicdb"
)

// databaseNames are the databases that the loop works with, in the order in which
// they are opened.
var databaseNames = [...]string{"APPL_DB", "STATE_DB", "CONFIG_DB"}

// connection is how the loop stands with its databases. It is replaced as a
// whole, by the loop, and while it has no connection by the goroutine that looks
// for one.
type connection struct {
	up    bool
	since time.Time // of up, or of its loss
	err   string    // why there is none
	at    [len(databaseNames)]string
}

// connection returns the present one; there is one from begin on.
func (s *Status) connection() connection {
	if c := s.databases.Load(); c != nil {
		return *c
	}
	return connection{}
}

// found notes that there is a connection, from a time of day on.
func (s *Status) found(day time.Time) {
	c := s.connection()
	c.up, c.since, c.err = true, day, ""
	s.databases.Store(&c)
	s.connected.Store(true)
	s.poke()
}

// lost notes that there is none any more, and why.
func (s *Status) lost(err error, day time.Time) {
	c := s.connection()
	c.up, c.since, c.err = false, day, err.Error()
	s.databases.Store(&c)
	s.connected.Store(false)
	s.poke()
}

// sought notes why a try to connect did not succeed.
func (s *Status) sought(err error) {
	c := s.connection()
	if c.err != err.Error() {
		c.err = err.Error()
		s.databases.Store(&c)
	}
}

// located notes where the databases are.
func (s *Status) located(m *sonicdb.Map) {
	c := s.connection()
	for i, name := range databaseNames {
		db, err := m.Database(name)
		if err != nil {
			continue // whoever opens it says so
		}
		c.at[i] = db.Instance.Address()
		if db.Instance.Network() == "unix" {
			c.at[i] = "unix:" + c.at[i]
		}
	}
	s.databases.Store(&c)
}

// view returns the databases, one by one.
func (c *connection) view() []DatabaseView {
	all := make([]DatabaseView, len(databaseNames))
	for i, name := range databaseNames {
		all[i] = DatabaseView{Name: name, Address: c.at[i], Up: c.up, Since: c.since.UTC(), Error: c.err}
	}
	return all
}
