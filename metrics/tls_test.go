package metrics

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// certificate is a certificate with its private key.
type certificate struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte // of the certificate
}

var serial int64

// newCertificate returns a certificate for 127.0.0.1 and name.example that is signed by parent, or
// a self-signed one if parent is nil.
func newCertificate(t *testing.T, name string, parent *certificate) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name},
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{name + ".example"},
		IsCA:                  parent == nil,
		BasicConstraintsValid: true,
	}
	signer := &certificate{cert: template, key: key}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (c *certificate) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (c *certificate) pair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.cert.Raw}, PrivateKey: c.key}
}

// replaced counts the calls of replace.
var replaced int

// replace writes a file with a new modification time, since the clock of the file system may be too
// coarse to distinguish two writes.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	replaced++
	at := time.Unix(1_700_000_000+int64(replaced), 0)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// tlsConfig returns a server configuration with c, whose files are in a new directory.
func tlsConfig(t *testing.T, c *certificate) ServerConfig {
	t.Helper()
	dir := t.TempDir()
	cfg := ServerConfig{TLSCertFile: filepath.Join(dir, "cert"), TLSKeyFile: filepath.Join(dir, "key")}
	c.install(t, cfg)
	return cfg
}

// install writes c to the TLS files of cfg.
func (c *certificate) install(t *testing.T, cfg ServerConfig) {
	t.Helper()
	replace(t, cfg.TLSCertFile, c.pem)
	replace(t, cfg.TLSKeyFile, c.keyPEM(t))
}

