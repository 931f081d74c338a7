package metrics

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEveryResponseIsCounted checks that each response is counted once, including those that
// net/http sends itself, on plain TCP, TLS and unix sockets.
func TestEveryResponseIsCounted(t *testing.T) {
	overTLS := tlsConfig(t, newCertificate(t, "server", nil))
	const end = " HTTP/1.1\r\nHost: localhost\r\n"
	requests := []struct {
		text  string
		path  string
		codes []string // of the responses
	}{
		{"GET /healthz" + end + "\r\n", "/healthz", []string{"200"}},
		{"GET /healthz" + end + "\r\nGET /healthz" + end + "\r\nGET /healthz" + end + "\r\n", "/healthz", []string{"200", "200", "200"}},
		{"HEAD /readyz" + end + "\r\n", "/readyz", []string{"503"}},
		{"GET /metrics" + end + "\r\n", "/metrics", []string{"200"}},
		{"OPTIONS *" + end + "\r\n", "other", []string{"405"}},
		{"OPTIONS /metrics" + end + "\r\n", "/metrics", []string{"405"}},
		{"GET /nothing" + end + "\r\n", "other", []string{"404"}},
		{"hello\r\n\r\n", "other", []string{"400"}},
		{"GET /healthz HTTP/1.1\r\n\r\n", "other", []string{"400"}}, // no Host
		{"GET /healthz" + end + "A: " + strings.Repeat("x", 4*maxHeaderBytes) + "\r\n\r\n", "other", []string{"431"}},
		{"GET /healthz" + end + "Transfer-Encoding: gzip\r\n\r\n", "other", []string{"501"}},
		{"GET /healthz" + end + "Expect: wonders\r\n\r\n", "other", []string{"417"}},
		{"GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n", "other", []string{"505"}},
		{"GET /healthz" + end + "\r\nhello\r\n\r\n", "other", []string{"200", "400"}},
		{"POST /healthz" + end + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "/healthz", []string{"405"}},
	}
	for name, cfg := range map[string]ServerConfig{"plain": {}, "TLS": overTLS, "unix": {Listen: []Endpoint{{"unix", filepath.Join(t.TempDir(), "s")}}}} {
		t.Run(name, func(t *testing.T) {
			set := NewSet()
			s, _ := startServer(t, cfg, Sources{Set: set, Health: healthy})
			for _, r := range requests {
				before := s.requestCounts()
				var socket net.Conn = dial(t, s.Addrs()[0].Network(), s.Addrs()[0].String())
				if name == "TLS" {
					socket = tls.Client(socket, &tls.Config{InsecureSkipVerify: true})
				}
				socket.SetDeadline(time.Now().Add(10 * time.Second))
				go io.WriteString(socket, r.text)
				got := readResponses(t, socket, len(r.codes))
				socket.Close()
				if fmt.Sprint(got) != fmt.Sprint(r.codes) {
					t.Errorf("%.60q: responses %q, want %q", r.text, got, r.codes)
				}
				s.awaitCounts(t, r.text, before, r.path, r.codes)
			}
		})
	}
	t.Run("plain HTTP to a TLS port", func(t *testing.T) {
		s, base := startServer(t, overTLS, Sources{})
		before := s.requestCounts()
		if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 400 {
			t.Errorf("status %d", resp.StatusCode)
		}
		s.awaitCounts(t, "plain", before, "other", []string{"400"})
	})
}

// readResponses reads n responses, or fewer if the server closes the connection, and returns their
// status codes.
func readResponses(t *testing.T, c net.Conn, n int) (codes []string) {
	t.Helper()
	var text strings.Builder
	b := make([]byte, 64<<10)
	for len(codes) < n {
		m, err := c.Read(b)
		text.Write(b[:m])
		codes = codes[:0]
		for _, part := range strings.Split(text.String(), "HTTP/1.")[1:] {
			if code := part[2:min(5, len(part))]; len(code) == 3 && !strings.HasPrefix(part, "1 100") {
				codes = append(codes, code)
			}
		}
		if err != nil {
			break
		}
	}
	return codes
}

// requestCounts returns portsyncd_http_requests_total by path and status.
func (s *Server) requestCounts() map[string]uint64 {
	counts := make(map[string]uint64)
	for sample := range s.src.Set.Samples() {
		if sample.Name == "portsyncd_http_requests_total" {
			counts[sample.Labels[0].Value+" "+sample.Labels[1].Value] = uint64(sample.Value)
		}
	}
	return counts
}

// awaitCounts waits until each response is counted exactly once: the last one with path, the ones
// before with /healthz.
func (s *Server) awaitCounts(t *testing.T, request string, before map[string]uint64, path string, codes []string) {
	t.Helper()
	want := make(map[string]uint64)
	for series, n := range before {
		want[series] = n
	}
	for i, code := range codes {
		if i == len(codes)-1 {
			want[path+" "+code]++
		} else {
			want["/healthz "+code]++
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		got := s.requestCounts()
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%.60q: counted %v, want %v", request, got, want)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestOptionsNeedCredentials checks that "OPTIONS *" without credentials gets status 401.
func TestOptionsNeedCredentials(t *testing.T) {
	s, _ := startServer(t, ServerConfig{Live: Live{Credentials: Credentials{BearerSHA256: hashOf("token")}}}, Sources{})
	for header, want := range map[string]string{"": "401", "Authorization: Bearer token\r\n": "405"} {
		c := dial(t, "tcp", s.Addrs()[0].String())
		io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n")
		if got := readResponses(t, c, 1); fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("with %q: %v, want %s", header, got, want)
		}
	}
}
