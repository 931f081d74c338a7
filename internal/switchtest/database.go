package switchtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"portsyncd/internal/sonicdb"
)

const (
	RedisDir = "/var/run/redis"
	MapPath  = RedisDir + "/sonic-db/database_config.json"
)

// DefaultMap is the part of SONiC's database map that the daemon reads.
const DefaultMap = `{
  "INSTANCES": {"redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/var/run/redis/redis.sock"}},
  "DATABASES": {
    "APPL_DB": {"id": 0, "separator": ":", "instance": "redis"},
    "CONFIG_DB": {"id": 4, "separator": "|", "instance": "redis"},
    "STATE_DB": {"id": 6, "separator": "|", "instance": "redis"}
  },
  "VERSION": "1.0"
}`

// Database holds the number of a Redis database and the addresses of its server.
type Database struct {
	Number int
	Socket string
	Port   int
}

// TCPAddress returns the address of the server as host:port.
func (p Database) TCPAddress() string { return fmt.Sprintf("127.0.0.1:%d", p.Port) }

// WriteDatabaseMap writes the database map. The daemon and the test's own connections use it from
// then on.
func (sw *Switch) WriteDatabaseMap(databaseMap string) {
	sw.T.Helper()
	var m struct {
		Instances map[string]struct {
			Port   int
			Socket string `json:"unix_socket_path"`
		}
		Databases map[string]struct {
			ID       int
			Instance string
		}
	}
	sw.NoError("read the map", json.Unmarshal([]byte(databaseMap), &m))
	sw.Databases = make(map[string]Database)
	for name, db := range m.Databases {
		at := m.Instances[db.Instance]
		sw.Databases[name] = Database{Number: db.ID, Socket: at.Socket, Port: at.Port}
	}
	sw.NoError("write the map", errors.Join(
		os.MkdirAll(filepath.Dir(MapPath), 0o755), os.WriteFile(MapPath, []byte(databaseMap), 0o644)))
}

// StartDatabase writes the database map and starts the server at the addresses of APPL_DB. The
// server is stopped when the test ends.
func (sw *Switch) StartDatabase(databaseMap string, s DatabaseServer) {
	sw.T.Helper()
	sw.WriteDatabaseMap(databaseMap)
	sw.Server = s
	sw.NoError("start the database", s.Start(sw.Databases["APPL_DB"]))
	sw.T.Cleanup(s.Stop)
}

// Conn returns the test's connection to the named database, which is opened at the first call. The
// test connects over TCP and the daemon over the unix socket, so the output of MONITOR
// distinguishes their commands.
func (sw *Switch) Conn(name string) *sonicdb.Conn {
	sw.T.Helper()
	if conn := sw.Conns[name]; conn != nil {
		return conn
	}
	at := sw.Databases[name]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{
		Network: "tcp", Address: at.TCPAddress(), DB: at.Number, DialTimeout: requestTimeout, IOTimeout: requestTimeout})
	sw.NoError("connect to "+name, err)
	sw.Conns[name] = conn
	return conn
}

// CloseConns closes the test's connections to the databases. It must be called after a test stops
// the server.
func (sw *Switch) CloseConns() {
	for name, conn := range sw.Conns {
		conn.Close()
		delete(sw.Conns, name)
	}
}

// Do runs a command on the named database and returns the reply. It fails the test if the server
// returns an error.
func (sw *Switch) Do(database string, args ...string) *sonicdb.Reply {
	sw.T.Helper()
	r, err := sw.Conn(database).Do(args...)
	if err != nil {
		sw.T.Fatalf("%s %q: %v", database, args, err)
	}
	return r
}

// Row returns the fields of a hash, or nil if the key does not exist.
func (sw *Switch) Row(database, key string) map[string]string {
	sw.T.Helper()
	fields, err := sw.Conn(database).HGetAll(key)
	if err != nil {
		sw.T.Fatalf("%s HGETALL %q: %v", database, key, err)
	}
	if len(fields) == 0 {
		return nil
	}
	row := make(map[string]string, len(fields))
	for _, f := range fields {
		row[f.Field] = f.Value
	}
	return row
}

// Exists reports whether a database has a key.
func (sw *Switch) Exists(database, key string) bool {
	sw.T.Helper()
	n, err := sw.Conn(database).Exists(key)
	sw.NoError("EXISTS "+key, err)
	return n == 1
}

// SetMembers returns the members of a set.
func (sw *Switch) SetMembers(database, key string) []string {
	sw.T.Helper()
	var out []string
	for _, e := range sw.Do(database, "SMEMBERS", key).Array {
		out = append(out, string(e.Str))
	}
	return out
}