// handshake connects as a client and returns the common name of the server's certificate.
func handshake(s *Server, config *tls.Config) (string, error) {
	config.InsecureSkipVerify = true // the tests check the common name instead
	c, err := tls.Dial("tcp", s.Addrs()[0].String(), config)
	if err != nil {
		return "", err
	}
	defer c.Close()
	// In TLS 1.3 the server verifies the client's certificate after the client has completed
	// its handshake, so an error is visible only in a later read.
	if _, err := c.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n")); err != nil {
		return "", err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// TestTLSFilesAreReadAgain checks that the server uses replaced TLS files, and keeps the previous
// ones with one error in the log while certificate and key do not match or a file is missing.
func TestTLSFilesAreReadAgain(t *testing.T) {
	first, second := newCertificate(t, "first", nil), newCertificate(t, "second", nil)
	cfg := tlsConfig(t, first)
	s, records := startTLSServer(t, cfg)
	records.next(t, slog.LevelInfo) // listening for HTTP
	is := func(want string) {
		t.Helper()
		checkHandshake(t, s, want)
	}
	is("first")

	replace(t, cfg.TLSCertFile, second.pem)
	is("first")
	r, keeping := records.next(t, slog.LevelInfo), false
	r.Attrs(func(a slog.Attr) bool {
		keeping = keeping || a.Key == "keeping_previous" && a.Value.Bool()
		return true
	})
	if r.Level != slog.LevelError || !keeping {
		t.Errorf("record %v, want an error and that the previous files are kept", r)
	}
	is("first")
	replace(t, cfg.TLSKeyFile, second.keyPEM(t))
	is("second")
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelInfo || r.Message != "TLS files reloaded" {
		t.Errorf("record %v, want TLS files reloaded", r)
	}
	if err := os.Remove(cfg.TLSCertFile); err != nil {
		t.Fatal(err)
	}
	is("second")
}

// startTLSServer starts a server with the TLS files of cfg and returns its log.
func startTLSServer(t *testing.T, cfg ServerConfig) (*Server, logs) {
	t.Helper()
	records := make(logs, 1000)
	cfg.Listen = []Endpoint{{"tcp", "127.0.0.1:0"}}
	s, err := NewServer(cfg, Sources{Set: NewSet(), Health: healthy}, slog.New(records))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s, records
}

// checkHandshake checks that a handshake succeeds with the certificate of the given common name.
func checkHandshake(t *testing.T, s *Server, want string) {
	t.Helper()
	if got, err := handshake(s, &tls.Config{}); err != nil || got != want {
		t.Errorf("handshake: certificate %q, error %v; want %q", got, err, want)
	}
}

// TestTLSFilesOfSameStamp checks that the server detects replaced files of the same size and
// modification time and files that become readable again, and that Reconfigure logs unusable files
// without waiting for a client.
func TestTLSFilesOfSameStamp(t *testing.T) {
	dir := t.TempDir()
	cfg := ServerConfig{TLSCertFile: filepath.Join(dir, "cert"), TLSKeyFile: filepath.Join(dir, "key")}
	certFile, keyFile := cfg.TLSCertFile, cfg.TLSKeyFile
	first, second := newCertificate(t, "aaaaa", nil), newCertificate(t, "bbbbb", nil)
	at := time.Unix(1_700_000_000, 0)
	put := func(path string, content []byte) {
		t.Helper()
		content = append(content, bytes.Repeat([]byte("\n"), 2000-len(content))...)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	put(certFile, first.pem)
	put(keyFile, first.keyPEM(t))
	s, records := startTLSServer(t, cfg)
	is := func(want string) {
		t.Helper()
		checkHandshake(t, s, want)
	}
	is("aaaaa")
	put(certFile, second.pem)
	put(keyFile, second.keyPEM(t))
	is("bbbbb")

	// The server reads the key again after it could not, although the key has not changed.
	away := filepath.Join(dir, "away")
	if err := os.Rename(keyFile, away); err != nil {
		t.Fatal(err)
	}
	is("bbbbb")
	put(certFile, first.pem)
	put(away, first.keyPEM(t))
	if err := os.Rename(away, keyFile); err != nil {
		t.Fatal(err)
	}
	is("aaaaa")

	put(certFile, []byte("broken"))
	for len(records) > 0 {
		<-records
	}
	if err := s.Reconfigure(Live{}); err != nil {
		t.Fatal(err)
	}
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelError || r.Message != "cannot load TLS files" {
		t.Errorf("record after Reconfigure: %v, want cannot load TLS files", r)
	}
}

// TestTLSFileIsFIFO checks that a FIFO as certificate file does not block the start or a handshake.
func TestTLSFileIsFIFO(t *testing.T) {
	dir := t.TempDir()
	cfg := ServerConfig{TLSCertFile: filepath.Join(dir, "cert"), TLSKeyFile: filepath.Join(dir, "key")}
	if err := unix.Mkfifo(cfg.TLSCertFile, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s, _ := startServer(t, cfg, Sources{Health: healthy})
	if name, err := handshake(s, &tls.Config{}); err == nil {
		t.Errorf("handshake with %q without files", name)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("start and handshake took %v", took)
	}
}

// TestCipherSuites checks that the server refuses cipher suites of TLS 1.2 with CBC or without
// forward secrecy.
func TestCipherSuites(t *testing.T) {
	s, _ := startServer(t, tlsConfig(t, newCertificate(t, "server", nil)), Sources{Health: healthy})
	accepted := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS13) {
			continue
		}
		_, err := handshake(s, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		want := strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_POLY1305_"))
		if (err == nil) != want {
			t.Errorf("%s: %v, want success: %t", suite.Name, err, want)
		}
		accepted += boolToInt(err == nil)
	}
	if accepted != 3 {
		t.Errorf("%d suites accepted, want 3 for an ECDSA certificate", accepted)
	}
}

// TestTLSVersions checks that the server accepts TLS 1.2 and 1.3 only, and HTTP/1.1 only.
func TestTLSVersions(t *testing.T) {
	c := newCertificate(t, "server", nil)
	s, base := startServer(t, tlsConfig(t, c), Sources{Health: healthy})

	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := handshake(s, &tls.Config{MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 400 {
		t.Errorf("plain HTTP on the TLS port: status %d, want 400", resp.StatusCode)
	}
	// The server does not offer HTTP/2 to a client that prefers it.
	roots := x509.NewCertPool()
	roots.AddCert(c.cert)
	client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	resp, _ := fetchWith(t, client, "GET", "https://"+s.Addrs()[0].String()+"/healthz")
	if resp.StatusCode != 200 || resp.ProtoMajor != 1 {
		t.Errorf("status %d over %s, want 200 over HTTP/1.1", resp.StatusCode, resp.Proto)
	}
}

// TestTLSClientCertificates checks that with TLSClientCAFile only clients with a certificate of
// that authority are accepted, also after the file was replaced.
func TestTLSClientCertificates(t *testing.T) {
	ca, otherCA := newCertificate(t, "ca", nil), newCertificate(t, "other", nil)
	cfg := tlsConfig(t, newCertificate(t, "server", nil))
	cfg.TLSClientCAFile = filepath.Join(t.TempDir(), "ca")
	replace(t, cfg.TLSClientCAFile, ca.pem)
	s, _ := startServer(t, cfg, Sources{Health: healthy})

	client := newCertificate(t, "client", ca).pair()
	otherClient := newCertificate(t, "client", otherCA).pair()
	if _, err := handshake(s, &tls.Config{}); err == nil {
		t.Error("a client without a certificate was accepted")
	}
	// GetClientCertificate sends the certificate even if the server does not list its
	// authority.
	force := func(c tls.Certificate) *tls.Config {
		return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}
	}
	if _, err := handshake(s, force(otherClient)); err == nil {
		t.Error("a client of another authority was accepted")
	}
	if _, err := handshake(s, force(client)); err != nil {
		t.Errorf("a client with a valid certificate was refused: %v", err)
	}
	replace(t, cfg.TLSClientCAFile, otherCA.pem)
	if _, err := handshake(s, force(client)); err == nil {
		t.Error("a client of the replaced authority was accepted")
	}
	if _, err := handshake(s, force(otherClient)); err != nil {
		t.Errorf("a client of the new authority was refused: %v", err)
	}
}

// TestTLSFilesBadAtStart checks that without usable TLS files the server starts, refuses all
// connections and logs one error, and that it accepts connections once the files are valid.
func TestTLSFilesBadAtStart(t *testing.T) {
	dir := t.TempDir()
	cfg := ServerConfig{TLSCertFile: filepath.Join(dir, "cert"), TLSKeyFile: filepath.Join(dir, "key")}
	s, records := startTLSServer(t, cfg)
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelError {
		t.Errorf("first record %v, want an error", r)
	}
	for range 3 {
		if name, err := handshake(s, &tls.Config{}); err == nil {
			t.Errorf("handshake with %q without files", name)
		}
	}
	if r := records.next(t, slog.LevelInfo); r.Message != "listening for HTTP" {
		t.Errorf("second record %v, want listening for HTTP", r)
	}
	select {
	case r := <-records:
		if r.Level > slog.LevelDebug {
			t.Errorf("unexpected record: %v", r)
		}
	default:
	}
	newCertificate(t, "late", nil).install(t, cfg)
	checkHandshake(t, s, "late")
}
