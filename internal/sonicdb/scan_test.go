package sonicdb

import (
	"fmt"
	"slices"
	"testing"
)

// TestScan checks a server that needs three steps, one of them without keys, and returns a key twice.
func TestScan(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("SCAN", "0", "MATCH", "PORT|*", "COUNT", "512")
		s.send("*2\r\n$2\r\n17\r\n*2\r\n$6\r\nPORT|a\r\n$6\r\nPORT|b\r\n")
		s.expect("SCAN", "17", "MATCH", "PORT|*", "COUNT", "512")
		s.send("*2\r\n$1\r\n5\r\n*0\r\n")
		s.expect("SCAN", "5", "MATCH", "PORT|*", "COUNT", "512")
		s.send("*2\r\n$1\r\n0\r\n*2\r\n$6\r\nPORT|b\r\n$6\r\nPORT|A\r\n")
	})
	keys, err := c.Scan("PORT|*")
	if want := []string{"PORT|A", "PORT|a", "PORT|b"}; err != nil || !slices.Equal(keys, want) {
		t.Errorf("Scan: %q, %v, want %q", keys, err, want)
	}
}

// TestScanRefusesNonsense checks that an invalid reply to SCAN closes the connection.
func TestScanRefusesNonsense(t *testing.T) {
	for _, reply := range []string{"+OK\r\n", "*0\r\n", "*1\r\n$1\r\n0\r\n", "*2\r\n:0\r\n*0\r\n",
		"*2\r\n$1\r\n0\r\n$1\r\nx\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", "*3\r\n$1\r\n0\r\n*0\r\n*0\r\n"} {
		c := fake(t, func(s *fakeServer) {
			s.expect("SCAN", "0", "MATCH", "*", "COUNT", "512")
			s.send(reply)
		})
		if keys, err := c.Scan("*"); !isProtocolError(err) || c.usable() == nil {
			t.Errorf("%q: %q, %v, want a protocol error", reply, keys, err)
		}
	}
}

// TestRedisScan checks that all keys of a real server are found in several steps.
func TestRedisScan(t *testing.T) {
	r := startRedis(t)
	c := r.dial(t, 0)
	var want []string
	for i := range 3 * scanCount {
		key := fmt.Sprintf("PORT|Ethernet%d", i)
		want = append(want, key)
		c.Send("HSET", key, "lanes", "1")
		c.Send("SET", fmt.Sprintf("OTHER|%d", i), "1")
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 * len(want) {
		if _, err := c.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Scan("PORT|*")
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Scan: %d keys, %v, want %d", len(got), err, len(want))
	}
}
