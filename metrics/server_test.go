package metrics

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// startServer starts a server that is shut down at the end of the test, and returns the base URL of
// its first address. If cfg has no address, the server listens on a loopback port.
func startServer(t testing.TB, cfg ServerConfig, src Sources) (s *Server, base string) {
	t.Helper()
	if cfg.Listen == nil && cfg.Listeners == nil {
		cfg.Listen = []Endpoint{{"tcp", "127.0.0.1:0"}}
	}
	if src.Set == nil {
		src.Set = NewSet()
	}
	s, err := NewServer(cfg, src, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	addrs := s.Addrs()
	if len(addrs) == 0 {
		t.Fatal("server has no address")
	}
	return s, "http://" + addrs[0].String()
}

// unixTransport returns a transport that connects to a unix socket, whatever the host in the URL.
func unixTransport(socket string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
