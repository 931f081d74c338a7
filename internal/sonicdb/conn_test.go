package sonicdb

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipeline checks that replies are received in the order of the commands.
func TestPipeline(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("HSET", "k", "mtu", "9100")
		s.expect("GET", "bytes")
		s.expect("PING")
		s.send(":1\r\n-WRONGTYPE Operation\r\n+PONG\r\n")
	})
	c.Command(4)
	c.String("HSET")
	c.String("k")
	c.Bytes([]byte("mtu"))
	c.Int(9100)
	if n := c.Pending(); n != 0 {
		t.Errorf("before Flush: %d pending, want 0", n)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	c.Send("GET", "bytes")
	c.Send("PING")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := c.Pending(); n != 3 {
		t.Errorf("after Flush: %d pending, want 3", n)
	}
	if r, err := c.Receive(); err != nil || r.Int != 1 {
		t.Errorf("first reply: got %v, %v, want 1", r, err)
	}
	if r, err := c.Receive(); r != nil || err != ServerError("WRONGTYPE Operation") {
		t.Errorf("second reply: got %v, %v, want WRONGTYPE", r, err)
	}
	if r, err := c.Receive(); err != nil || string(r.Str) != "PONG" {
		t.Errorf("third reply: got %v, %v, want PONG", r, err)
	}
	if n := c.Pending(); n != 0 {
		t.Errorf("at the end: %d pending, want 0", n)
	}
	if err := c.Flush(); err != nil {
		t.Errorf("Flush of nothing: %v", err)
	}
}

// TestErrorIsFinal checks that a connection cannot be used after an error, and that later calls return
// net.ErrClosed together with the first error.
func TestErrorIsFinal(t *testing.T) {
	for name, test := range map[string]struct {
		sent string // by the server, which then hangs up
		want func(error) bool
	}{
		"hang up":       {"", func(err error) bool { return errors.Is(err, io.EOF) }},
		"half a reply":  {"$5\r\nhel", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"half a length": {"$5", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"no reply":      {"hello\r\n", isProtocolError},
		"bad end":       {"$2\r\nOKAY+PONG\r\n", isProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake(t, func(s *fakeServer) {
				s.expect("GET", "a")
				s.expect("GET", "b")
				if test.sent != "" { // an empty write on a net.Pipe is an empty read
					s.send(test.sent)
				}
			})
			c.Send("GET", "a")
			c.Send("GET", "b")
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			_, cause := c.Receive()
			if cause == nil || !test.want(cause) || Temporary(cause) {
				t.Fatalf("Receive: got %v", cause)
			}
			if c.Pending() != 0 {
				t.Errorf("%d pending by a broken connection", c.Pending())
			}
			_, receive := c.Receive()
			_, do := c.Do("PING")
			_, message := c.ReceiveMessage()
			for call, err := range map[string]error{
				"Receive": receive, "Do": do, "Flush": c.Flush(), "ReceiveMessage": message, "Subscribe": c.Subscribe("x"),
			} {
				if !errors.Is(err, net.ErrClosed) || !test.want(err) {
					t.Errorf("%s after the failure: got %v, want net.ErrClosed and the cause", call, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close after the failure: %v", err)
			}
		})
	}
}

// TestErrorClosesSocket checks that an error closes the socket without a call of Close.
func TestErrorClosesSocket(t *testing.T) {
	gone := make(chan struct{})
	c := fake(t, func(s *fakeServer) {
		s.expect("PING")
		s.send("?\r\n")
		s.waitForHangUp()
		close(gone)
	})
	if _, err := c.Do("PING"); !isProtocolError(err) {
		t.Fatalf("got %v, want a protocol error", err)
	}
	<-gone
}

func isProtocolError(err error) bool {
	var p *ProtocolError
	return errors.As(err, &p)
}

// TestMisuse checks the errors of calls in the wrong order or with wrong arguments.
func TestMisuse(t *testing.T) {
	hangUp := func(s *fakeServer) {
		if n, _ := io.Copy(io.Discard, s.nc); n > 0 {
			s.t.Errorf("%d bytes reached the server", n)
		}
	}
	t.Run("arguments", func(t *testing.T) {
		c := fake(t, hangUp)
		c.Send("PING")
		c.Command(3)
		c.String("HGET")
		c.String("k")
		err := c.Flush()
		if err == nil || !strings.Contains(err.Error(), "command 2: 1 arguments missing") {
			t.Errorf("Flush: got %v", err)
		}
		if err := c.Flush(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Flush again: got %v, want net.ErrClosed", err)
		}
	})
	t.Run("nothing pending", func(t *testing.T) {
		c := fake(t, hangUp)
		c.Send("PING") // not flushed
		if _, err := c.Receive(); err == nil || !strings.Contains(err.Error(), "no command is pending") {
			t.Errorf("Receive: got %v", err)
		}
	})
	t.Run("round trip in a pipeline", func(t *testing.T) {
		c := fake(t, (*fakeServer).waitForHangUp)
		c.Send("PING")
		if _, err := c.Do("PING"); err == nil || !strings.Contains(err.Error(), "while 1 other commands are pending") {
			t.Errorf("Do: got %v", err)
		}
	})
	t.Run("subscribe in a pipeline", func(t *testing.T) {
		c := fake(t, hangUp)
		c.Send("PING")
		if err := c.Subscribe("x"); err == nil || !strings.Contains(err.Error(), "while 1 commands are pending") {
			t.Errorf("Subscribe: got %v", err)
		}
	})
	t.Run("message without subscription", func(t *testing.T) {
		c := fake(t, hangUp)
		if _, err := c.ReceiveMessage(); err == nil || !strings.Contains(err.Error(), "not subscribed") {
			t.Errorf("ReceiveMessage: got %v", err)
		}
	})
}

// TestTimeouts checks the timeouts of reads and writes.
func TestTimeouts(t *testing.T) {
	const longest = defaultTimeout * 9 / 8
	t.Run("silent server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := fake(t, (*fakeServer).waitForHangUp)
			start := time.Now()
			_, err := c.Do("PING")
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < defaultTimeout || took > longest {
				t.Errorf("got %v after %v, want a timeout after %v to %v", err, took, defaultTimeout, longest)
			}
		})
	})
	t.Run("server that does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hold := make(chan struct{})
			c := fake(t, func(*fakeServer) { <-hold })
			defer close(hold)
			start := time.Now()
			c.Send("PING")
			err := c.Flush()
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < defaultTimeout || took > longest {
				t.Errorf("got %v after %v, want a timeout after %v to %v", err, took, defaultTimeout, longest)
			}
		})
	})
	// The time that a reply takes as a whole counts, not each silence in it.
	t.Run("slow server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := fake(t, func(s *fakeServer) {
				s.expect("PING")
				for {
					time.Sleep(defaultTimeout / 100)
					if _, err := s.nc.Write([]byte("+")); err != nil {
						return
					}
				}
			})
			start := time.Now()
			_, err := c.Do("PING")
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < defaultTimeout || took > longest {
				t.Errorf("got %v after %v, want a timeout after %v to %v", err, took, defaultTimeout, longest)
			}
		})
	})
	// A caller that was held up between two calls must not see a timeout.
	t.Run("slow client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := fake(t, func(s *fakeServer) {
				for range 2 {
					s.expect("PING")
					s.send("+PONG\r\n")
				}
			})
			for range 2 {
				c.Send("PING")
				if err := c.Flush(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				if _, err := c.Receive(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
			}
		})
	})
}

