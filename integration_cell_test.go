package main

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

	"portsyncd/lab"
	"portsyncd/sonicdb"
)

// cell is a switch for one test: namespaces in which only lo exists, empty
// directories where a switch has its databases and its state, a syslog socket,
// and a database server. All of it is gone when the test ends.
type cell struct {
	t      *testing.T
	binary string
	dir    string           // empty, for whatever the test needs
	places map[string]place // where the databases are, by name
	server dbServer
	links  *lab.Links
	logs   *record[logLine] // what arrived at /dev/log

	conns  map[string]*sonicdb.Conn // the test's own
	notify int                      // counts notification sockets
	old    map[int32]bool           // interfaces that the daemon is to ignore, by index
}

const (
	redisDir = "/var/run/redis"
	mapFile  = redisDir + "/sonic-db/database_config.json"
)

// usualMap is the part of SONiC's database map that matters here.
const usualMap = `{
  "INSTANCES": {"redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/var/run/redis/redis.sock"}},
  "DATABASES": {
    "APPL_DB": {"id": 0, "separator": ":", "instance": "redis"},
    "CONFIG_DB": {"id": 4, "separator": "|", "instance": "redis"},
    "STATE_DB": {"id": 6, "separator": "|", "instance": "redis"}
  },
  "VERSION": "1.0"
}`

// newCell returns a cell for this test, or nil: then the test has been run, in
// a process of its own, and its outcome is known.
func newCell(t *testing.T) *cell {
	t.Helper()
	c := enterCell(t)
	if c != nil {
		c.serve(usualMap, newServer(t))
	}
	return c
}

// newRedisCell is newCell for a test that treats the server as only a process
// can be treated.
func newRedisCell(t *testing.T) (*cell, *redisServer) {
	t.Helper()
	c := enterCell(t)
	if c == nil {
		return nil, nil
	}
	r := newRedis(t)
	c.serve(usualMap, r)
	return c, r
}

// newLabCell is newCell for a test that makes the server answer as a real one
// cannot easily be made to.
func newLabCell(t *testing.T) (*cell, *labServer) {
	t.Helper()
	c := enterCell(t)
	if c == nil {
		return nil, nil
	}
	s := newLab()
	c.serve(usualMap, s)
	return c, s
}

// enterCell is newCell without a map and a server.
func enterCell(t *testing.T) *cell {
	t.Helper()
	c := enterBareCell(t)
	if c != nil {
		var err error
		c.logs, err = openDevLog(c.dir)
		c.must("/dev/log", err)
	}
	return c
}

// enterBareCell is enterCell with the /dev of this machine.
func enterBareCell(t *testing.T) *cell {
	t.Helper()
	path := binary(t) // built outside, where the build cache is
	alongside(t)
	if !lab.InNamespace(t) {
		return nil
	}
	c := &cell{t: t, binary: path, dir: redisDir + "/cell", conns: make(map[string]*sonicdb.Conn), old: make(map[int32]bool)}
	// The binary runs without arguments and must find nothing of this machine's
	// in the places it looks at.
	c.must("private directories", errors.Join(
		lab.MountTmpfs(redisDir), lab.MountTmpfs("/var/lib/sonic"), hide("/etc/sonic"), hide("/var/warmboot"),
		os.Mkdir(c.dir, 0o755)))
	var err error
	c.links, err = lab.DialLinks()
	c.must("rtnetlink", err)
	return c
}

// hide puts an empty directory over one that exists.
func hide(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	return lab.MountTmpfs(dir)
}

// serve writes the database map and starts the server at its first address.
func (c *cell) serve(databaseMap string, s dbServer) {
	c.t.Helper()
	c.writeMap(databaseMap)
	c.server = s
	c.must("start the database", s.start(c.places["APPL_DB"]))
	c.t.Cleanup(s.stop)
}

// place is where a database is.
type place struct {
	number int
	socket string
	port   int
}

func (p place) tcp() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// writeMap makes databaseMap the map of this cell, for the daemon and for the
// test's own connections.
func (c *cell) writeMap(databaseMap string) {
	c.t.Helper()
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
	c.must("read the map", json.Unmarshal([]byte(databaseMap), &m))
	c.places = make(map[string]place)
	for name, db := range m.Databases {
		at := m.Instances[db.Instance]
		c.places[name] = place{number: db.ID, socket: at.Socket, port: at.Port}
	}
	c.must("write the map", errors.Join(
		os.MkdirAll(filepath.Dir(mapFile), 0o755), os.WriteFile(mapFile, []byte(databaseMap), 0o644)))
}

