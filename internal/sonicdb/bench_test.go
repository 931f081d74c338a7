package sonicdb

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// portUpdate appends the command that the daemon sends for most link messages.
func portUpdate(c *Conn, key []byte, mtu int64) {
	c.Command(10)
	c.String("HSET")
	c.Bytes(key)
	c.String("state")
	c.String("ok")
	c.String("netdev_oper_status")
	c.String("up")
	c.String("admin_status")
	c.String("up")
	c.String("mtu")
	c.Int(mtu)
}

// echo replies to each Read with the same bytes, without allocating. The command after SELECT must fit
// into one Read.
func echo(t testing.TB, reply string) *Conn {
	t.Helper()
	path := filepath.Join(socketDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf, answer := make([]byte, 64<<10), []byte(reply)
		if _, err := nc.Read(buf); err != nil { // SELECT
			return
		}
		nc.Write([]byte("+OK\r\n"))
		for {
			if _, err := nc.Read(buf); err != nil {
				return
			}
			if _, err := nc.Write(answer); err != nil {
				return
			}
		}
	}()
	c, err := Dial(context.Background(), Options{Network: "unix", Address: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRoundTripDoesNotAllocate checks that a command and its reply do not allocate.
func TestRoundTripDoesNotAllocate(t *testing.T) {
	for name, test := range map[string]struct {
		reply string
		send  func(c *Conn)
	}{
		"HSET":   {":0\r\n", func(c *Conn) { portUpdate(c, []byte("PORT_TABLE|Ethernet0"), 9100) }},
		"EXISTS": {":1\r\n", func(c *Conn) { c.Command(2); c.String("EXISTS"); c.String("PORT_TABLE:Ethernet0") }},
		"HMGET": {"*3\r\n$2\r\nok\r\n$-1\r\n$4\r\n9100\r\n",
			func(c *Conn) { c.Send("HMGET", "PORT_TABLE|Ethernet0", "state", "speed", "mtu") }},
		"EVALSHA": {"*0\r\n", func(c *Conn) {
			c.AppendEvalSHA(&SetScript, 3, 2)
			c.String("PORT_TABLE_CHANNEL@0")
			c.String("PORT_TABLE_KEY_SET")
			c.String("_PORT_TABLE:PortInitDone")
			c.String("PortInitDone")
			c.Int(0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := echo(t, test.reply)
			n := testing.AllocsPerRun(1000, func() {
				test.send(c)
				if err := c.Flush(); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Receive(); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%v allocations per round trip, want 0", n)
			}
		})
	}
}

func BenchmarkEncodeHSET(b *testing.B) {
	c := newConn(nil, 0)
	key := []byte("PORT_TABLE|Ethernet0")
	b.ReportAllocs()
	for b.Loop() {
		portUpdate(c, key, 9100)
		c.out.reset()
	}
}

// repeat is an endless stream of the same bytes.
type repeat struct {
	data []byte
	pos  int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.pos:])
	r.pos = (r.pos + n) % len(r.data)
	return n, nil
}

func BenchmarkParse(b *testing.B) {
	for _, test := range []struct{ name, reply string }{
		{"integer", ":0\r\n"},
		{"hash4", "*8\r\n$5\r\nstate\r\n$2\r\nok\r\n$18\r\nnetdev_oper_status\r\n$2\r\nup\r\n" +
			"$12\r\nadmin_status\r\n$2\r\nup\r\n$3\r\nmtu\r\n$4\r\n9100\r\n"},
	} {
		b.Run(test.name, func(b *testing.B) {
			rd := newReader(&repeat{data: bytes.Repeat([]byte(test.reply), 1000)})
			b.SetBytes(int64(len(test.reply)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rd.next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDeadline compares timedConn with setting the deadline for each read and write ("always").
func BenchmarkDeadline(b *testing.B) {
	c := echo(b, ":0\r\n")
	b.Run("spared", func(b *testing.B) {
		for b.Loop() {
			c.sock.extend(time.Now(), c.sock.timeout)
		}
	})
	b.Run("always", func(b *testing.B) {
		for b.Loop() {
			c.sock.set = time.Time{}
			c.sock.extend(time.Now(), c.sock.timeout)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	c := echo(b, ":0\r\n")
	key := []byte("PORT_TABLE|Ethernet0")
	b.ReportAllocs()
	for b.Loop() {
		portUpdate(c, key, 9100)
		if _, err := c.roundTrip(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRedisHSET measures HSET on a real server, by the number of pipelined commands.
func BenchmarkRedisHSET(b *testing.B) {
	c := startRedis(b).dial(b, 6)
	key := []byte("PORT_TABLE|Ethernet0")
	for _, batch := range []int{1, 16, 128, 1024} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			b.ReportAllocs()
			for left := b.N; left > 0; left -= batch {
				for range min(batch, left) {
					portUpdate(c, key, 9100)
				}
				if err := c.Flush(); err != nil {
					b.Fatal(err)
				}
				for c.Pending() > 0 {
					if _, err := c.Receive(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "HSET/s")
		})
	}
}

// TestHashAllocations checks that a row whose fields have the names of the row before allocates its
// fields and one string for all values.
func TestHashAllocations(t *testing.T) {
	c := echo(t, "*4\r\n$5\r\nlanes\r\n$3\r\n1,2\r\n$3\r\nmtu\r\n$4\r\n9100\r\n")
	want := []FieldValue{{"lanes", "1,2"}, {"mtu", "9100"}}
	var last []FieldValue
	n := testing.AllocsPerRun(100, func() {
		c.Send("HGETALL", "PORT|Ethernet0")
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		row, err := c.receiveHash(last)
		if err != nil || !slices.Equal(row, want) {
			t.Fatalf("got %q, %v", row, err)
		}
		last = row
	})
	if n != 2 {
		t.Errorf("%v allocations per row, want 2", n)
	}
}
