package sonicdb

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestHMGet checks that HMGet returns existing fields only.
func TestHMGet(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("HMGET", "LOGGER|portsyncd", "LOGLEVEL", "LOGOUTPUT", "x")
		s.send("*3\r\n$6\r\nNOTICE\r\n$-1\r\n$0\r\n\r\n")
	})
	fvs, err := c.HMGet("LOGGER|portsyncd", "LOGLEVEL", "LOGOUTPUT", "x")
	if want := []FieldValue{{"LOGLEVEL", "NOTICE"}, {"x", ""}}; err != nil || !slices.Equal(fvs, want) {
		t.Errorf("got %q, %v, want %q", fvs, err, want)
	}
}

// TestExistsAndDel checks the counts that Exists and Del return.
func TestExistsAndDel(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("EXISTS", "a", "b")
		s.send(":1\r\n")
		s.expect("DEL", "a")
		s.send(":0\r\n")
	})
	if n, err := c.Exists("a", "b"); err != nil || n != 1 {
		t.Errorf("Exists: got %d, %v, want 1", n, err)
	}
	if n, err := c.Del("a"); err != nil || n != 0 {
		t.Errorf("Del: got %d, %v, want 0", n, err)
	}
}

// TestMismatchedReplies checks that a reply of the wrong type is a protocol error and closes the
// connection.
func TestMismatchedReplies(t *testing.T) {
	keys := func(c *Conn) error { _, err := c.Keys("*"); return err }
	hgetall := func(c *Conn) error { _, err := c.HGetAll("k"); return err }
	many := func(c *Conn) error { _, err := c.HGetAllMany([]string{"k"}); return err }
	hmget := func(c *Conn) error { _, err := c.HMGet("k", "f"); return err }
	exists := func(c *Conn) error { _, err := c.Exists("k"); return err }
	flag := func(c *Conn) error {
		c.Send("HEXISTS", "k", "f")
		if err := c.Flush(); err != nil {
			return err
		}
		_, err := c.ReceiveBool()
		return err
	}
	for _, test := range []struct {
		name  string
		call  func(c *Conn) error
		reply string
	}{
		{"keys: integer", keys, ":1\r\n"},
		{"keys: null", keys, "$-1\r\n"},
		{"keys: integers", keys, "*1\r\n:1\r\n"},
		{"hgetall: string", hgetall, "+OK\r\n"},
		{"hgetall: odd", hgetall, "*1\r\n$1\r\nf\r\n"},
		{"hgetall: null value", hgetall, "*2\r\n$1\r\nf\r\n$-1\r\n"},
		{"many: odd", many, "*1\r\n$1\r\nf\r\n"},
		{"hmget: too few", hmget, "*0\r\n"},
		{"hmget: integer", hmget, "*1\r\n:1\r\n"},
		{"exists: string", exists, "+OK\r\n"},
		{"bool: string", flag, "+OK\r\n"},
		{"bool: another integer", flag, ":8\r\n"},
		{"bool: below 0", flag, ":-1\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := fake(t, func(s *fakeServer) {
				if _, err := s.in.next(); err != nil {
					s.t.Error(err)
				}
				s.send(test.reply)
			})
			if err := test.call(c); !isProtocolError(err) {
				t.Errorf("got %v, want a protocol error", err)
			}
			if c.usable() == nil {
				t.Error("the connection is still usable")
			}
		})
	}
}

// TestHGetAllManyLostConnection checks the error if the connection ends between two rows.
func TestHGetAllManyLostConnection(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("HGETALL", "a")
		s.expect("HGETALL", "b")
		s.send("-WRONGTYPE x\r\n")
	})
	if rows, err := c.HGetAllMany([]string{"a", "b"}); rows != nil || !errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v, want EOF", rows, err)
	}
}

// TestCommandMemory appends the commands for hundreds of ports and receives the names of as many. Growing
// buffers must allocate little more than twice their size.
func TestCommandMemory(t *testing.T) {
	const commands = 512
	args := []string{"HSET", "PORT_TABLE:Ethernet0", "lanes", "1,2,3,4", "alias", "etp1", "speed", "100000", "mtu", "9100"}
	var keys strings.Builder
	fmt.Fprintf(&keys, "*%d\r\n", commands)
	for n := range commands {
		key := fmt.Sprintf("PORT|Ethernet%d", 4*n)
		fmt.Fprintf(&keys, "$%d\r\n%s\r\n", len(key), key)
	}
	in := newReader(strings.NewReader(keys.String()))
	var w writer
	size := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range commands {
		w.begin(len(args))
		for _, arg := range args {
			w.string(arg)
		}
	}
	runtime.ReadMemStats(&after)
	if size = len(w.buf); w.err != nil || size < 64<<10 {
		t.Fatalf("%d bytes, %v", size, w.err)
	}
	if got := int(after.TotalAlloc - before.TotalAlloc); got > 5*size {
		t.Errorf("%d KiB allocated for %d KiB of commands", got>>10, size>>10)
	}
	runtime.ReadMemStats(&before)
	r, err := in.next()
	runtime.ReadMemStats(&after)
	if err != nil || len(r.Array) != commands {
		t.Fatalf("%+v, %v", r, err)
	}
	most := 80 * commands
	if raceEnabled {
		most *= 2
	}
	if got := int(after.TotalAlloc - before.TotalAlloc); got > most {
		t.Errorf("%d bytes allocated for the replies, want at most %d", got, most)
	}
}
