package sonicdb

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// socketPair returns both ends of a connection.
func socketPair(t *testing.T, network string) (client, server net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(socketDir(t), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial(network, l.Addr().String())
	if errors.Is(err, syscall.ENETUNREACH) {
		t.Skip("lo is down:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// TestRawIOErrors checks that a rawIO returns the errors of the net.Conn.
func TestRawIOErrors(t *testing.T) {
	read := func(rw io.ReadWriter) error { _, err := rw.Read(make([]byte, 10)); return err }
	write := func(rw io.ReadWriter) error { _, err := rw.Write([]byte("PING")); return err }
	past := time.Unix(1, 0)
	for _, test := range []struct {
		name    string
		network string
		prepare func(client, server net.Conn)
		call    func(io.ReadWriter) error
		want    error
	}{
		{"end of the connection", "unix", func(_, s net.Conn) { s.Close() }, read, io.EOF},
		{"write to a closed connection", "unix", func(_, s net.Conn) { s.Close() }, write, syscall.EPIPE},
		{"reset", "tcp", func(_, s net.Conn) { s.(*net.TCPConn).SetLinger(0); s.Close() }, read, syscall.ECONNRESET},
		{"read after Close", "unix", func(c, _ net.Conn) { c.Close() }, read, net.ErrClosed},
		{"write after Close", "unix", func(c, _ net.Conn) { c.Close() }, write, net.ErrClosed},
		{"Close during a read", "unix", func(c, _ net.Conn) { time.AfterFunc(time.Millisecond, func() { c.Close() }) }, read, net.ErrClosed},
		{"read after the deadline", "tcp", func(c, _ net.Conn) { c.SetDeadline(past) }, read, os.ErrDeadlineExceeded},
		{"write after the deadline", "tcp", func(c, _ net.Conn) { c.SetDeadline(past) }, write, os.ErrDeadlineExceeded},
		{"deadline during a read", "unix", func(c, _ net.Conn) { c.SetDeadline(time.Now().Add(time.Millisecond)) }, read, os.ErrDeadlineExceeded},
		{"deadline during a write", "unix", func(c, _ net.Conn) {
			c.(*net.UnixConn).SetWriteBuffer(1)
			c.SetDeadline(time.Now().Add(10 * time.Millisecond))
		}, func(rw io.ReadWriter) (err error) {
			for err == nil {
				_, err = rw.Write(make([]byte, rawSize))
			}
			return err
		}, os.ErrDeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			texts := make([]string, 2)
			for i := range texts {
				client, server := socketPair(t, test.network)
				rw := io.ReadWriter(client)
				if i > 0 {
					rw = newRawIO(client)
				}
				test.prepare(client, server)
				err := test.call(rw)
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want %v", err, test.want)
				}
				if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() != (test.want == os.ErrDeadlineExceeded) {
					t.Errorf("timeout %t of %v", e.Timeout(), err)
				}
				r := strings.NewReplacer(client.LocalAddr().String(), "LOCAL", client.RemoteAddr().String(), "REMOTE")
				texts[i] = r.Replace(err.Error())
			}
			if texts[0] != texts[1] {
				t.Errorf("error %q, want that of the net.Conn: %q", texts[1], texts[0])
			}
		})
	}
}

// TestRawIOData checks that data of any size arrives unchanged in both directions, also if the socket
// accepts or has only a part of it.
func TestRawIOData(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			for _, size := range []int{0, 1, rawSize - 1, rawSize, rawSize + 1, 100_000} {
				client, server := socketPair(t, network)
				if c, ok := client.(*net.UnixConn); ok {
					c.SetWriteBuffer(1) // the kernel uses its minimum
				}
				data := make([]byte, size)
				for i := range data {
					data[i] = byte(i + i>>8)
				}
				go func() {
					var back bytes.Buffer
					io.CopyN(&back, server, int64(2*size)) // twice, because the second write waits for the first
					server.Write(back.Bytes()[size:])
				}()
				rw := newRawIO(client)
				for range 2 {
					if n, err := rw.Write(data); n != size || err != nil {
						t.Fatalf("%s: wrote %d of %d bytes: %v", network, n, size, err)
					}
				}
				got := make([]byte, size)
				if n, err := io.ReadFull(rw, got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d of %d bytes came back, equal %t: %v", network, n, size, bytes.Equal(got, data), err)
				}
			}
		})
	}
}

// TestRawIOIsUsed checks that connections to a server use raw system calls, and that connections
// without a socket work without.
func TestRawIOIsUsed(t *testing.T) {
	if _, ok := echo(t, ":0\r\n").sock.io.(*rawIO); !ok {
		t.Error("a connection of Dial does not use raw system calls")
	}
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	if c := newConn(client, 0); c.sock.io != io.ReadWriter(client) {
		t.Errorf("a connection without a socket uses %T", c.sock.io)
	}
}
