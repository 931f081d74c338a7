package sonicdb

import (
	"io"
	"net"
	"slices"
	"testing"
)

// fakeServer is the server side of a connection.
type fakeServer struct {
	t  testing.TB
	nc net.Conn
	in *reader
}

// fake returns a connection to a server that runs play and then closes the connection.
func fake(t testing.TB, play func(s *fakeServer)) *Conn {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		play(&fakeServer{t: t, nc: server, in: newReader(server)})
	}()
	c := newConn(client, 0)
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c
}

// expect reads one command and fails the test if it is not the expected one.
func (s *fakeServer) expect(want ...string) {
	r, err := s.in.next()
	if err != nil {
		s.t.Errorf("fake server: %v while expecting %q", err, want)
		return
	}
	var got []string
	for _, a := range r.Array {
		got = append(got, string(a.Str))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("fake server: got %q, want %q", got, want)
	}
}

// send writes raw bytes.
func (s *fakeServer) send(bytes string) {
	if _, err := io.WriteString(s.nc, bytes); err != nil {
		s.t.Errorf("fake server: write %q: %v", bytes, err)
	}
}

// waitForHangUp reads until the client closes the connection.
func (s *fakeServer) waitForHangUp() { io.Copy(io.Discard, s.nc) }
