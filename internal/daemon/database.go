package daemon

import (
	"errors"
	"io/fs"
	"net"
	"strconv"

	"portsyncd/internal/sonicdb"
)

// databaseMap returns the addresses of the databases. The configured user and password are used for
// servers without a password in SONiC's database map.
func (d *Daemon) databaseMap() (*sonicdb.Map, error) {
	m, err := d.databaseAddresses()
	if db := &d.Config.Database; err == nil && db.PasswordFile != "" {
		m.SetCredentials(db.User, db.PasswordFile)
	}
	return m, err
}

// databaseAddresses reads SONiC's database map. If that file does not exist, it returns the
// configured address for all databases.
func (d *Daemon) databaseAddresses() (*sonicdb.Map, error) {
	db := &d.Config.Database
	if db.ConfigFile != "" {
		m, err := sonicdb.LoadMap(db.ConfigFile)
		if !errors.Is(err, fs.ErrNotExist) {
			return m, err
		}
	}
	if db.UnixSocket != "" {
		return sonicdb.StaticMap("unix", db.UnixSocket), nil
	}
	return sonicdb.StaticMap("tcp", net.JoinHostPort(db.RedisHost, strconv.Itoa(int(db.RedisPort)))), nil
}
