package switchtest

import (
	"errors"
	"os"
	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// Cell is a switch for one test: namespaces in which only lo exists, empty
// directories where a switch has its databases and its state, a syslog socket,
// and a database server. All of it is gone when the test ends.
type Switch struct {
	T         T
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

// NewCell returns a cell for this test, or nil: then the test has been run, in
// a process of its own, and its outcome is known.
func New(t T) *Switch {
	t.Helper()
	sw := NewWithoutDatabase(t)
	if sw != nil {
		sw.StartDatabase(DefaultMap, NewDatabaseServer(t))
	}
	return sw
}

// NewRedisCell is NewCell for a test that treats the server as only a process
// can be treated.
func NewWithRedis(t T) (*Switch, *RedisServer) {
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
func NewWithLab(t T) (*Switch, *LabServer) {
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
func NewWithoutDatabase(t T) *Switch {
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
func NewBare(t T) *Switch {
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

// Must ends the test if what it was doing went wrong.
func (sw *Switch) NoError(what string, err error) {
	sw.T.Helper()
	if err != nil {
		sw.T.Fatalf("%s: %v", what, err)
	}
}

func (sw *Switch) Mkdir(path string) {
	sw.T.Helper()
	sw.NoError("make a directory", os.Mkdir(path, 0o755))
}

// Config writes the daemon's configuration and returns its path.
func (sw *Switch) WriteConfig(text string) string {
	sw.T.Helper()
	path := sw.Dir + "/portsyncd.conf"
	WriteFile(sw.T, path, text)
	return path
}

// Ip runs lines of `ip link` in one burst.
func (sw *Switch) IPLink(lines ...string) {
	sw.T.Helper()
	sw.NoError("change links", lab.Batch(lines))
}
