package sonicdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"portsyncd/internal/smallfile"
)

// maxMap is the maximum size of a database map file in bytes. SONiC's file has about 4 KiB.
const maxMap = 1 << 20

// LoadMap reads the map from a file. The error wraps fs.ErrNotExist if the file does not exist, and
// smallfile.ErrTimeout if the file system does not respond.
func LoadMap(path string) (*Map, error) {
	src, err := smallfile.Read(context.Background(), path, maxMap)
	if err != nil {
		return nil, fmt.Errorf("read database map: %w", err)
	}
	return ParseMap(path, src)
}

// ParseMap parses a database map. name is the file name used in errors. If the definition of a
// database or its instance is invalid, Map.Database returns the error for that database only,
// because the daemon uses only some of them. Unknown members are ignored.
func ParseMap(name string, src []byte) (*Map, error) {
	if len(src) > maxMap {
		return nil, fmt.Errorf("%s: file of %d bytes is too large: must be at most %d bytes", name, len(src), maxMap)
	}
	// The C++ daemons read the map with nlohmann::json's operator>>, which skips a byte
	// order mark and ignores text that follows the object.
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	root := object{path: name + ": "}
	if err := json.Unmarshal(src, &root.members); err != nil {
		root.members = nil
		if json.NewDecoder(bytes.NewReader(src)).Decode(&root.members) != nil {
			return nil, jsonError(name, src, err)
		}
	}
	instances, err := root.object("INSTANCES")
	if err != nil {
		return nil, err
	}
	databases, err := root.object("DATABASES")
	if err != nil {
		return nil, err
	}
	m := &Map{name: name, databases: make(map[string]entry, len(databases.members))}
	for name := range databases.members {
		d, err := parseDatabase(databases, instances, name)
		m.databases[name] = entry{database: d, err: err}
	}
	return m, nil
}

func parseDatabase(databases, instances object, name string) (Database, error) {
	o, err := databases.object(name)
	if err != nil {
		return Database{}, err
	}
	d := Database{Name: name}
	if d.ID, err = o.int("id", math.MaxInt32); err != nil {
		return Database{}, err
	}
	if d.Separator, err = o.string("separator"); err != nil {
		return Database{}, err
	}
	if d.Separator != ":" && d.Separator != "|" {
		return Database{}, o.wrong("separator", `":" or "|"`)
	}
	instance, err := o.string("instance")
	if err != nil {
		return Database{}, err
	}
	if d.Instance, err = parseInstance(instances, instance); err != nil {
		return Database{}, err
	}
	return d, nil
}

// parseInstance parses an instance. It must have a unix socket, or a host and a port.
func parseInstance(instances object, name string) (Instance, error) {
	o, err := instances.object(name)
	if err != nil {
		return Instance{}, err
	}
	i := Instance{Name: name}
	if path, ok := o.members["password_path"]; ok && string(path) != "null" {
		if i.PasswordFile, err = o.string("password_path"); err != nil {
			return Instance{}, err
		}
	}
	if o.has("unix_socket_path") {
		if i.UnixSocket, err = o.string("unix_socket_path"); err != nil {
			return Instance{}, err
		}
	}
	if i.UnixSocket != "" {
		return i, nil
	}
	if i.Hostname, err = o.string("hostname"); err != nil {
		return Instance{}, err
	}
	if i.Port, err = o.int("port", math.MaxUint16); err != nil {
		return Instance{}, err
	}
	return i, nil
}

// object is a decoded JSON object, with its path for use in errors. Unlike decoding into a struct,
// it distinguishes "id" from "ID", and a missing member from a member with the value zero.
type object struct {
	path    string // "database_config.json: DATABASES."
	members map[string]json.RawMessage
}

func (o object) has(name string) bool {
	_, ok := o.members[name]
	return ok
}

func (o object) object(name string) (object, error) {
	inner := object{path: o.path + name + "."}
	return inner, o.decode(name, &inner.members, "an object")
}

func (o object) string(name string) (s string, err error) {
	return s, o.decode(name, &s, "a string")
}

func (o object) int(name string, limit int) (n int, err error) {
	want := fmt.Sprintf("an integer from 0 to %d", limit)
	if err := o.decode(name, &n, want); err != nil {
		return 0, err
	}
	if n < 0 || n > limit {
		return 0, o.wrong(name, want)
	}
	return n, nil
}

func (o object) decode(name string, into any, want string) error {
	raw, ok := o.members[name]
	if !ok {
		return fmt.Errorf("%s%s: missing; must be %s", o.path, name, want)
	}
	if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, into) != nil {
		return o.wrong(name, want)
	}
	return nil
}

// wrong returns an error that the named member has an invalid value, which it shows as in the file. want
// describes valid values.
func (o object) wrong(name, want string) error {
	got := o.members[name]
	return fmt.Errorf("%s%s: invalid value %s: must be %s", o.path, name, got[:min(len(got), 64)], want)
}

// jsonError adds the line number to an error of encoding/json.
func jsonError(name string, src []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("%s: parse JSON object: %w", name, err)
	}
	line := 1 + bytes.Count(src[:min(int(syntax.Offset), len(src))], []byte("\n"))
	return fmt.Errorf("%s:%d: parse JSON object: %w", name, line, err)
}
