package metrics

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// rawListener is a listener at addr whose connections are created by the test.
type rawListener struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
}

func newRawListener(addr net.Addr) *rawListener {
	return &rawListener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *rawListener) Addr() net.Addr { return l.addr }

func (l *rawListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *rawListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

// send sends raw bytes in pieces on a new connection, and returns all that the server has sent when
// all goroutines are blocked.
func (l *rawListener) send(raw []byte, piece int) string {
	client, server := net.Pipe()
	l.conns <- server
	var response bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&response, client)
	}()
	go func() {
		for part := range slices.Chunk(raw, piece) {
			if _, err := client.Write(part); err != nil {
				return // the server has closed the connection
			}
		}
	}()
	synctest.Wait()
	client.Close()
	<-read
	return response.String()
}

// statusCodes are the status codes that the server and net/http can send.
var statusCodes = []string{"200", "400", "401", "404", "405", "413", "414", "417", "421", "431", "501", "503", "505"}

// FuzzHTTP sends arbitrary bytes to the server over TCP and a unix socket. It checks that the
// server responds with HTTP or not at all, does not panic, serves no client over TCP without
// credentials, keeps no connection that has ended, and serves the next client. It runs in a
// synctest bubble, so that timeouts take no real time.
func FuzzHTTP(f *testing.F) {
	for _, seed := range []string{
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n",
		"HEAD /ports HTTP/1.1\r\nHost: localhost\r\nAccept: application/json;q=0.5, */*;q=0\r\nAccept-Encoding: gzip;q=1, *;q=0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic OjoK\r\nContent-Length: -1\r\n\r\n",
		"GET //metrics/../?%zz=%00 HTTP/1.1\r\nHost: [::1]:x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabc",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"GET /debug/pprof/ HTTP/1.1\nHost: x\n" + strings.Repeat("A: b\n", 1000) + "\n",
	} {
		f.Add([]byte(seed), uint8(7))
	}
	status := regexp.MustCompile(`HTTP/1\.[01] ([0-9]{3}) `)
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8) {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			local := newRawListener(&net.UnixAddr{Net: "unix", Name: "/s"})
			remote := newRawListener(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9101})
			s, err := NewServer(ServerConfig{
				Listeners: []net.Listener{local, remote},
				Live:      Live{Credentials: Credentials{BearerSHA256: strings.Repeat("5a", 32)}},
			}, Sources{Set: NewSet(), Health: healthy, Ports: somePorts}, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			s.Start()
			for _, l := range []*rawListener{local, remote} {
				response := l.send(raw, 1+int(piece)*8)
				if response != "" && !strings.HasPrefix(response, "HTTP/1.") {
					t.Errorf("the response begins with %.80q", response)
				}
				for _, m := range status.FindAllStringSubmatch(response, -1) {
					if !slices.Contains(statusCodes, m[1]) {
						t.Errorf("unexpected status %s", m[1])
					}
					if m[1] == "200" && l == remote {
						t.Errorf("request served without credentials: %.200q", response)
					}
				}
			}
			synctest.Wait()
			if n := s.conns.count(); n > 0 {
				t.Errorf("%d connections are still open", n)
			}
			if got := local.send([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 100); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("response to the next client: %.200q", got)
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if strings.Contains(log.String(), "panic") {
				t.Errorf("log: %s", &log)
			}
		})
	})
}

// count returns the number of admitted connections.
func (l *limiter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}
