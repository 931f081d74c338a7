package sonicdb

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func showMessage(m Message) string {
	return fmt.Sprintf("%d pattern=%q channel=%q %s", m.Kind, m.Pattern, m.Channel, show(&m.Payload))
}

// TestRecordedMessages checks messages recorded from a real server.
func TestRecordedMessages(t *testing.T) {
	want := map[string]string{
		"subscribe":                `2 pattern="" channel="PORT_TABLE_CHANNEL@0" :1`,
		"message":                  `1 pattern="" channel="PORT_TABLE_CHANNEL@0" "G"`,
		"psubscribe":               `2 pattern="__keyspace@0__:LOGGER|*" channel="" :2`,
		"pmessage":                 `1 pattern="__keyspace@0__:LOGGER|*" channel="__keyspace@0__:LOGGER|portsyncd" "hset"`,
		"invalidate":               `1 pattern="" channel="__redis__:invalidate" ["PORT_TABLE:Ethernet0"]`,
		"invalidate all":           `1 pattern="" channel="__redis__:invalidate" null`,
		"unsubscribe":              `3 pattern="" channel="PORT_TABLE_CHANNEL@0" :2`,
		"punsubscribe":             `3 pattern="__keyspace@0__:LOGGER|*" channel="" :1`,
		"unsubscribe from nothing": `3 pattern="" channel="" :0`,
	}
	recs := slices.DeleteFunc(recordings(t), func(rec recording) bool { return want[rec.name] == "" })
	c := fake(t, func(s *fakeServer) {
		s.expect("SUBSCRIBE", "PORT_TABLE_CHANNEL@0")
		for _, rec := range recs {
			s.send(string(rec.bytes))
		}
	})
	if err := c.Subscribe("PORT_TABLE_CHANNEL@0"); err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		m, err := c.ReceiveMessage()
		if err != nil {
			t.Fatalf("%s: %v", rec.name, err)
		}
		if got := showMessage(m); got != want[rec.name] {
			t.Errorf("%s: got %s, want %s", rec.name, got, want[rec.name])
		}
		delete(want, rec.name)
	}
	for name := range want {
		t.Errorf("%s: not recorded", name)
	}
}

// TestReceiveMessageRefuses checks that an invalid message closes the connection.
func TestReceiveMessageRefuses(t *testing.T) {
	for _, in := range []string{
		"+OK\r\n",
		"*0\r\n",
		"*2\r\n$7\r\nmessage\r\n$1\r\nc\r\n",
		"*3\r\n:1\r\n$1\r\nc\r\n$1\r\nm\r\n",
		"*3\r\n$8\r\npmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
		"*4\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n$1\r\nx\r\n",
		"*3\r\n$5\r\nother\r\n$1\r\nc\r\n$1\r\nm\r\n",
	} {
		c := fake(t, func(s *fakeServer) {
			s.expect("SUBSCRIBE", "c")
			s.send(in)
		})
		if err := c.Subscribe("c"); err != nil {
			t.Fatal(err)
		}
		if m, err := c.ReceiveMessage(); !isProtocolError(err) {
			t.Errorf("%q: got %s, %v, want a protocol error", in, showMessage(m), err)
		}
	}
}

// TestReceiveMessageWaits checks that ReceiveMessage has no timeout.
func TestReceiveMessageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, func(s *fakeServer) {
			s.expect("SUBSCRIBE", "c")
			time.Sleep(time.Hour)
			s.send("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nG\r\n")
			s.expect("PSUBSCRIBE", "d", "e")
			s.expect("UNSUBSCRIBE", "x")
			time.Sleep(time.Hour)
			s.send("-ERR no\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nH\r\n")
			s.waitForHangUp()
		})
		if err := c.Subscribe("c"); err != nil {
			t.Fatal(err)
		}
		if m, err := c.ReceiveMessage(); err != nil || string(m.Payload.Str) != "G" {
			t.Fatalf("first message: got %s, %v", showMessage(m), err)
		}
		if err := c.PSubscribe("d", "e"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // so that the write moves its deadline
		c.Send("UNSUBSCRIBE", "x")
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		if n := c.Pending(); n != 0 {
			t.Errorf("%d pending on a subscribed connection", n)
		}
		if _, err := c.ReceiveMessage(); err != ServerError("ERR no") {
			t.Fatalf("error reply: got %v", err)
		}
		if m, err := c.ReceiveMessage(); err != nil || string(m.Payload.Str) != "H" {
			t.Fatalf("message after an error reply: got %s, %v", showMessage(m), err)
		}
		result := make(chan error)
		go func() {
			_, err := c.ReceiveMessage()
			result <- err
		}()
		synctest.Wait()
		c.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: got %v, want net.ErrClosed", err)
		}
	})
}
