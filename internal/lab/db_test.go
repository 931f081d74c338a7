package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/sonicdb"
)

// dialDB connects to a database within the process.
func dialDB(t *testing.T, db *DB) *playerConn {
	t.Helper()
	client, server := net.Pipe()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if c := db.attach(server); c != nil {
		go db.readLoop(c)
		go db.writeLoop(c)
	}
	t.Cleanup(func() { client.Close() })
	return &playerConn{Conn: client, br: bufio.NewReader(client)}
}

// ask sends an inline command and returns the reply, or how it failed.
func (c *playerConn) ask(command string) string {
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return err.Error()
	}
	return c.receive()
}

func (c *playerConn) receive() string {
	reply, err := readRaw(c.br)
	if err != nil {
		return reply + err.Error()
	}
	return strings.TrimSuffix(reply, "\r\n")
}

// TestDo checks commands, errors and databases of Do.
func TestDo(t *testing.T) {
	db := NewDB(DBOptions{Databases: 32})
	if r, err := db.Do(31, "HSET", "k", "f", "v"); r != 1 || err != nil {
		t.Errorf("HSET: %v, %v", r, err)
	}
	if got := db.Hash(31, "k"); len(got) != 1 || got["f"] != "v" {
		t.Errorf("Hash: %v", got)
	}
	if got := db.Hash(0, "k"); got != nil {
		t.Errorf("Hash of a missing key: %v", got)
	}
	var e ErrorReply
	if _, err := db.Do(31, "GET", "k"); !errors.As(err, &e) || e != errWrongType {
		t.Errorf("GET: %v", err)
	}
	for _, args := range [][]string{{}, {"SUBSCRIBE", "x"}, {"MONITOR"}, {"NOSUCH"}} {
		if _, err := db.Do(0, args...); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	for _, n := range []int{-1, 32} {
		if _, err := db.Do(n, "PING"); err == nil {
			t.Errorf("database %d: no error", n)
		}
	}
}

// TestAwait checks that Await returns after a write, and when its context ends.
func TestAwait(t *testing.T) {
	db := NewDB(DBOptions{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	done := make(chan error)
	go func() {
		done <- db.Await(ctx, func() bool { return db.Hash(6, "PORT_TABLE|Ethernet0")["mtu"] == "9100" })
	}()
	for _, mtu := range []string{"1500", "9100"} {
		if _, err := db.Do(6, "HSET", "PORT_TABLE|Ethernet0", "mtu", mtu); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancel()
	if err := db.Await(ctx, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

// TestPassword checks AUTH with right and wrong passwords.
func TestPassword(t *testing.T) {
	db := NewDB(DBOptions{Password: "secret"})
	defer db.Close()
	c := dialDB(t, db)
	for _, step := range [][2]string{
		{"PING", "-NOAUTH Authentication required."},
		{"NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "},
		{"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"AUTH somebody secret", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"HELLO 2", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> " +
			"AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"},
		{"AUTH default secret", "+OK"},
		{"PING", "+PONG"},
		{"AUTH secret", "+OK"},
	} {
		if got := c.ask(step[0]); got != step[1] {
			t.Errorf("%s: got %q, want %q", step[0], got, step[1])
		}
	}
	// The daemon's client gets in.
	socket := t.TempDir() + "/redis.sock"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go db.Serve(l)
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "unix", Address: socket, DB: 6, Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestFaults checks which commands a fault affects.
func TestFaults(t *testing.T) {
	db := NewDB(DBOptions{})
	defer db.Close()
	c := dialDB(t, db)
	for _, step := range []struct {
		fault         Fault
		command, want string
	}{
		{Fault{Error: Loading}, "GET k", "-LOADING Redis is loading the dataset in memory"},
		{Fault{Error: Loading}, "HSET h f v", "-LOADING Redis is loading the dataset in memory"},
		{Fault{Error: Loading}, "SELECT 0", "+OK"},
		{Fault{Error: OutOfMemory, WritesOnly: true}, "HSET h f v", "-OOM command not allowed when used memory > 'maxmemory'."},
		{Fault{Error: OutOfMemory, WritesOnly: true}, "EVALSHA x 0", "-OOM command not allowed when used memory > 'maxmemory'."},
		{Fault{Error: OutOfMemory, WritesOnly: true}, "HGET h f", "$-1"},
		{Fault{}, "HSET h f v", ":1"},
	} {
		db.SetFault(step.fault)
		if got := c.ask(step.command); got != step.want {
			t.Errorf("%+v: %s: got %q, want %q", step.fault, step.command, got, step.want)
		}
	}
	db.SetFault(Fault{Error: Busy})
	if _, err := db.Do(0, "HGET", "h", "f"); err != nil {
		t.Errorf("Do during a fault: %v", err)
	}
}

// TestFaultDelay checks that a fault delays each command.
func TestFaultDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := NewDB(DBOptions{})
		c := dialDB(t, db)
		db.SetFault(Fault{Delay: 3 * time.Second})
		start := time.Now()
		if got := c.ask("PING"); got != "+PONG" || time.Since(start) != 3*time.Second {
			t.Errorf("got %q after %v", got, time.Since(start))
		}
		// Neither a client that leaves nor Close waits for it.
		db.SetFault(Fault{Delay: time.Hour})
		io.WriteString(c, "PING\r\n")
		synctest.Wait()
		db.Close()
		if time.Since(start) != 3*time.Second {
			t.Errorf("Close took %v", time.Since(start)-3*time.Second)
		}
	})
}

// TestFaultCut checks that a connection is closed after CutAfter bytes.
func TestFaultCut(t *testing.T) {
	db := NewDB(DBOptions{})
	defer db.Close()
	db.SetFault(Fault{CutAfter: 10})
	c := dialDB(t, db)
	if got := c.ask("PING"); got != "+PONG" {
		t.Errorf("first reply: %q", got)
	}
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.br); string(rest) != "+PO" || err != nil {
		t.Errorf("the rest: %q, %v", rest, err)
	}
}

// TestDisconnect checks that connections are closed, scripts are removed, and new connections work.
func TestDisconnect(t *testing.T) {
	db := NewDB(DBOptions{})
	defer db.Close()
	c := dialDB(t, db)
	sha := strings.TrimPrefix(c.ask(`SCRIPT LOAD "return 1"`), "$40\r\n")
	if got := c.ask("EVALSHA " + sha + " 0"); got != ":1" {
		t.Fatalf("EVALSHA: %q", got)
	}
	c.ask("HSET h f v")
	db.Disconnect()
	if got := c.ask("PING"); !strings.Contains(got, "EOF") && !strings.Contains(got, "closed") {
		t.Errorf("after Disconnect: %q", got)
	}
	c = dialDB(t, db)
	if got := c.ask("EVALSHA " + sha + " 0"); !strings.HasPrefix(got, "-NOSCRIPT ") {
		t.Errorf("EVALSHA after a restart: %q", got)
	}
	if got := c.ask("HGET h f"); got != "$1\r\nv" {
		t.Errorf("content after a restart: %q", got)
	}
}

// TestClientKill checks that CLIENT KILL closes a connection.
func TestClientKill(t *testing.T) {
	db := NewDB(DBOptions{})
	defer db.Close()
	a, b := dialDB(t, db), dialDB(t, db)
	id := strings.TrimPrefix(b.ask("CLIENT ID"), ":")
	if got := a.ask("CLIENT KILL ID " + id); got != ":1" {
		t.Errorf("CLIENT KILL: %q", got)
	}
	if rest, err := io.ReadAll(b.br); len(rest) != 0 || err != nil {
		t.Errorf("the victim reads %q, %v", rest, err)
	}
}

// TestSlowSubscriber checks that a subscriber that does not read is disconnected and does not block
// others.
func TestSlowSubscriber(t *testing.T) {
	db := NewDB(DBOptions{})
	defer db.Close()
	slow := dialDB(t, db)
	if got := slow.ask("SUBSCRIBE c"); !strings.HasSuffix(got, ":1") {
		t.Fatalf("SUBSCRIBE: %q", got)
	}
	message := strings.Repeat("x", 1<<20)
	for range 2 * maxBehind / len(message) {
		if _, err := db.Do(0, "PUBLISH", "c", message); err != nil {
			t.Fatal(err)
		}
	}
	read, _ := io.Copy(io.Discard, slow.br)
	if read > maxBehind+4<<20 {
		t.Errorf("%d bytes were kept for it", read)
	}
}

// TestUnreadReplies checks that the server stops reading from a client that does not read its
// replies.
func TestUnreadReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := NewDB(DBOptions{})
		defer db.Close()
		if _, err := db.Do(0, "SET", "k", strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
		c := dialDB(t, db)
		sent := make(chan error)
		go func() {
			_, err := io.WriteString(c, strings.Repeat("GET k\r\n", 20000))
			sent <- err
		}()
		synctest.Wait()
		db.mu.Lock()
		kept := len(db.clients[1].out)
		db.mu.Unlock()
		if kept > 4<<20 {
			t.Errorf("%d bytes of replies are kept", kept)
		}
		c.Close()
		if err := <-sent; err == nil {
			t.Error("all commands were read")
		}
	})
}

// TestMonitorOfTCP checks the address of a TCP client in MONITOR.
func TestMonitorOfTCP(t *testing.T) {
	db := NewDB(DBOptions{})
	defer db.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go db.Serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	monitor := dialDB(t, db)
	if got := monitor.ask("MONITOR"); got != "+OK" {
		t.Fatal(got)
	}
	fmt.Fprint(c, "PING\r\n")
	want := regexp.MustCompile(`^\+\d+\.\d{6} \[0 ` + regexp.QuoteMeta(c.LocalAddr().String()) + `\] "PING"$`)
	if got := monitor.receive(); !want.MatchString(got) {
		t.Errorf("got %q, want %v", got, want)
	}
}

// TestServeAfterClose checks that Serve returns at once after Close.
func TestServeAfterClose(t *testing.T) {
	db := NewDB(DBOptions{})
	db.Close()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Serve(l); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", l.Addr().String()); err == nil {
		t.Error("still listening")
	}
	broken, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	broken.Close()
	if err := NewDB(DBOptions{}).Serve(broken); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listener closed by another goroutine: %v", err)
	}
}

