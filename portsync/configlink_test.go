package portsync

import (
	"strings"
	"testing"

	"portsyncd/internal/sonicdb"
)

// TestConfigAlone checks which maps have CONFIG_DB on a server of its own, and that the error for a map
// with several bad entries is one line.
func TestConfigAlone(t *testing.T) {
	text := func(appl, config, state, separator string) string {
		database := func(name, instance string) string {
			return `"` + name + `": {"id": 0, "separator": "` + separator + `", "instance": "` + instance + `"}`
		}
		return `{"INSTANCES": {"a": {"unix_socket_path": "/a"}, "b": {"unix_socket_path": "/b"}}, "DATABASES": {` +
			database("APPL_DB", appl) + `, ` + database("CONFIG_DB", config) + `, ` + database("STATE_DB", state) + `}}`
	}
	for _, c := range []struct {
		text  string
		alone bool
		err   string
	}{
		{text("a", "a", "a", ":"), false, ""},
		{text("a", "b", "a", ":"), true, ""},
		{text("a", "b", "b", ":"), false, ""},
		{text("b", "b", "a", ":"), false, ""},
		{text("a", "b", "a", "/"), false, `DATABASES.CONFIG_DB.separator: invalid value "/"`},
		{text("nope", "b", "a", ":"), false, "INSTANCES.nope"},
		{text("a", "b", "nope", ":"), false, "INSTANCES.nope"},
	} {
		m, err := sonicdb.ParseMap("map", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		alone, err := configAlone(m)
		if alone != c.alone || (err == nil) != (c.err == "") {
			t.Errorf("%s: %t, %v, want %t and the error %q", c.text, alone, err, c.alone, c.err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: error %q, want one line with %q", c.text, err, c.err)
		}
	}
}
