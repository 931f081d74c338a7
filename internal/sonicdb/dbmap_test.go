package sonicdb

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoadMap checks the map of a switch.
func TestLoadMap(t *testing.T) {
	m, err := LoadMap("testdata/database_config.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		name, separator  string
		id               int
		network, address string
	}{
		{"APPL_DB", ":", 0, "unix", "/var/run/redis/redis.sock"},
		{"COUNTERS_DB", ":", 2, "tcp", "[::1]:6380"},
		{"CONFIG_DB", "|", 4, "unix", "/var/run/redis/redis.sock"},
		{"STATE_DB", "|", 6, "unix", "/var/run/redis/redis.sock"},
	} {
		d, err := m.Database(want.name)
		if err != nil {
			t.Errorf("%s: %v", want.name, err)
			continue
		}
		if d.Name != want.name || d.ID != want.id || d.Separator != want.separator ||
			d.Instance.Network() != want.network || d.Instance.Address() != want.address {
			t.Errorf("%s: got %+v, want %+v", want.name, d, want)
		}
		if o := d.Options(); o != (Options{Network: want.network, Address: want.address, DB: want.id}) {
			t.Errorf("%s: got options %+v", want.name, o)
		}
	}
	if _, err := m.Database("PORTS_DB"); err == nil || err.Error() != "testdata/database_config.json: DATABASES.PORTS_DB: missing" {
		t.Errorf("unknown database: got %v", err)
	}
}

