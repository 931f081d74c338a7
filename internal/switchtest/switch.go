package switchtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// Cell is a switch for one test: namespaces in which only lo exists, empty
// directories where a switch has its databases and its state, a syslog socket,
// and a database server. All of it is gone when the test ends.
type Switch struct {
	T         *testing.T
	Binary    string
	Dir       string              // empty, for whatever the test needs
	Databases map[string]Database // where the databases are, by name
	Server    DatabaseServer
	Links     *lab.Links
	Logs      *Record[LogLine] // what arrived at /dev/log

	Conns        map[string]*sonicdb.Conn // the test's own
	notify       int                      // counts notification sockets
	IgnoredLinks map[int32]bool           // interfaces that the daemon is to ignore, by index
}

const (
	RedisDir = "/var/run/redis"
	MapPath  = RedisDir + "/sonic-db/database_config.json"
)

// UsualMap is the part of SONiC's database map that matters here.
const DefaultMap = `{
  "INSTANCES": {"redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/var/run/redis/redis.sock"}},
  "DATABASES": {
    "APPL_DB": {"id": 0, "separator": ":", "instance": "redis"},
    "CONFIG_DB": {"id": 4, "separator": "|", "instance": "redis"},
    "STATE_DB": {"id": 6, "separator": "|", "instance": "redis"}
  },
  "VERSION": "1.0"
}`

// NewCell returns a cell for this test, or nil: then the test has been run, in
// a process of its own, and its outcome is known.
func New(t *testing.T) *Switch {
	t.Helper()
	sw := NewWithoutDatabase(t)
	if sw != nil {
		sw.StartDatabase(DefaultMap, NewDatabaseServer(t))
	}
	return sw
}

// NewRedisCell is NewCell for a test that treats the server as only a process
// can be treated.
func NewWithRedis(t *testing.T) (*Switch, *RedisServer) {
	t.Helper()
	sw := NewWithoutDatabase(t)
	if sw == nil {
		return nil, nil
	}
	r := NewRedisServer(t)
	sw.StartDatabase(DefaultMap, r)
	return sw, r
}

// NewLabCell is NewCell for a test that makes the server answer as a real one
// cannot easily be made to.
func NewWithLab(t *testing.T) (*Switch, *LabServer) {
	t.Helper()
	sw := NewWithoutDatabase(t)
	if sw == nil {
		return nil, nil
	}
	s := newLabServer()
	sw.StartDatabase(DefaultMap, s)
	return sw, s
}

// EnterCell is NewCell without a map and a server.
func NewWithoutDatabase(t *testing.T) *Switch {
	t.Helper()
	sw := NewBare(t)
	if sw != nil {
		var err error
		sw.Logs, err = openDevLog(sw.Dir)
		sw.NoError("/dev/log", err)
	}
	return sw
}

// EnterBareCell is EnterCell with the /dev of this machine.
func NewBare(t *testing.T) *Switch {
	t.Helper()
	path := Binary(t) // built outside, where the build cache is
	Parallel(t)
	if !lab.InNamespace(t) {
		return nil
	}
	sw := &Switch{T: t, Binary: path, Dir: RedisDir + "/test", Conns: make(map[string]*sonicdb.Conn), IgnoredLinks: make(map[int32]bool)}
	// The binary runs without arguments and must find nothing of this machine's
	// in the places it looks at.
	sw.NoError("private directories", errors.Join(
		lab.MountTmpfs(RedisDir), lab.MountTmpfs("/var/lib/sonic"), HideDir("/etc/sonic"), HideDir("/var/warmboot"),
		os.Mkdir(sw.Dir, 0o755)))
	var err error
	sw.Links, err = lab.DialLinks()
	sw.NoError("rtnetlink", err)
	return sw
}

// Hide puts an empty directory over one that exists.
func HideDir(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	return lab.MountTmpfs(dir)
}

// Serve writes the database map and starts the server at its first address.
func (sw *Switch) StartDatabase(databaseMap string, s DatabaseServer) {
	sw.T.Helper()
	sw.WriteDatabaseMap(databaseMap)
	sw.Server = s
	sw.NoError("start the database", s.Start(sw.Databases["APPL_DB"]))
	sw.T.Cleanup(s.Stop)
}

// place is where a database is.
type Database struct {
	Number int
	Socket string
	Port   int
}

func (p Database) TCPAddress() string { return fmt.Sprintf("127.0.0.1:%d", p.Port) }

// WriteMap makes databaseMap the map of this cell, for the daemon and for the
// test's own connections.
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

func (sw *Switch) Mkdir(path string) {
	sw.T.Helper()
	sw.NoError("make a directory", os.Mkdir(path, 0o755))
}

