package sonicdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// large returns a bulk string of n bytes.
func large(n int) io.Reader {
	return io.MultiReader(strings.NewReader(fmt.Sprintf("$%d\r\n", n)), io.LimitReader(zeros{}, int64(n)), strings.NewReader("\r\n"))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLargeReplies checks that a reply beyond the limits is an error, that the next reply can be read,
// and that memory is freed.
func TestLargeReplies(t *testing.T) {
	text := func(s string) io.Reader { return strings.NewReader(s) }
	for _, tt := range []struct {
		name  string
		reply io.Reader
		size  int
	}{
		{"a string", large(maxBulk + 1), maxBulk + 1 + 13},
		{"a string among others", io.MultiReader(text("*4\r\n$1\r\na\r\n"), large(maxBulk+1), text("$-1\r\n*1\r\n:1\r\n")), maxBulk + 1 + 13 + 4 + 7 + 5 + 8},
		{"strings below the limit, above it together", io.MultiReader(text("*3\r\n"), large(maxBulk), large(maxBulk), large(maxBulk)), 3*(maxBulk+13) + 4},
		{"many elements", io.MultiReader(text("*1048577\r\n"), bytes.NewReader(bytes.Repeat([]byte(":1\r\n"), 1048577))), 10 + 4*1048577},
		{"many elements in all", io.MultiReader(text("*2\r\n:1\r\n*1048576\r\n"), bytes.NewReader(bytes.Repeat([]byte("*0\r\n"), 1048576))), 8 + 10 + 4*1048576},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rd := newReader(io.MultiReader(tt.reply, text("+OK\r\n")))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := rd.next()
			runtime.ReadMemStats(&after)
			if err != nil || r.Kind != Error || string(r.Str) != fmt.Sprintf("reply of %d bytes is too large and was skipped", tt.size) {
				t.Fatalf("got %v, %v", r, err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; tt.name == "a string" && grown > 1<<20 {
				t.Errorf("allocated %d bytes for what is not kept", grown)
			}
			if r, err := rd.next(); err != nil || string(r.Str) != "OK" {
				t.Errorf("the reply after it: %v, %v", r, err)
			}
		})
	}
}

// TestLargeRow checks that a row that is too large does not affect other rows.
func TestLargeRow(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("HGETALL", "a")
		s.expect("HGETALL", "b")
		s.send("*2\r\n$5\r\nlanes\r\n")
		io.Copy(s.nc, large(maxBulk+1))
		s.send("*2\r\n$5\r\nlanes\r\n$1\r\n0\r\n")
	})
	rows, err := c.HGetAllMany([]string{"a", "b"})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	if _, ok := errors.AsType[ServerError](rows[0].Err); !ok || Temporary(rows[0].Err) {
		t.Errorf("the large row: %v, want an error that lasts", rows[0].Err)
	}
	if rows[1].Err != nil || len(rows[1].Fields) != 1 {
		t.Errorf("the row after it: %+v", rows[1])
	}
}

