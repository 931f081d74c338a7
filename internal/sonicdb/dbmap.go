package sonicdb

import (
	"fmt"
	"net"
	"strconv"
)

// Map contains the addresses of SONiC's databases. It is read from
// /var/run/redis/sonic-db/database_config.json (sonic-swss-common
// common/database_config.json and common/dbconnector.h, SonicDBConfig).
type Map struct {
	name      string // for errors
	databases map[string]entry
}

// entry is a database or the error in its definition, which Map.Database returns.
type entry struct {
	database Database
	err      error
}

// Database is one numbered database of a Redis server.
type Database struct {
	Name      string // "APPL_DB"
	ID        int    // number for SELECT
	Separator string // between table and key, ":" or "|"
	Instance  Instance
}

// Options returns the options to Dial d, with default timeouts.
func (d Database) Options() Options {
	i := &d.Instance
	return Options{Network: i.Network(), Address: i.Address(), DB: d.ID, Username: i.User, PasswordFile: i.PasswordFile}
}

// Instance is one Redis server.
type Instance struct {
	Name       string // "redis"
	Hostname   string // for TCP
	Port       int    // for TCP
	UnixSocket string // path; preferred over TCP, as in SONiC

	// PasswordFile is the path of a file with the password (password_path in the map), "" if
	// there is none. User is "" for the default user.
	PasswordFile string
	User         string
}

// Network returns "unix" or "tcp".
func (i Instance) Network() string {
	if i.UnixSocket != "" {
		return "unix"
	}
	return "tcp"
}

// Address returns the path of the socket, or host:port.
func (i Instance) Address() string {
	if i.UnixSocket != "" {
		return i.UnixSocket
	}
	return net.JoinHostPort(i.Hostname, strconv.Itoa(i.Port))
}

// Same reports whether both instances have the same address.
func (i Instance) Same(other Instance) bool {
	return i.Network() == other.Network() && i.Address() == other.Address()
}

// Database returns the database with that name, or an error if it is missing or invalid.
func (m *Map) Database(name string) (Database, error) {
	e, ok := m.databases[name]
	if !ok {
		return Database{}, fmt.Errorf("%s: DATABASES.%s: missing", m.name, name)
	}
	return e.database, e.err
}

// SetCredentials sets the user and password file of all instances without a password_path. user is ""
// for the default user. It must not be called while other goroutines use the map.
func (m *Map) SetCredentials(user, passwordFile string) {
	for name, e := range m.databases {
		if e.database.Instance.PasswordFile == "" {
			e.database.Instance.User, e.database.Instance.PasswordFile = user, passwordFile
			m.databases[name] = e
		}
	}
}

// StaticMap returns SONiC's default map with all databases on one server. network and address are as
// for net.Dial: "unix" and a path, or "tcp" and host:port.
func StaticMap(network, address string) *Map {
	instance := Instance{Name: "redis"}
	if network == "unix" {
		instance.UnixSocket = address
	} else if host, port, err := net.SplitHostPort(address); err == nil {
		instance.Hostname = host
		instance.Port, _ = strconv.Atoi(port) // 0 if it is not a number, which Dial refuses
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