// TestCloseUnblocks checks that Close ends a blocked call.
func TestCloseUnblocks(t *testing.T) {
	for name, call := range map[string]func(c *Conn) error{
		"Receive": func(c *Conn) error { _, err := c.Receive(); return err },
		"Do":      func(c *Conn) error { _, err := c.Do("PING"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fake(t, (*fakeServer).waitForHangUp)
				if name == "Receive" {
					c.Send("PING")
					if err := c.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				result := make(chan error)
				go func() { result <- call(c) }()
				synctest.Wait() // until the call blocks
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if err := <-result; !errors.Is(err, net.ErrClosed) {
					t.Errorf("got %v, want net.ErrClosed", err)
				}
				if err := c.Close(); err != nil {
					t.Errorf("second Close: %v", err)
				}
			})
		})
	}
}

// TestCloseDropsBuffered checks that a reply that has already arrived is not returned after Close.
func TestCloseDropsBuffered(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("PING")
		s.expect("PING")
		s.send("+PONG\r\n+PONG\r\n")
	})
	c.Send("PING")
	c.Send("PING")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Receive(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

// listen plays a server behind a real unix socket for one connection.
func listen(t *testing.T, play func(s *fakeServer)) Options {
	t.Helper()
	path := filepath.Join(socketDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		play(&fakeServer{t: t, nc: nc, in: newReader(nc)})
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return Options{Network: "unix", Address: path}
}

// TestDialHandshake checks the commands that Dial sends and how it handles their replies.
func TestDialHandshake(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		o := listen(t, func(s *fakeServer) {
			s.expect("SELECT", "6")
			s.send("+OK\r\n")
			s.expect("PING")
			s.send("+PONG\r\n")
		})
		o.DB = 6
		c, err := Dial(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		do(t, c, "PING")
	})
	t.Run("password", func(t *testing.T) {
		o := listen(t, func(s *fakeServer) {
			s.expect("AUTH", "secret")
			s.expect("SELECT", "0")
			s.send("+OK\r\n+OK\r\n")
		})
		o.Password = "secret"
		if c, err := Dial(context.Background(), o); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
	})
	t.Run("refused password", func(t *testing.T) {
		o := listen(t, func(s *fakeServer) {
			s.expect("AUTH", "sonic", "secret")
			s.expect("SELECT", "0")
			s.send("-WRONGPASS invalid\r\n-NOAUTH Authentication required.\r\n")
		})
		o.Username, o.Password = "sonic", "secret"
		_, err := Dial(context.Background(), o)
		var e ServerError
		if !errors.As(err, &e) || e.Code() != "WRONGPASS" || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want WRONGPASS without the password", err)
		}
	})
}

// TestDialTimeout checks that Dial ends with its context and after DialTimeout.
func TestDialTimeout(t *testing.T) {
	t.Run("no listener", func(t *testing.T) {
		_, err := Dial(context.Background(), Options{Network: "unix", Address: filepath.Join(socketDir(t), "none")})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want %v", err, os.ErrNotExist)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Dial(ctx, listen(t, func(s *fakeServer) {
			s.expect("SELECT", "0")
			cancel()
			s.waitForHangUp()
		}))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		o := listen(t, (*fakeServer).waitForHangUp)
		o.DialTimeout = 50 * time.Millisecond
		if _, err := Dial(context.Background(), o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
	t.Run("server full", func(t *testing.T) {
		_, err := Dial(context.Background(), listen(t, func(s *fakeServer) {
			s.expect("SELECT", "0")
			s.send("-ERR max number of clients reached\r\n")
		}))
		if !Temporary(err) {
			t.Errorf("got %v, want a temporary error", err)
		}
	})
}