// TestLargeReplyTimeout checks that skipping a reply may take longer than the timeout if data arrives
// fast enough, and times out if the server sends slowly.
func TestLargeReplyTimeout(t *testing.T) {
	for _, drips := range []bool{false, true} {
		t.Run(fmt.Sprint("drips ", drips), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fake(t, func(s *fakeServer) {
					s.expect("GET", "x")
					size := maxBulk + skipStep
					step := skipStep
					if drips {
						step = 1 << 10
					}
					fmt.Fprintf(s.nc, "$%d\r\n", size)
					for sent := 0; sent < size; sent += step {
						time.Sleep(defaultTimeout / 2)
						if _, err := s.nc.Write(make([]byte, step)); err != nil {
							return
						}
					}
					s.send("\r\n")
				})
				start := time.Now()
				_, err := c.Do("GET", "x")
				_, refused := errors.AsType[ServerError](err)
				if refused == drips || drips && (!errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > 2*defaultTimeout) {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// TestPasswordFile checks that each Dial reads the file, that errors do not contain the password, and
// that a server without a password is accepted.
func TestPasswordFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "passwd")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "redis.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	answers := make(chan string)
	got := make(chan []string, 1)
	go func() {
		for answer := range answers {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			in := newReader(nc)
			var args []string
			if r, err := in.next(); err == nil {
				for _, a := range r.Array {
					args = append(args, string(a.Str))
				}
			}
			got <- args
			io.WriteString(nc, answer+"+OK\r\n")
			in.next()
			nc.Close()
		}
	}()
	defer close(answers)
	i := Instance{UnixSocket: listener.Addr().String(), PasswordFile: path, User: "sonic"}
	for _, tt := range []struct{ file, answer, password, err string }{
		{"s3cret", "+OK\r\n", "s3cret", ""},
		{"ch4nged\n", "+OK\r\n", "ch4nged", ""},
		{"with blanks \r\n", "+OK\r\n", "with blanks ", ""},
		{"s3cret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", "s3cret", "WRONGPASS invalid username-password pair or user is disabled.; the password is that of \"" + path},
		{"s3cret", "-ERR unknown command 'AUTH', with args beginning with: 'sonic' 's3cret'\r\n", "s3cret", "'(password)'"},
		{"s3cret", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n", "s3cret", ""},
		{"s3cret", "-ERR Client sent AUTH, but no password is set\r\n", "s3cret", ""},
	} {
		write(tt.file)
		answers <- tt.answer
		c, err := Dial(context.Background(), Database{Instance: i}.Options())
		if args := <-got; fmt.Sprint(args) != fmt.Sprint([]string{"AUTH", "sonic", tt.password}) {
			t.Errorf("file %q: sent %q", tt.file, args)
		}
		switch {
		case err == nil:
			c.Close()
			if tt.err != "" {
				t.Errorf("answer %q: no error", tt.answer)
			}
		case tt.err == "" || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "s3cret"):
			t.Errorf("answer %q: %v", tt.answer, err)
		}
	}
	for file, want := range map[string]string{path: "the password file \"" + path + "\" is empty", "": "no password file is configured"} {
		write("\r\n")
		answers <- "-NOAUTH Authentication required.\r\n"
		i := i
		i.PasswordFile = file
		_, err := Dial(context.Background(), Database{Instance: i}.Options())
		<-got
		if refused, _ := errors.AsType[ServerError](err); refused.Code() != "NOAUTH" || !strings.HasSuffix(err.Error(), "; "+want) {
			t.Errorf("password file %q: %v", file, err)
		}
	}
	os.Remove(path)
	for _, answer := range []string{"", "-NOAUTH Authentication required.\r\n"} { // the +OK that follows is to SELECT
		answers <- answer
		c, err := Dial(context.Background(), Database{Instance: i}.Options())
		if args := <-got; args[0] != "SELECT" {
			t.Errorf("no file: sent %q", args)
		}
		refused, _ := errors.AsType[ServerError](err)
		switch {
		case err == nil:
			c.Close()
			if answer != "" {
				t.Error("no file, NOAUTH: no error")
			}
		case answer == "" || refused.Code() != "NOAUTH" || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path):
			t.Errorf("no file, answer %q: %v", answer, err)
		}
	}
}

// TestCloseWith checks that the end of the context closes the connection, and that Close detaches the
// connection from the context.
func TestCloseWith(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	sent := make(chan struct{})
	c := fake(t, func(s *fakeServer) { s.expect("PING"); close(sent); s.waitForHangUp() })
	c.CloseWith(ctx)
	result := make(chan error)
	go func() { _, err := c.Do("PING"); result <- err }()
	<-sent
	cancel()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	other := fake(t, (*fakeServer).waitForHangUp)
	other.CloseWith(t.Context())
	other.Close()
	if other.detach.Load() != nil {
		t.Error("a closed connection stays with its context")
	}
}
