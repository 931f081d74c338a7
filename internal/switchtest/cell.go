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
type Cell struct {
	T      *testing.T
	Binary string
	Dir    string           // empty, for whatever the test needs
	Places map[string]place // where the databases are, by name
	Server dbServer
	Links  *lab.Links
	Logs   *Record[LogLine] // what arrived at /dev/log

	Conns  map[string]*sonicdb.Conn // the test's own
	notify int                      // counts notification sockets
	Old    map[int32]bool           // interfaces that the daemon is to ignore, by index
}

const (
	RedisDir = "/var/run/redis"
	MapFile  = RedisDir + "/sonic-db/database_config.json"
)

// UsualMap is the part of SONiC's database map that matters here.
const UsualMap = `{
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
func NewCell(t *testing.T) *Cell {
	t.Helper()
	c := EnterCell(t)
	if c != nil {
		c.Serve(UsualMap, NewServer(t))
	}
	return c
}

// NewRedisCell is NewCell for a test that treats the server as only a process
// can be treated.
func NewRedisCell(t *testing.T) (*Cell, *RedisServer) {
	t.Helper()
	c := EnterCell(t)
	if c == nil {
		return nil, nil
	}
	r := NewRedis(t)
	c.Serve(UsualMap, r)
	return c, r
}

// NewLabCell is NewCell for a test that makes the server answer as a real one
// cannot easily be made to.
func NewLabCell(t *testing.T) (*Cell, *LabServer) {
	t.Helper()
	c := EnterCell(t)
	if c == nil {
		return nil, nil
	}
	s := newLab()
	c.Serve(UsualMap, s)
	return c, s
}

// EnterCell is NewCell without a map and a server.
func EnterCell(t *testing.T) *Cell {
	t.Helper()
	c := EnterBareCell(t)
	if c != nil {
		var err error
		c.Logs, err = openDevLog(c.Dir)
		c.Must("/dev/log", err)
	}
	return c
}

// EnterBareCell is EnterCell with the /dev of this machine.
func EnterBareCell(t *testing.T) *Cell {
	t.Helper()
	path := Binary(t) // built outside, where the build cache is
	Alongside(t)
	if !lab.InNamespace(t) {
		return nil
	}
	c := &Cell{T: t, Binary: path, Dir: RedisDir + "/cell", Conns: make(map[string]*sonicdb.Conn), Old: make(map[int32]bool)}
	// The binary runs without arguments and must find nothing of this machine's
	// in the places it looks at.
	c.Must("private directories", errors.Join(
		lab.MountTmpfs(RedisDir), lab.MountTmpfs("/var/lib/sonic"), Hide("/etc/sonic"), Hide("/var/warmboot"),
		os.Mkdir(c.Dir, 0o755)))
	var err error
	c.Links, err = lab.DialLinks()
	c.Must("rtnetlink", err)
	return c
}

// Hide puts an empty directory over one that exists.
func Hide(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	return lab.MountTmpfs(dir)
}

// Serve writes the database map and starts the server at its first address.
func (c *Cell) Serve(databaseMap string, s dbServer) {
	c.T.Helper()
	c.WriteMap(databaseMap)
	c.Server = s
	c.Must("start the database", s.Start(c.Places["APPL_DB"]))
	c.T.Cleanup(s.Stop)
}

// place is where a database is.
type place struct {
	Number int
	socket string
	port   int
}

func (p place) Tcp() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// WriteMap makes databaseMap the map of this cell, for the daemon and for the
// test's own connections.
func (c *Cell) WriteMap(databaseMap string) {
	c.T.Helper()
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
	c.Must("read the map", json.Unmarshal([]byte(databaseMap), &m))
	c.Places = make(map[string]place)
	for name, db := range m.Databases {
		at := m.Instances[db.Instance]
		c.Places[name] = place{Number: db.ID, socket: at.Socket, port: at.Port}
	}
	c.Must("write the map", errors.Join(
		os.MkdirAll(filepath.Dir(MapFile), 0o755), os.WriteFile(MapFile, []byte(databaseMap), 0o644)))
}

func (c *Cell) Mkdir(path string) {
	c.T.Helper()
	c.Must("make a directory", os.Mkdir(path, 0o755))
}

// Must ends the test if what it was doing went wrong.
func (c *Cell) Must(what string, err error) {
	c.T.Helper()
	if err != nil {
		c.T.Fatalf("%s: %v", what, err)
	}
}

// Conn returns the test's own connection to a database. It goes over TCP, so
// that MONITOR tells it from the daemon's, which use the unix socket.
func (c *Cell) Conn(name string) *sonicdb.Conn {
	c.T.Helper()
	if conn := c.Conns[name]; conn != nil {
		return conn
	}
	at := c.Places[name]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{
		Network: "tcp", Address: at.Tcp(), DB: at.Number, IOTimeout: Patience})
	c.Must("connect to "+name, err)
	c.Conns[name] = conn
	return conn
}

// HangUp closes the test's own connections, for when the server goes.
func (c *Cell) HangUp() {
	for name, conn := range c.Conns {
		conn.Close()
		delete(c.Conns, name)
	}
}

// Do runs one command on a database.
func (c *Cell) Do(database string, args ...string) *sonicdb.Reply {
	c.T.Helper()
	r, err := c.Conn(database).Do(args...)
	if err != nil {
		c.T.Fatalf("%s %q: %v", database, args, err)
	}
	return r
}

// Row returns the fields of a hash, nil if there is none.
func (c *Cell) Row(database, key string) map[string]string {
	c.T.Helper()
	fields, err := c.Conn(database).HGetAll(key)
	if err != nil {
		c.T.Fatalf("%s HGETALL %q: %v", database, key, err)
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
func (c *Cell) Exists(database, key string) bool {
	c.T.Helper()
	n, err := c.Conn(database).Exists(key)
	c.Must("EXISTS "+key, err)
	return n == 1
}

// Elements returns the members of a set.
func (c *Cell) Elements(database, key string) []string {
	c.T.Helper()
	var out []string
	for _, e := range c.Do(database, "SMEMBERS", key).Array {
		out = append(out, string(e.Str))
	}
	return out
}

// Pop does what orchagent's consumer does to all that is pending in PORT_TABLE
// (PROTOCOL.md section 4), each row in one atomic unit, and returns how many
// rows there were.
func (c *Cell) Pop() int {
	c.T.Helper()
	const a = "APPL_DB"
	keys := c.Elements(a, "PORT_TABLE_KEY_SET")
	deleted := make(map[string]bool)
	for _, k := range c.Elements(a, "PORT_TABLE_DEL_SET") {
		deleted[k] = true
	}
	for _, k := range keys {
		pending := c.Row(a, "_PORT_TABLE:"+k)
		c.Do(a, "MULTI")
		c.Do(a, "SREM", "PORT_TABLE_KEY_SET", k)
		if deleted[k] {
			c.Do(a, "SREM", "PORT_TABLE_DEL_SET", k)
			c.Do(a, "DEL", "PORT_TABLE:"+k)
		}
		if len(pending) > 0 {
			hset := []string{"HSET", "PORT_TABLE:" + k}
			for f, v := range pending {
				hset = append(hset, f, v)
			}
			c.Do(a, hset...)
		}
		c.Do(a, "DEL", "_PORT_TABLE:"+k)
		c.Do(a, "EXEC")
	}
	return len(keys)
}

// Ip runs lines of `ip link` in one burst.
func (c *Cell) Ip(lines ...string) {
	c.T.Helper()
	c.Must("change links", lab.Batch(lines))
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
func (c *Cell) AwaitLog(n int, limit time.Duration, words ...string) LogLine {
	c.T.Helper()
	line, ok := c.Logs.Await(n, limit, func(l LogLine) bool { return l.Has(words...) })
	if !ok {
		c.T.Fatalf("no log line with %q within %v", words, limit)
	}
	return line
}

// FaultLines returns how many log lines there are beside those about link messages,
// which have a limit of their own.
func (c *Cell) FaultLines() (n int) {
	lines, _ := c.Logs.From(0)
	for _, l := range lines {
		if !strings.HasPrefix(l.Text, ":- onMsg: ") {
			n++
		}
	}
	return n
}
