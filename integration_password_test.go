package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRedisPassword: a protected Redis is used with the password file of the map or of
// the settings, as the default or as an ACL user; a changed password is taken at the
// next connection, and no password is in the log.
func TestRedisPassword(t *testing.T) {
	alongside(t)
	const file = redisDir + "/cell/password"
	ofMap := strings.Replace(usualMap, `"port": 6379,`, `"port": 6379, "password_path": "`+file+`",`, 1)
	for _, way := range []struct{ name, settings, databaseMap, user string }{
		{"map", "", ofMap, ""},
		{"map_before_settings", "[database]\nuser = \"nobody\"\npassword_file = \"/none\"\n", ofMap, ""},
		{"settings", fmt.Sprintf("[database]\npassword_file = %q\n", file), usualMap, ""},
		{"user", fmt.Sprintf("[database]\nuser = \"sonic\"\npassword_file = %q\n", file), usualMap, "sonic"},
		{"without_map", fmt.Sprintf("[database]\nconfig_file = \"\"\nunix_socket = \"/var/run/redis/redis.sock\"\npassword_file = %q\n", file), usualMap, ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			c, _ := newRedisCell(t)
			if c == nil {
				return
			}
			c.writeMap(way.databaseMap)
			c.configure(1)
			for name := range c.places {
				c.conn(name) // stays authenticated
			}
			protect := func(password string) {
				t.Helper()
				if way.user == "" {
					c.do("CONFIG_DB", "CONFIG", "SET", "requirepass", password)
					return
				}
				c.do("CONFIG_DB", "CONFIG", "SET", "requirepass", "known to nobody")
				c.do("CONFIG_DB", "ACL", "SETUSER", way.user, "reset", "on", ">"+password, "~*", "&*", "+@all")
			}
			protect("s3cret")
			writeFile(t, file, "s3cret\n")
			c.startWith(way.settings)
			c.plug(1)

			protect("ch4nged")
			from := c.logs.len()
			c.do("CONFIG_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			c.do("CONFIG_DB", "CLIENT", "KILL", "TYPE", "pubsub")
			c.hangUp()
			c.awaitLog(from, patience, "WRONGPASS")
			writeFile(t, file, "ch4nged")
			c.awaitLog(from, patience, "reason=database_back")
			lines, _ := c.logs.from(0)
			for _, l := range lines {
				if l.has("s3cret") || l.has("ch4nged") {
					t.Errorf("the password is in the log: %s", l)
				}
			}
		})
	}
}

// TestNoPasswordFile: a server that needs no password is used although the password file
// is missing, and also once it is there. That a server which needs one refuses, and that
// the error names the file, is in TestPasswordFile of sonicdb.
func TestNoPasswordFile(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const file = redisDir + "/cell/password"
	c.configure(1)
	d := c.start(launch{args: []string{"-c", c.config(fmt.Sprintf("[database]\npassword_file = %q\n", file))}})
	d.awaitReady()
	writeFile(t, file, "not needed\n") // the server says so
	c.plug(1)
	d.signal(15)
	d.wait(5 * time.Second)
}
