package lab

import (
	"context"
	"errors"
	"net"
	"testing"
)

// TestPipes checks that empty writes do not reach the server, that DialContext ends with its context, and
// that Close refuses connections.
func TestPipes(t *testing.T) {
	p := NewPipes()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.DialContext(canceled, "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: error %v", err)
	}
	db := NewDB(DBOptions{})
	served := make(chan error, 1)
	go func() { served <- db.Serve(p) }()
	conn, err := p.DialContext(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"", "PING\r\n"} {
		if n, err := conn.Write([]byte(request)); n != len(request) || err != nil {
			t.Errorf("write %q: %d, %v", request, n, err)
		}
	}
	reply := make([]byte, 100)
	if n, err := conn.Read(reply); string(reply[:n]) != "+PONG\r\n" || err != nil {
		t.Errorf("reply %q, %v", reply[:n], err)
	}
	db.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := p.DialContext(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: error %v", err)
	}
}