// TestConcurrentClients checks the sum of increments by many concurrent clients.
func TestConcurrentClients(t *testing.T) {
	db, socket := serveDB(t, DBOptions{Notify: "AKE"})
	const clients, each = 8, 200
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "unix", Address: socket})
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for i := range each {
				conn.Send("SADD", "s", fmt.Sprint(n, i))
			}
			if err := conn.Flush(); err != nil {
				t.Error(err)
			}
			for range each {
				if _, err := conn.Receive(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n, err := db.Do(0, "SCARD", "s"); n != clients*each || err != nil {
		t.Errorf("SCARD: %v, %v, want %d", n, err, clients*each)
	}
}

// TestRegisterScript checks the arguments, calls and errors of a registered script.
func TestRegisterScript(t *testing.T) {
	db := NewDB(DBOptions{})
	const source = "return redis.call('HGET', KEYS[1], ARGV[1])"
	if _, err := db.Do(0, "EVAL", source, "1", "h", "f"); err != errNoLua {
		t.Errorf("unknown script: %v", err)
	}
	if _, err := db.Do(0, "SCRIPT", "LOAD", source); err != errNoLua {
		t.Errorf("load of an unknown script: %v", err)
	}
	db.RegisterScript(source, func(s ScriptCall) Reply { return s.Call("HGET", s.Keys[0], s.Args[0]) })
	if _, err := db.Do(0, "HSET", "h", "f", "v"); err != nil {
		t.Fatal(err)
	}
	if r, err := db.Do(0, "EVAL", source, "1", "h", "f"); r != "v" || err != nil {
		t.Errorf("registered script: %v, %v", r, err)
	}
	if r, err := db.Do(0, "EVALSHA", (&sonicdb.Script{Source: source}).SHA1(), "1", "h", "f"); r != "v" || err != nil {
		t.Errorf("by its name: %v, %v", r, err)
	}
}

// TestNewDBRefusesEventClass checks that NewDB panics for an unknown event class.
func TestNewDBRefusesEventClass(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an unknown letter was accepted")
		}
	}()
	NewDB(DBOptions{Notify: "AQ"})
}
