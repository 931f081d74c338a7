package metrics

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHostHeader checks that requests over TCP with a foreign name in the Host header get status
// 421, on all paths and with or without credentials, and that requests with an own name are served.
func TestHostHeader(t *testing.T) {
	token := "Authorization: Bearer token"
	socket := filepath.Join(t.TempDir(), "s")
	_, base := startServer(t, ServerConfig{
		Listen: []Endpoint{{"tcp", "127.0.0.1:0"}, {"unix", socket}},
		Live:   Live{HostNames: []string{"leaf1.example"}, Credentials: Credentials{BearerSHA256: hashOf("token")}},
	}, Sources{Health: healthy, Ports: somePorts, Status: someStatus, Page: somePorts})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, want int) {
		t.Helper()
		for _, path := range []string{"/", "/metrics", "/status", "/nothing"} {
			resp, body := fetch(t, "GET", base+path, "Host: "+name, token)
			if path == "/nothing" && want == 200 {
				continue
			}
			if resp.StatusCode != want || want == 421 && !strings.Contains(body, "metrics.host_names") {
				t.Errorf("Host %q, %s: %d %q, want %d", name, path, resp.StatusCode, body, want)
			}
		}
	}
	for _, name := range []string{
		"localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "192.0.2.7:9101", "[::1]", "[::1]:9101", "[fe80::1%25eth0]:1",
		"leaf1.example", "Leaf1.Example.:9101", host, strings.ToUpper(host) + ":9101",
	} {
		f(name, 200)
	}
	for _, name := range []string{
		"evil.example", "evil.example:9101", "localhost.evil.example", "127.0.0.1.evil.example", "leaf1.example.evil.example",
		host + ".evil.example", "1.2.3", "a:b:c", ":9101", "xlocalhost", "evil-leaf1.example",
	} {
		f(name, 421)
	}
	if resp, _ := fetch(t, "GET", base+"/metrics", "Host: evil.example"); resp.StatusCode != 421 {
		t.Errorf("without credentials: %d, want 421", resp.StatusCode)
	}
	if resp, _ := fetchWith(t, unixTransport(socket), "GET", "http://anything/metrics"); resp.StatusCode != 200 {
		t.Errorf("over the unix socket: %d", resp.StatusCode)
	}
}

// TestNoHostHeader checks that HTTP/1.0 requests without a Host header are served.
func TestNoHostHeader(t *testing.T) {
	s, _ := startServer(t, ServerConfig{}, Sources{Health: healthy})
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /healthz HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.0 200 ") {
		t.Errorf("response %q, error %v", got, err)
	}
}

// TestHostOfCertificate checks that the names in the certificate are accepted in the Host header.
func TestHostOfCertificate(t *testing.T) {
	s, _ := startServer(t, tlsConfig(t, newCertificate(t, "server", nil)), Sources{Health: healthy})
	client := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	for name, want := range map[string]int{"server.example": 200, "evil.example": 421} {
		resp, _ := fetchWith(t, client, "GET", "https://"+s.Addrs()[0].String()+"/healthz", "Host: "+name)
		if resp.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", name, resp.StatusCode, want)
		}
	}
}

// TestHostOfListenAddress checks that host names in Listen are accepted in the Host header.
func TestHostOfListenAddress(t *testing.T) {
	s, err := NewServer(ServerConfig{Listen: []Endpoint{{"tcp", "Leaf7.Fabric.Example.:9101"}, {"tcp", ":9102"}, {"unix", "/run/evil.example:1"}}},
		Sources{Set: NewSet()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"leaf7.fabric.example": true, "leaf7.fabric.example:9101": true,
		"fabric.example": false, ":9102": false, "/run/evil.example": false} {
		if got := s.servesHost(name); got != want {
			t.Errorf("Host %q: served %v, want %v", name, got, want)
		}
	}
}
