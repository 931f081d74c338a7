package databases

import (
	"fmt"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestRedisPassword checks that the daemon uses the password file of the database map or of the
// settings, for the default user and for an ACL user; that it reads a changed password at the next
// connection; and that it logs no password.
func TestRedisPassword(t *testing.T) {
	switchtest.Parallel(t)
	const file = switchtest.RedisDir + "/test/password"
	ofMap := strings.Replace(switchtest.DefaultMap, `"port": 6379,`, `"port": 6379, "password_path": "`+file+`",`, 1)
	for _, way := range []struct{ name, settings, databaseMap, user string }{
		{"map", "", ofMap, ""},
		{"map_before_settings", "[database]\nuser = \"nobody\"\npassword_file = \"/none\"\n", ofMap, ""},
		{"settings", fmt.Sprintf("[database]\npassword_file = %q\n", file), switchtest.DefaultMap, ""},
		{"user", fmt.Sprintf("[database]\nuser = \"sonic\"\npassword_file = %q\n", file), switchtest.DefaultMap, "sonic"},
		{"without_map", fmt.Sprintf("[database]\nconfig_file = \"\"\nunix_socket = \"/var/run/redis/redis.sock\"\npassword_file = %q\n", file), switchtest.DefaultMap, ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			sw, _ := switchtest.NewWithRedis(t)
			if sw == nil {
				return
			}
			sw.WriteDatabaseMap(way.databaseMap)
			sw.ConfigurePorts(1)
			for name := range sw.Databases {
				sw.Conn(name) // the connection stays authenticated
			}
			protect := func(password string) {
				t.Helper()
				if way.user == "" {
					sw.Do("CONFIG_DB", "CONFIG", "SET", "requirepass", password)
					return
				}
				sw.Do("CONFIG_DB", "CONFIG", "SET", "requirepass", "known to nobody")
				sw.Do("CONFIG_DB", "ACL", "SETUSER", way.user, "reset", "on", ">"+password, "~*", "&*", "+@all")
			}
			protect("s3cret")
			switchtest.WriteFile(t, file, "s3cret\n")
			d := sw.StartWith(way.settings)
			sw.AddInterfaces(1)

			protect("ch4nged")
			from := sw.Logs.Len()
			sw.Do("CONFIG_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			sw.Do("CONFIG_DB", "CLIENT", "KILL", "TYPE", "pubsub")
			sw.AwaitLog(from, switchtest.Timeout, "WRONGPASS")
			switchtest.WriteFile(t, file, "ch4nged")
			sw.AwaitLog(from, switchtest.Timeout, "reason=database_back")
			sw.Do("CONFIG_DB", "CONFIG", "SET", "requirepass", "") // through the connection that was not closed
			sw.CloseConns()
			sw.CheckSelfReport(d)
			lines, _ := sw.Logs.From(0)
			for _, l := range lines {
				if l.Has("s3cret") || l.Has("ch4nged") {
					t.Errorf("the password is in the log: %s", l)
				}
			}
		})
	}
}

// TestNoPasswordFile checks that the daemon uses a server without a password although the password
// file is missing, and also when the file exists. TestPasswordFile in package sonicdb covers a
// server that requires a password.
func TestNoPasswordFile(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const file = switchtest.RedisDir + "/test/password"
	sw.ConfigurePorts(1)
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", sw.WriteConfig(fmt.Sprintf("[database]\npassword_file = %q\n", file))}})
	d.AwaitReady()
	switchtest.WriteFile(t, file, "not needed\n") // as the server reports
	sw.AddInterfaces(1)
	d.Signal(15)
	d.Wait(switchtest.ExitTimeout)
}
