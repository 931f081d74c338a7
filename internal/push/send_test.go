package push

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/transport"
	"portsyncd/metrics"
)

// timeout is the timeout of requests that take milliseconds on an idle machine.
const timeout = 30 * time.Second

func newTestSender(t *testing.T, c Config) *sender {
	t.Helper()
	s, err := newSender(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// try sends a batch.
func (s *sender) try(t *testing.T) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return s.post(ctx, &batch{[]byte("portsyncd up=1 1\n"), 1})
}

// secretFile returns the path of a new file with the given content.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestRequest checks method, URL, headers and body of a request.
func TestRequest(t *testing.T) {
	requests := make(chan *http.Request, 1)
	bodies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		requests <- r
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	s := newTestSender(t, Config{
		URL: server.URL + "/api/v2/write?org=o&bucket=b", AuthorizationFile: secretFile(t, "Token hush\n"),
		Gzip: true, UserAgent: "portsyncd/1",
	})
	if s.client.Transport.(*http.Transport).Proxy != nil {
		t.Error("Proxy is set") // a proxy would not be used for the loopback address of this test
	}
	if r := s.try(t); r.outcome != delivered || r.err != nil {
		t.Fatalf("%v, %v", r.outcome, r.err)
	}
	r := <-requests
	if body := <-bodies; body != "portsyncd up=1 1\n" {
		t.Errorf("body %q", body)
	}
	if r.Method != http.MethodPost || r.RequestURI != "/api/v2/write?org=o&bucket=b" {
		t.Errorf("%s %s", r.Method, r.RequestURI)
	}
	for name, want := range map[string]string{
		"Authorization": "Token hush", "Content-Encoding": "gzip", "User-Agent": "portsyncd/1",
		"Content-Type": "text/plain; charset=utf-8", "Idempotency-Key": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestResponses checks the outcome of each HTTP status, and that errors contain the body of the
// response.
func TestResponses(t *testing.T) {
	for _, c := range []struct {
		status int
		after  string
		want   outcome
		asked  time.Duration
	}{
		{200, "", delivered, 0},
		{204, "", delivered, 0},
		{302, "", unauthorized, 0},
		{400, "", refused, 0},
		{401, "", unauthorized, 0},
		{403, "", unauthorized, 0},
		{404, "", unauthorized, 0},
		{405, "", refused, 0},
		{408, "", overloaded, 0},
		{413, "", refused, 0},
		{422, "", refused, 0},
		{429, "7", overloaded, 7 * time.Second},
		{429, "soon", overloaded, 0},
		{500, "", overloaded, 0},
		{503, "4000000000000", overloaded, 0},
		{503, "2147483647", overloaded, 2147483647 * time.Second},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
			if c.status != 204 {
				io.WriteString(w, `{"error":"partial write"}`)
			}
		}))
		r := newTestSender(t, Config{URL: server.URL}).try(t)
		if r.outcome != c.want || r.retryAfter != c.asked {
			t.Errorf("%d, Retry-After %q: %v, wait %v; want %v, %v", c.status, c.after, r.outcome, r.retryAfter, c.want, c.asked)
		}
		if c.want != delivered && (r.err == nil || !strings.Contains(r.err.Error(), "partial write")) {
			t.Errorf("%d: error %v", c.status, r.err)
		}
		server.Close()
	}
}

// TestRetryAfterDate checks Retry-After with a date.
func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"-5":                            0,
		"":                              0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// TestRedirect checks that redirects are not followed.
func TestRedirect(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, status)
		}))
		s := newTestSender(t, Config{URL: server.URL, AuthorizationFile: secretFile(t, "Token hush")})
		if r := s.try(t); r.outcome != unauthorized {
			t.Errorf("%d: %v, %v", status, r.outcome, r.err)
		}
		server.Close()
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestReceiverGone checks the outcome without a listener, without a response, and with a response
// that is truncated, endless or not HTTP.
func TestReceiverGone(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(net.Conn) // nil: no listener
	}{
		{"no_listener", nil},
		{"closed", func(net.Conn) {}},
		{"silent", func(conn net.Conn) { io.Copy(io.Discard, conn) }},
		{"no_HTTP", func(conn net.Conn) { io.WriteString(conn, "220 mail ready\r\n") }},
		{"cut", func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 204 No Con") }},
		{"endless_header", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 204 No Content\r\n")
			for {
				if _, err := io.WriteString(conn, "X-More: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			address := l.Addr().String()
			if c.serve == nil {
				address = reservedAddress(t)
			}
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conn.Read(make([]byte, 4096))
					c.serve(conn)
					conn.Close()
				}
			}()
			s := newTestSender(t, Config{URL: "http://" + address})
			limit := timeout
			if c.name == "silent" {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if r := s.post(ctx, &batch{[]byte("x"), 1}); r.outcome != unreachable || r.err == nil {
				t.Errorf("%v, %v", r.outcome, r.err)
			}
		})
	}
}