func (c *cell) mkdir(path string) {
	c.t.Helper()
	c.must("make a directory", os.Mkdir(path, 0o755))
}

// must ends the test if what it was doing went wrong.
func (c *cell) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// conn returns the test's own connection to a database. It goes over TCP, so
// that MONITOR tells it from the daemon's, which use the unix socket.
func (c *cell) conn(name string) *sonicdb.Conn {
	c.t.Helper()
	if conn := c.conns[name]; conn != nil {
		return conn
	}
	at := c.places[name]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{
		Network: "tcp", Address: at.tcp(), DB: at.number, IOTimeout: patience})
	c.must("connect to "+name, err)
	c.conns[name] = conn
	return conn
}

// hangUp closes the test's own connections, for when the server goes.
func (c *cell) hangUp() {
	for name, conn := range c.conns {
		conn.Close()
		delete(c.conns, name)
	}
}

// do runs one command on a database.
func (c *cell) do(database string, args ...string) *sonicdb.Reply {
	c.t.Helper()
	r, err := c.conn(database).Do(args...)
	if err != nil {
		c.t.Fatalf("%s %q: %v", database, args, err)
	}
	return r
}

// row returns the fields of a hash, nil if there is none.
func (c *cell) row(database, key string) map[string]string {
	c.t.Helper()
	fields, err := c.conn(database).HGetAll(key)
	if err != nil {
		c.t.Fatalf("%s HGETALL %q: %v", database, key, err)
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

// exists reports whether a database has a key.
func (c *cell) exists(database, key string) bool {
	c.t.Helper()
	n, err := c.conn(database).Exists(key)
	c.must("EXISTS "+key, err)
	return n == 1
}

// elements returns the members of a set.
func (c *cell) elements(database, key string) []string {
	c.t.Helper()
	var out []string
	for _, e := range c.do(database, "SMEMBERS", key).Array {
		out = append(out, string(e.Str))
	}
	return out
}

// pop does what orchagent's consumer does to all that is pending in PORT_TABLE
// (PROTOCOL.md section 4), each row in one atomic unit, and returns how many
// rows there were.
func (c *cell) pop() int {
	c.t.Helper()
	const a = "APPL_DB"
	keys := c.elements(a, "PORT_TABLE_KEY_SET")
	deleted := make(map[string]bool)
	for _, k := range c.elements(a, "PORT_TABLE_DEL_SET") {
		deleted[k] = true
	}
	for _, k := range keys {
		pending := c.row(a, "_PORT_TABLE:"+k)
		c.do(a, "MULTI")
		c.do(a, "SREM", "PORT_TABLE_KEY_SET", k)
		if deleted[k] {
			c.do(a, "SREM", "PORT_TABLE_DEL_SET", k)
			c.do(a, "DEL", "PORT_TABLE:"+k)
		}
		if len(pending) > 0 {
			hset := []string{"HSET", "PORT_TABLE:" + k}
			for f, v := range pending {
				hset = append(hset, f, v)
			}
			c.do(a, hset...)
		}
		c.do(a, "DEL", "_PORT_TABLE:"+k)
		c.do(a, "EXEC")
	}
	return len(keys)
}

// ip runs lines of `ip link` in one burst.
func (c *cell) ip(lines ...string) {
	c.t.Helper()
	c.must("change links", lab.Batch(lines))
}

// openDevLog puts a /dev in place that has the few devices a program needs and
// a syslog socket. The record gets what arrives there.
func openDevLog(dir string) (*record[logLine], error) {
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

// awaitLog waits for a log line that has all of the words, among those that
// came after the first n.
func (c *cell) awaitLog(n int, limit time.Duration, words ...string) logLine {
	c.t.Helper()
	line, ok := c.logs.await(n, limit, func(l logLine) bool { return l.has(words...) })
	if !ok {
		c.t.Fatalf("no log line with %q within %v", words, limit)
	}
	return line
}

// faultLines returns how many log lines there are beside those about link messages,
// which have a limit of their own.
func (c *cell) faultLines() (n int) {
	lines, _ := c.logs.from(0)
	for _, l := range lines {
		if !strings.HasPrefix(l.text, ":- onMsg: ") {
			n++
		}
	}
	return n
}