// TestLoadMapErrors checks missing, unreadable and too large files.
func TestLoadMapErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadMap(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: got %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := LoadMap(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder: got %v, want another error", err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, []byte(strings.Repeat(" ", maxMap+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMap(huge); err == nil || !strings.Contains(err.Error(), `huge": file is too large: must be at most 1048576 bytes`) {
		t.Errorf("huge file: got %v", err)
	}
}

// TestParseMapCredentials checks that a byte order mark is skipped, and that the map overrides the
// password of the settings.
func TestParseMapCredentials(t *testing.T) {
	m, err := ParseMap("f", []byte("\xef\xbb\xbf"+`{"INSTANCES": {
		"a": {"unix_socket_path": "/a", "password_path": "/run/redis/auth/passwd"}, "b": {"unix_socket_path": "/b"}},
		"DATABASES": {"APPL_DB": {"id": 0, "separator": ":", "instance": "a"}, "STATE_DB": {"id": 6, "separator": "|", "instance": "b"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []bool{false, true} {
		b := Options{Network: "unix", Address: "/b", DB: 6}
		if given {
			m.SetCredentials("sonic", "/etc/sonic/passwd")
			b.Username, b.PasswordFile = "sonic", "/etc/sonic/passwd"
		}
		for name, want := range map[string]Options{
			"APPL_DB":  {Network: "unix", Address: "/a", PasswordFile: "/run/redis/auth/passwd"},
			"STATE_DB": b,
		} {
			if d, err := m.Database(name); err != nil || d.Options() != want {
				t.Errorf("credentials %t: %s is %+v, %v; want %+v", given, name, d.Options(), err, want)
			}
		}
	}
}

// TestParseMapTail checks that text after the map is ignored, as by the C++ daemons, and that a
// truncated map or other text before it is refused.
func TestParseMapTail(t *testing.T) {
	const good = `{"INSTANCES": {}, "DATABASES": {}}`
	for _, tail := range []string{"\n", "}", "\n\x00\x00", " {\"INSTANCES\": 1}", "\xff"} {
		if _, err := ParseMap("f", []byte(good+tail)); err != nil {
			t.Errorf("followed by %q: %v", tail, err)
		}
	}
	for _, src := range []string{good[:len(good)-1], "x" + good, "// comment\n" + good, "\xff\xfe" + good, "\x00" + good} {
		if _, err := ParseMap("f", []byte(src)); err == nil {
			t.Errorf("%q is accepted", src)
		}
	}
}

// TestParseMapSize checks maps of the maximum size and above.
func TestParseMapSize(t *testing.T) {
	src := `{"INSTANCES": {}, "DATABASES": {}}`
	src += strings.Repeat(" ", maxMap-len(src))
	if _, err := ParseMap("f", []byte(src)); err != nil {
		t.Errorf("%d bytes: %v", len(src), err)
	}
	if _, err := ParseMap("f", []byte(src+" ")); err == nil || err.Error() != "f: file of 1048577 bytes is too large: must be at most 1048576 bytes" {
		t.Errorf("%d bytes: got %v", len(src)+1, err)
	}
}

// TestParseMapRefusesText checks the errors of texts that are not a map.
func TestParseMapRefusesText(t *testing.T) {
	for src, want := range map[string]string{
		"":                                     "f:1: parse JSON object",
		"{\n\"INSTANCES\": {},\n":              "f:3: parse JSON object",
		"{\n\n]":                               "f:3: parse JSON object",
		"[]":                                   "f: parse JSON object",
		"null":                                 "f: INSTANCES: missing; must be an object",
		"{}":                                   "f: INSTANCES: missing; must be an object",
		`{"instances": {}}`:                    "f: INSTANCES: missing; must be an object",
		`{"INSTANCES": {}}`:                    "f: DATABASES: missing; must be an object",
		`{"INSTANCES": []}`:                    `f: INSTANCES: invalid value []: must be an object`,
		`{"INSTANCES": {}, "DATABASES": null}`: `f: DATABASES: invalid value null: must be an object`,
	} {
		if _, err := ParseMap("f", []byte(src)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", src, err, want)
		}
	}
}

// TestParseMapRefusesDatabase checks that an error in one database does not affect the others.
func TestParseMapRefusesDatabase(t *testing.T) {
	const good = `"id": 0, "separator": ":", "instance": "redis"`
	const redis = `"hostname": "localhost", "port": 6379`
	for _, test := range []struct{ database, instance, want string }{
		{good, redis, ""},
		{good, `"unix_socket_path": "/s"`, ""},
		{good, `"hostname": "localhost", "port": 65535`, ""},
		{`"id": 2147483647, "separator": ":", "instance": "redis"`, redis, ""},
		{good, `"unix_socket_path": "", ` + redis, ""},
		{good + `, "later": [1, 2]`, redis, ""},
		{good, redis + `, "password_path": null`, ""},
		{good, redis + `, "password_path": 1`, `f: INSTANCES.redis.password_path: invalid value 1: must be a string`},
		{`"separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: missing; must be an integer from 0 to 2147483647`},
		{`"ID": 0, "separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: missing`},
		{`"id": "0", "separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: invalid value "0": must be an integer`},
		{`"id": -1, "separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: invalid value -1: must be an integer`},
		{`"id": 1.5, "separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: invalid value 1.5: must be an integer`},
		{`"id": 2147483648, "separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: invalid value 2147483648: must be an integer`},
		{`"id": null, "separator": ":", "instance": "redis"`, redis, `f: DATABASES.X.id: invalid value null: must be an integer`},
		{`"id": 0, "separator": "/", "instance": "redis"`, redis, `f: DATABASES.X.separator: invalid value "/": must be ":" or "|"`},
		{`"id": 0, "separator": "", "instance": "redis"`, redis, `f: DATABASES.X.separator: invalid value "": must be ":" or "|"`},
		{`"id": 0, "instance": "redis"`, redis, `f: DATABASES.X.separator: missing; must be a string`},
		{`"id": 0, "separator": ":"`, redis, `f: DATABASES.X.instance: missing; must be a string`},
		{`"id": 0, "separator": ":", "instance": "redis2"`, redis, `f: INSTANCES.redis2: missing; must be an object`},
		{good, `"port": 6379`, `f: INSTANCES.redis.hostname: missing; must be a string`},
		{good, `"hostname": "localhost"`, `f: INSTANCES.redis.port: missing; must be an integer from 0 to 65535`},
		{good, `"hostname": "localhost", "port": 65536`, `f: INSTANCES.redis.port: invalid value 65536: must be an integer from 0 to 65535`},
		{good, `"unix_socket_path": 1`, `f: INSTANCES.redis.unix_socket_path: invalid value 1: must be a string`},
	} {
		src := `{"INSTANCES": {"redis": {` + test.instance + `}}, "DATABASES": {"X": {` + test.database + `}, "Y": {}}}`
		m, err := ParseMap("f", []byte(src))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		d, err := m.Database("X")
		switch {
		case test.want == "" && (err != nil || d.Instance.Name != "redis"):
			t.Errorf("%s: got %+v, %v", src, d, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %s", src, err, test.want)
		}
		if _, err := m.Database("Y"); err == nil {
			t.Errorf("%s: no error for a database without members", src)
		}
	}
}

// TestStaticMap checks the addresses of the default map.
func TestStaticMap(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"unix", "/run/redis.sock", "/run/redis.sock"},
		{"tcp", "127.0.0.1:6379", "127.0.0.1:6379"},
		{"tcp", "[::1]:6380", "[::1]:6380"},
		{"tcp", "switch", "switch:0"},
	} {
		m := StaticMap(test.network, test.address)
		for name, want := range map[string]struct {
			id        int
			separator string
		}{"APPL_DB": {0, ":"}, "CONFIG_DB": {4, "|"}, "STATE_DB": {6, "|"}} {
			d, err := m.Database(name)
			if err != nil || d.Name != name || d.ID != want.id || d.Separator != want.separator ||
				d.Instance.Network() != test.network || d.Instance.Address() != test.want {
				t.Errorf("%s at %s: got %+v, %v", name, test.address, d, err)
			}
		}
		if _, err := m.Database("COUNTERS_DB"); err == nil || !strings.Contains(err.Error(), "COUNTERS_DB") {
			t.Errorf("COUNTERS_DB: got %v, want an error that names it", err)
		}
	}
}

// TestInstanceSame checks the comparison of addresses.
func TestInstanceSame(t *testing.T) {
	a := Instance{Name: "a", UnixSocket: "/s", Hostname: "h", Port: 1}
	for b, want := range map[Instance]bool{
		{Name: "b", UnixSocket: "/s"}:           true, // the name does not matter, nor what is not used
		{Name: "a", UnixSocket: "/t"}:           false,
		{Name: "a", Hostname: "h", Port: 1}:     false,
		{Name: "a", Hostname: "/s", Port: 6379}: false,
	} {
		if got := a.Same(b); got != want {
			t.Errorf("%+v and %+v: got %v, want %v", a, b, got, want)
		}
	}
	if (Instance{UnixSocket: "h:1"}).Same(Instance{Hostname: "h", Port: 1}) {
		t.Error("a socket of that name and a host are the same")
	}
}