// Must ends the test if what it was doing went wrong.
func (sw *Switch) NoError(what string, err error) {
	sw.T.Helper()
	if err != nil {
		sw.T.Fatalf("%s: %v", what, err)
	}
}

// Conn returns the test's own connection to a database. It goes over TCP, so
// that MONITOR tells it from the daemon's, which use the unix socket.
func (sw *Switch) Conn(name string) *sonicdb.Conn {
	sw.T.Helper()
	if conn := sw.Conns[name]; conn != nil {
		return conn
	}
	at := sw.Databases[name]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{
		Network: "tcp", Address: at.TCPAddress(), DB: at.Number, IOTimeout: Timeout})
	sw.NoError("connect to "+name, err)
	sw.Conns[name] = conn
	return conn
}

// HangUp closes the test's own connections, for when the server goes.
func (sw *Switch) CloseConns() {
	for name, conn := range sw.Conns {
		conn.Close()
		delete(sw.Conns, name)
	}
}

// Do runs one command on a database.
func (sw *Switch) Do(database string, args ...string) *sonicdb.Reply {
	sw.T.Helper()
	r, err := sw.Conn(database).Do(args...)
	if err != nil {
		sw.T.Fatalf("%s %q: %v", database, args, err)
	}
	return r
}

// Row returns the fields of a hash, nil if there is none.
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

// Elements returns the members of a set.
func (sw *Switch) SetMembers(database, key string) []string {
	sw.T.Helper()
	var out []string
	for _, e := range sw.Do(database, "SMEMBERS", key).Array {
		out = append(out, string(e.Str))
	}
	return out
}

// Pop does what orchagent's consumer does to all that is pending in PORT_TABLE
// (PROTOCOL.md section 4), each row in one atomic unit, and returns how many
// rows there were.
func (sw *Switch) PopPortTable() int {
	sw.T.Helper()
	const a = "APPL_DB"
	keys := sw.SetMembers(a, "PORT_TABLE_KEY_SET")
	deleted := make(map[string]bool)
	for _, k := range sw.SetMembers(a, "PORT_TABLE_DEL_SET") {
		deleted[k] = true
	}
	for _, k := range keys {
		pending := sw.Row(a, "_PORT_TABLE:"+k)
		sw.Do(a, "MULTI")
		sw.Do(a, "SREM", "PORT_TABLE_KEY_SET", k)
		if deleted[k] {
			sw.Do(a, "SREM", "PORT_TABLE_DEL_SET", k)
			sw.Do(a, "DEL", "PORT_TABLE:"+k)
		}
		if len(pending) > 0 {
			hset := []string{"HSET", "PORT_TABLE:" + k}
			for f, v := range pending {
				hset = append(hset, f, v)
			}
			sw.Do(a, hset...)
		}
		sw.Do(a, "DEL", "_PORT_TABLE:"+k)
		sw.Do(a, "EXEC")
	}
	return len(keys)
}

// Ip runs lines of `ip link` in one burst.
func (sw *Switch) IPLink(lines ...string) {
	sw.T.Helper()
	sw.NoError("change links", lab.Batch(lines))
}

// openDevLog puts a /dev in place that has the few devices a program needs and
// a syslog socket. The record gets what arrives there.
func openDevLog(dir string) (*Record[LogLine], error) {
	dev := filepath.Join(dir, "dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "fuse"} {
		if _, err := os.Stat("/dev/" + name); err != nil {
			continue // not every machine has FUSE
		}
		if err := bind("/dev/"+name, filepath.Join(dev, name)); err != nil {
			return nil, err
		}
	}
	for link, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, link)); err != nil {
			return nil, err
		}
	}
	if err := unix.Mount(dev, "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return nil, fmt.Errorf("bind /dev: %w", err)
	}
	// The kernel's default are 10 datagrams, and of the lines about single messages what
	// does not fit in time is lost. An ordinary user has to live with that.
	os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("10000"), 0)
	return listenLog("/dev/log")
}

// bind makes a device appear at another path as well.
func bind(device, path string) error {
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(device, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", device, err)
	}
	return nil
}

// AwaitLog waits for a log line that has all of the words, among those that
// came after the first n.
func (sw *Switch) AwaitLog(n int, limit time.Duration, words ...string) LogLine {
	sw.T.Helper()
	line, ok := sw.Logs.Await(n, limit, func(l LogLine) bool { return l.Has(words...) })
	if !ok {
		sw.T.Fatalf("no log line with %q within %v", words, limit)
	}
	return line
}

// FaultLines returns how many log lines there are beside those about link messages,
// which have a limit of their own.
func (sw *Switch) FaultLines() (n int) {
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if !strings.HasPrefix(l.Text, ":- onMsg: ") {
			n++
		}
	}
	return n
}
