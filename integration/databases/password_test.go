package databases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestRedisPassword: a protected Redis is used with the password file of the map or of
// the settings, as the default or as an ACL user; a changed password is taken at the
// next connection, and no password is in the log.
func TestRedisPassword(t *testing.T) {
	switchtest.Alongside(t)
	const file = switchtest.RedisDir + "/cell/password"
	ofMap := strings.Replace(switchtest.UsualMap, `"port": 6379,`, `"port": 6379, "password_path": "`+file+`",`, 1)
	for _, way := range []struct{ name, settings, databaseMap, user string }{
		{"map", "", ofMap, ""},
		{"map_before_settings", "[database]\nuser = \"nobody\"\npassword_file = \"/none\"\n", ofMap, ""},
		{"settings", fmt.Sprintf("[database]\npassword_file = %q\n", file), switchtest.UsualMap, ""},
		{"user", fmt.Sprintf("[database]\nuser = \"sonic\"\npassword_file = %q\n", file), switchtest.UsualMap, "sonic"},
		{"without_map", fmt.Sprintf("[database]\nconfig_file = \"\"\nunix_socket = \"/var/run/redis/redis.sock\"\npassword_file = %q\n", file), switchtest.UsualMap, ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			c, _ := switchtest.NewRedisCell(t)
			if c == nil {
				return
			}
			c.WriteMap(way.databaseMap)
			c.Configure(1)
			for name := range c.Places {
				c.Conn(name) // stays authenticated
			}
			protect := func(password string) {
				t.Helper()
				if way.user == "" {
					c.Do("CONFIG_DB", "CONFIG", "SET", "requirepass", password)
					return
				}
				c.Do("CONFIG_DB", "CONFIG", "SET", "requirepass", "known to nobody")
				c.Do("CONFIG_DB", "ACL", "SETUSER", way.user, "reset", "on", ">"+password, "~*", "&*", "+@all")
			}
			protect("s3cret")
			switchtest.WriteFile(t, file, "s3cret\n")
			c.StartWith(way.settings)
			c.Plug(1)

			protect("ch4nged")
			from := c.Logs.Len()
			c.Do("CONFIG_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			c.Do("CONFIG_DB", "CLIENT", "KILL", "TYPE", "pubsub")
			c.HangUp()
			c.AwaitLog(from, switchtest.Patience, "WRONGPASS")
			switchtest.WriteFile(t, file, "ch4nged")
			c.AwaitLog(from, switchtest.Patience, "reason=database_back")
			lines, _ := c.Logs.From(0)
			for _, l := range lines {
				if l.Has("s3cret") || l.Has("ch4nged") {
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
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	const file = switchtest.RedisDir + "/cell/password"
	c.Configure(1)
	d := c.Start(switchtest.Launch{Args: []string{"-c", c.Config(fmt.Sprintf("[database]\npassword_file = %q\n", file))}})
	d.AwaitReady()
	switchtest.WriteFile(t, file, "not needed\n") // the server says so
	c.Plug(1)
	d.Signal(15)
	d.Wait(5 * time.Second)
}
