package sonicdb

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Map holds the addresses of SONiC's databases, as defined in
// /var/run/redis/sonic-db/database_config.json (sonic-swss-common common/database_config.json and
// common/dbconnector.h, SonicDBConfig).
type Map struct {
	name      string // for errors
	databases map[string]entry
}

// entry is a database of a Map. If the definition of the database is invalid, the entry holds the
// error that Map.Database returns.
type entry struct {
	database Database
	err      error
}

// Database is one numbered database of a Redis server.
type Database struct {
	Name      string // "APPL_DB"
	ID        int    // database number for SELECT
	Separator string // between table and key, ":" or "|"
	Instance  Instance
}

// Options returns the options for dialing d with default timeouts.
func (d Database) Options() Options {
	i := &d.Instance
	return Options{Dialer: i.Dialer, Network: i.Network(), Address: i.Address(), DB: d.ID, Username: i.User, PasswordFile: i.PasswordFile}
}

// Instance is one Redis server.
type Instance struct {
	Name       string // "redis"
	Hostname   string // for TCP
	Port       int    // for TCP
	UnixSocket string // path; preferred over TCP, as in SONiC

	// PasswordFile is the path of a file that contains the password (password_path in the map), or
	// "". User is "" for the default user.
	PasswordFile string
	User         string

	Dialer Dialer // nil: a [net.Dialer]
}

// Dialer connects to a server, like [net.Dialer].
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Network returns the network to dial, "unix" or "tcp".
func (i Instance) Network() string {
	if i.UnixSocket != "" {
		return "unix"
	}
	return "tcp"
}

// Address returns the address to dial, a socket path or host:port.
func (i Instance) Address() string {
	if i.UnixSocket != "" {
		return i.UnixSocket
	}
	return net.JoinHostPort(i.Hostname, strconv.Itoa(i.Port))
}

// Same reports whether i and other have the same address.
func (i Instance) Same(other Instance) bool {
	return i.Network() == other.Network() && i.Address() == other.Address()
}

// Database returns the named database. It returns an error if the database is missing or its
// definition is invalid.
func (m *Map) Database(name string) (Database, error) {
	e, ok := m.databases[name]
	if !ok {
		return Database{}, fmt.Errorf("%s: DATABASES.%s: missing", m.name, name)
	}
	return e.database, e.err
}

// SetCredentials sets the user and password file of all instances that have no password_path. user
// is "" for the default user. It must not be called while other goroutines use the map.
func (m *Map) SetCredentials(user, passwordFile string) {
	for name, e := range m.databases {
		if e.database.Instance.PasswordFile == "" {
			e.database.Instance.User, e.database.Instance.PasswordFile = user, passwordFile
			m.databases[name] = e
		}
	}
}

// SetDialer sets the Dialer of all instances, so that tests can connect without sockets. It must not
// be called while other goroutines use the map.
func (m *Map) SetDialer(d Dialer) {
	for name, e := range m.databases {
		e.database.Instance.Dialer = d
		m.databases[name] = e
	}
}

// StaticMap returns a map with SONiC's default databases, all on one server. network and address
// have the form that net.Dial expects: "unix" and a path, or "tcp" and host:port.
func StaticMap(network, address string) *Map {
	instance := Instance{Name: "redis"}
	if network == "unix" {
		instance.UnixSocket = address
	} else if host, port, err := net.SplitHostPort(address); err == nil {
		instance.Hostname = host
		instance.Port, _ = strconv.Atoi(port) // Dial rejects port 0
	} else {
		instance.Hostname = address
	}
	m := &Map{name: "built-in database map", databases: map[string]entry{}}
	for _, d := range []Database{
		{Name: "APPL_DB", ID: 0, Separator: ":"},
		{Name: "CONFIG_DB", ID: 4, Separator: "|"},
		{Name: "STATE_DB", ID: 6, Separator: "|"},
	} {
		d.Instance = instance
		m.databases[d.Name] = entry{database: d}
	}
	return m
}
