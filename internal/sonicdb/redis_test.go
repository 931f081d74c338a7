package sonicdb

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testRedis is a redis-server for one test, on a unix socket.
type testRedis struct {
	socket string
	cmd    *exec.Cmd
}

// startRedis starts a server and waits until it listens. If redis-server is not installed, it skips
// the test, or fails it with PORTSYNCD_REQUIRE_INTEGRATION=1.
func startRedis(t testing.TB, args ...string) *testRedis {
	t.Helper()
	return startRedisUntil(t, "ready to accept connections at", args...)
}

// startRedisUntil starts a server and waits for a log line that contains awaited.
func startRedisUntil(t testing.TB, awaited string, args ...string) *testRedis {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("PORTSYNCD_REQUIRE_INTEGRATION=1, but there is no redis-server in PATH")
		}
		t.Skip("no redis-server in PATH")
	}
	dir := socketDir(t)
	r := &testRedis{socket: filepath.Join(dir, "redis.sock")}
	args = append([]string{"--port", "0", "--unixsocket", r.socket, "--dir", dir, "--save", ""}, args...)
	r.cmd = exec.Command(path, args...)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = r.cmd.Stdout
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(func() {
		r.kill()
		r.cmd.Wait()
	})
	watchdog := time.AfterFunc(30*time.Second, r.kill) // ends the loop below
	defer watchdog.Stop()
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), awaited) {
			go io.Copy(io.Discard, out)
			return r
		}
	}
	t.Fatalf("redis-server did not start:\n%s", log.String())
	return nil
}

func (r *testRedis) kill() { r.cmd.Process.Signal(syscall.SIGKILL) }

// dial opens a connection that is closed at the end of the test.
func (r *testRedis) dial(t testing.TB, db int) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), Options{Network: "unix", Address: r.socket, DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// socketDir returns a temporary directory whose path is short enough for a unix socket (108 bytes,
// unix(7)). Paths of t.TempDir can be longer.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sonicdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// do is Do for a command that must succeed.
func do(t testing.TB, c *Conn, args ...string) *Reply {
	t.Helper()
	r, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return r
}

// TestRedisErrorReplyLeavesConnUsable checks that a connection can be used after an error reply.
func TestRedisErrorReplyLeavesConnUsable(t *testing.T) {
	c := startRedis(t).dial(t, 6)
	do(t, c, "SET", "PORT_TABLE|Ethernet0", "not a hash")
	err := c.HSet("PORT_TABLE|Ethernet0", FieldValue{"mtu", "9100"})
	var e ServerError
	if !errors.As(err, &e) || e.Code() != "WRONGTYPE" {
		t.Fatalf("HSet on a string: got %v, want WRONGTYPE", err)
	}
	if err := c.HSet("PORT_TABLE|Ethernet4", FieldValue{"mtu", "9100"}, FieldValue{"state", "ok"}); err != nil {
		t.Fatalf("HSet after an error reply: %v", err)
	}
	fvs, err := c.HGetAll("PORT_TABLE|Ethernet4")
	if err != nil || len(fvs) != 2 || fvs[0] != (FieldValue{"mtu", "9100"}) || fvs[1] != (FieldValue{"state", "ok"}) {
		t.Fatalf("HGetAll: got %v, %v, want mtu and state in that order", fvs, err)
	}
}

// TestRedisKilled checks that a connection to a killed server returns errors.
func TestRedisKilled(t *testing.T) {
	r := startRedis(t)
	c := r.dial(t, 0)
	do(t, c, "PING")
	r.kill()
	r.cmd.Wait()
	_, err := c.Do("PING")
	if err == nil {
		t.Fatal("Do on a killed server: no error")
	}
	if _, later := c.Do("PING"); !errors.Is(later, net.ErrClosed) || !strings.Contains(later.Error(), err.Error()) {
		t.Fatalf("Do after a failure: got %v, want net.ErrClosed and %v", later, err)
	}
	if Temporary(err) {
		t.Errorf("Temporary(%v) = true for a lost connection", err)
	}
}

// TestRedisManyRows checks reading and writing more rows than one chunk.
func TestRedisManyRows(t *testing.T) {
	c := startRedis(t).dial(t, 4)
	port := NewTable(Database{ID: 4, Separator: "|"}, "PORT")
	const n = 3*chunk + 1
	want := map[string]string{}
	for i := range n {
		key := port.Key("Ethernet" + string(rune('a'+i%26)) + strings.Repeat("0", i/26))
		want[key] = strings.Repeat("x", i)
		c.AppendHSet(key, FieldValue{"alias", want[key]})
	}
	c.Send("SET", port.Key("bad"), "string")
	c.Send("HSET", "PORTX|Ethernet0", "a", "b")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for c.Pending() > 0 {
		if _, err := c.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := c.Keys(port.Pattern())
	if err != nil || len(keys) != n+1 {
		t.Fatalf("Keys: got %d keys, %v, want %d", len(keys), err, n+1)
	}
	rows, err := c.HGetAllMany(keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		var e ServerError
		switch {
		case row.Key != keys[i]:
			t.Fatalf("row %d: got key %q, want %q", i, row.Key, keys[i])
		case row.Key == port.Key("bad"):
			if !errors.As(row.Err, &e) || e.Code() != "WRONGTYPE" {
				t.Errorf("row %q: got error %v, want WRONGTYPE", row.Key, row.Err)
			}
		case row.Err != nil || len(row.Fields) != 1 || row.Fields[0].Value != want[row.Key]:
			t.Errorf("row %q: got %v, %v", row.Key, row.Fields, row.Err)
		}
	}
}

// TestRedisPassword checks authentication with right, wrong and missing passwords.
func TestRedisPassword(t *testing.T) {
	r := startRedis(t, "--requirepass", "secret", "--user", "sonic", "on", ">other", "~*", "&*", "+@all")
	for _, test := range []struct{ user, password, code string }{
		{"", "secret", ""},
		{"sonic", "other", ""},
		{"", "", "NOAUTH"},
		{"", "guess", "WRONGPASS"},
		{"sonic", "secret", "WRONGPASS"},
	} {
		c, err := Dial(context.Background(), Options{
			Network: "unix", Address: r.socket, DB: 6, Username: test.user, Password: test.password,
		})
		var e ServerError
		switch {
		case test.code != "" && (!errors.As(err, &e) || e.Code() != test.code):
			t.Errorf("%+v: got %v", test, err)
		case test.code == "" && err != nil:
			t.Errorf("%+v: got %v", test, err)
		}
		if c != nil {
			do(t, c, "PING")
			c.Close()
		}
	}
}

// TestRedisServerFull checks the error of a server with too many clients.
func TestRedisServerFull(t *testing.T) {
	r := startRedis(t, "--maxclients", "1")
	r.dial(t, 0)
	for range 100 {
		_, err := Dial(context.Background(), Options{Network: "unix", Address: r.socket})
		if !Temporary(err) {
			t.Fatalf("second connection: got %v, want max number of clients", err)
		}
	}
}
