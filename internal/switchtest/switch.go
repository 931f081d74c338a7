package switchtest

import (
	"errors"
	"os"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// Switch is a simulated switch for one test. It has its own network namespace, which contains only
// lo, and its own mount namespace, with empty directories for databases and state, a syslog socket,
// and a database server. Everything is removed when the test ends.
type Switch struct {
	T         T
	Binary    string
	Dir       string              // an empty directory for the test's files
	Databases map[string]Database // by name, such as APPL_DB
	Server    DatabaseServer
	Links     *lab.Links
	Logs      *Record[LogLine] // lines received at /dev/log

	Conns        map[string]*sonicdb.Conn // the test's own, by database
	notify       int                      // counts notification sockets
	IgnoredLinks map[int32]bool           // indexes of interfaces that the daemon must ignore
}

// New returns a switch with an empty database server: redis-server if it is installed, else the
// one of package lab. Outside namespaces it runs the test again in a process of its own, reports
// the outcome, and returns nil.
func New(t T) *Switch {
	t.Helper()
	sw := NewWithoutDatabase(t)
	if sw != nil {
		sw.StartDatabase(DefaultMap, NewDatabaseServer(t))
	}
	return sw
}

// NewWithRedis is like New but uses a real redis-server, for tests that pause or kill the server.
// It skips the test if redis-server is not installed.
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

// NewWithLab is like New but uses the database of package lab, for tests that need replies that a
// real server does not return on request.
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

// NewWithoutDatabase is like New but provides neither a database map nor a server.
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

// NewBare is like NewWithoutDatabase, but it keeps the machine's /dev and does not provide a syslog
// socket.
func NewBare(t T) *Switch {
	t.Helper()
	path := Binary(t) // build outside the namespaces, where the build cache is
	Parallel(t)
	if !lab.InNamespace(t) {
		return nil
	}
	sw := &Switch{T: t, Binary: path, Dir: RedisDir + "/test", Conns: make(map[string]*sonicdb.Conn), IgnoredLinks: make(map[int32]bool)}
	// The daemon runs without arguments and must not find files of this machine
	// in its default directories.
	sw.NoError("private directories", errors.Join(
		lab.MountTmpfs(RedisDir), lab.MountTmpfs("/var/lib/sonic"), HideDir("/etc/sonic"), HideDir("/var/warmboot"),
		os.Mkdir(sw.Dir, 0o755)))
	var err error
	sw.Links, err = lab.DialLinks()
	sw.NoError("rtnetlink", err)
	return sw
}

// HideDir mounts an empty file system over dir, if dir exists.
func HideDir(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	return lab.MountTmpfs(dir)
}

// NoError fails the test if err is not nil. The failure message contains what, which describes what
// the test was doing.
func (sw *Switch) NoError(what string, err error) {
	sw.T.Helper()
	if err != nil {
		sw.T.Fatalf("%s: %v", what, err)
	}
}

// Mkdir creates a directory with mode 0755.
func (sw *Switch) Mkdir(path string) {
	sw.T.Helper()
	sw.NoError("make a directory", os.Mkdir(path, 0o755))
}

// WriteConfig writes the daemon's configuration file and returns its path.
func (sw *Switch) WriteConfig(text string) string {
	sw.T.Helper()
	path := sw.Dir + "/portsyncd.conf"
	WriteFile(sw.T, path, text)
	return path
}

// IPLink executes the lines as "ip link" commands in a single ip process.
func (sw *Switch) IPLink(lines ...string) {
	sw.T.Helper()
	sw.NoError("change links", lab.Batch(lines))
}