// reservedAddress returns an address at which no process can listen until the test ends.
func reservedAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// TestEndlessResponse checks that a limited part of the response is read and that the error is
// printable.
func TestEndlessResponse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for {
			if _, err := io.WriteString(w, strings.Repeat("\x1b[2J", 1000)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	r := newTestSender(t, Config{URL: server.URL}).try(t)
	if r.outcome != refused || len(r.err.Error()) > 1000 || strings.Contains(r.err.Error(), "\x1b") {
		t.Errorf("%v, %v", r.outcome, r.err)
	}
}

// TestAuthorizationFile checks that an unusable file fails the request before it is sent, that the
// error does not contain the secret, and that the file is read for each request.
func TestAuthorizationFile(t *testing.T) {
	var seen atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(new(r.Header.Get("Authorization")))
	}))
	defer server.Close()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"absent": filepath.Join(t.TempDir(), "none"), "directory": t.TempDir(), "fifo": fifo,
		"empty": secretFile(t, " \n"), "two lines": secretFile(t, "Token hush\nToken hush\n"),
		"control": secretFile(t, "Token hush\x7f"), "long": secretFile(t, "hush"+strings.Repeat("x", 9000)),
	} {
		r := newTestSender(t, Config{URL: server.URL, AuthorizationFile: file}).try(t)
		if r.outcome != unauthorized || r.err == nil || strings.Contains(r.err.Error(), "hush") {
			t.Errorf("%s: %v, %v", name, r.outcome, r.err)
		}
	}
	if s := seen.Load(); s != nil {
		t.Fatalf("a request was sent, with %q", *s)
	}
	file := secretFile(t, "Bearer one")
	s := newTestSender(t, Config{URL: server.URL, AuthorizationFile: file})
	for _, secret := range []string{"Bearer one", "Bearer two"} {
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.try(t); r.outcome != delivered || *seen.Load() != secret {
			t.Errorf("%q: %v, %v, sent %q", secret, r.outcome, r.err, *seen.Load())
		}
	}
}

// newTLSReceiver starts an HTTPS server that accepts all requests, and returns it with the path of
// a file that contains its certificate.
func newTLSReceiver(t *testing.T, config *tls.Config) (server *httptest.Server, authority string) {
	t.Helper()
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o644); err != nil {
		t.Fatal(err)
	}
	return server, authority
}

// TestNoCBC checks that a receiver which supports only cipher suites with CBC is refused.
func TestNoCBC(t *testing.T) {
	for suite, want := range map[uint16]outcome{
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:    unreachable,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: delivered,
	} {
		server, authority := newTLSReceiver(t, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if r := newTestSender(t, Config{URL: server.URL, CAFile: authority}).try(t); r.outcome != want {
			t.Errorf("%s: %v, %v, want %v", tls.CipherSuiteName(suite), r.outcome, r.err, want)
		}
	}
}

// TestTLS checks that a receiver is refused unless its certificate is signed by the configured
// authority.
func TestTLS(t *testing.T) {
	server, authority := newTLSReceiver(t, nil)
	if r := newTestSender(t, Config{URL: server.URL, CAFile: authority}).try(t); r.outcome != delivered {
		t.Errorf("with the authority: %v, %v", r.outcome, r.err)
	}
	if r := newTestSender(t, Config{URL: server.URL}).try(t); r.outcome != unreachable {
		t.Errorf("without the authority: %v, %v", r.outcome, r.err)
	}
}

// TestAuthoritiesFile checks that an unusable file of certificate authorities fails the request,
// and that a replaced file is used for the next connection.
func TestAuthoritiesFile(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	s := newTestSender(t, Config{URL: server.URL, CAFile: authority})
	try := func(when string, want outcome, text string) {
		t.Helper()
		r := s.try(t)
		if r.outcome != want || want != delivered && !strings.Contains(r.err.Error(), text) {
			t.Errorf("%s: %v, %v", when, r.outcome, r.err)
		}
	}
	try("absent", unreachable, "no such file")
	if err := syscall.Mkfifo(authority, 0o600); err != nil {
		t.Fatal(err)
	}
	try("FIFO", unreachable, "is a named pipe")
	os.Remove(authority)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, f := range []struct {
		when, text string
		want       outcome
	}{
		{"no certificate", "no certificate", unreachable},
		{"the authority", string(block), delivered},
		{"too large", strings.Repeat("x", transport.MaxPEMFile+1), unreachable},
	} {
		if err := os.WriteFile(authority, []byte(f.text), 0o644); err != nil {
			t.Fatal(err)
		}
		try(f.when, f.want, map[string]string{"too large": "too large"}[f.when])
		s.client.CloseIdleConnections()
	}
}

// TestNewRefuses checks that New returns an error for an invalid URL, without repeating the URL.
func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{
		{URL: ""}, {URL: "receiver:8086"}, {URL: "ftp://receiver"}, {URL: "http://"}, {URL: "http://hush%zz@receiver"},
	} {
		_, err := New(c, metrics.NewSet(), nil, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestDevice checks that connections are bound to the device, and fail if the device does not
// exist.
func TestDevice(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	if r := newTestSender(t, Config{URL: server.URL, Device: "lo"}).try(t); r.outcome != delivered {
		if errors.Is(r.err, syscall.EPERM) {
			t.Skip("binding to a device is not permitted: ", r.err) // before Linux 5.7
		}
		t.Errorf("lo: %v, %v", r.outcome, r.err)
	}
	if r := newTestSender(t, Config{URL: server.URL, Device: "none0"}).try(t); r.outcome != unreachable || !strings.Contains(r.err.Error(), `"none0"`) {
		t.Errorf("none0: %v, %v", r.outcome, r.err)
	}
}
