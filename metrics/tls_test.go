package metrics

import (
	"bytes"
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

// certificate is a key with a certificate signed by parent, or by itself.
type certificate struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte // certificate
}

var serial int64

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

// replaced counts replacements, each of which gets a time of its own: the file
// system's clock may tick too slowly to tell two writes apart.
var replaced int

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

// handshake connects as a client and returns the server's common name.
func handshake(s *Server, config *tls.Config) (string, error) {
	config.InsecureSkipVerify = true // the test looks at the certificate itself
	c, err := tls.Dial("tcp", s.Addrs()[0].String(), config)
	if err != nil {
		return "", err
	}
	defer c.Close()
	// In TLS 1.3 the server judges the client's certificate after the
	// client's side of the handshake is over.
	if _, err := c.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n")); err != nil {
		return "", err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	first, second := newCertificate(t, "first", nil), newCertificate(t, "second", nil)
	replace(t, certFile, first.pem)
	replace(t, keyFile, first.keyPEM(t))

	records := make(logs, 1000)
	s, err := NewServer(ServerConfig{Listen: []string{"127.0.0.1:0"}, TLSCertFile: certFile, TLSKeyFile: keyFile},
		Sources{Set: NewSet(), Health: healthy}, slog.New(records))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown(t.Context())
	records.next(t, slog.LevelInfo) // serving metrics
	is := func(want string) {
		t.Helper()
		if got, err := handshake(s, &tls.Config{}); err != nil || got != want {
			t.Errorf("server is %q, %v; want %q", got, err, want)
		}
	}
	is("first")

	// Halfway through a replacement the old pair stays, with one complaint.
	replace(t, certFile, second.pem)
	is("first")
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelError {
		t.Errorf("record %v, want an error", r)
	}
	is("first")
	replace(t, keyFile, second.keyPEM(t))
	is("second")
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelInfo || r.Message != "TLS files read again" {
		t.Errorf("record %v, want that the files were read again", r)
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	is("second")
}

// A replacement is noticed although size and modification time stay, and so is a change
// of the mode or the owner that makes files readable again; a reload reports on files at
// once, without a client.
func TestTLSFilesOfSameStamp(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
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
	records := make(logs, 1000)
	s, err := NewServer(ServerConfig{Listen: []string{"127.0.0.1:0"}, TLSCertFile: certFile, TLSKeyFile: keyFile},
		Sources{Set: NewSet(), Health: healthy}, slog.New(records))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown(t.Context())
	is := func(want string) {
		t.Helper()
		if got, err := handshake(s, &tls.Config{}); err != nil || got != want {
			t.Errorf("server is %q, %v; want %q", got, err, want)
		}
	}
	is("aaaaa")
	put(certFile, second.pem)
	put(keyFile, second.keyPEM(t))
	is("bbbbb")

	// What cannot be read is tried again, although nothing about it changes.
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
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelError || r.Message != "cannot use TLS files" {
		t.Errorf("record at a reload: %v", r)
	}
}

// A FIFO in the place of a file does not hold up the start or a client for long.
func TestTLSFileIsFIFO(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if err := unix.Mkfifo(certFile, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s, _ := startServer(t, ServerConfig{TLSCertFile: certFile, TLSKeyFile: keyFile}, Sources{Health: healthy})
	if name, err := handshake(s, &tls.Config{}); err == nil {
		t.Errorf("handshake with %q without files", name)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestCipherSuites: of TLS 1.2, those with CBC and without forward secrecy are refused.
func TestCipherSuites(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	c := newCertificate(t, "server", nil)
	replace(t, certFile, c.pem)
	replace(t, keyFile, c.keyPEM(t))
	s, _ := startServer(t, ServerConfig{TLSCertFile: certFile, TLSKeyFile: keyFile}, Sources{Health: healthy})
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
		accepted += one(err == nil)
	}
	if accepted != 3 {
		t.Errorf("%d suites accepted, want 3 for an ECDSA certificate", accepted)
	}
}

func TestTLSVersions(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	c := newCertificate(t, "server", nil)
	replace(t, certFile, c.pem)
	replace(t, keyFile, c.keyPEM(t))
	s, base := startServer(t, ServerConfig{TLSCertFile: certFile, TLSKeyFile: keyFile}, Sources{Health: healthy})

	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := handshake(s, &tls.Config{MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 400 {
		t.Errorf("plain HTTP on the TLS port: status %d, want 400", resp.StatusCode)
	}
	// HTTP/2 is not offered, even to a client that would rather have it.
	roots := x509.NewCertPool()
	roots.AddCert(c.cert)
	client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	resp, _ := fetchWith(t, client, "GET", "https://"+s.Addrs()[0].String()+"/healthz")
	if resp.StatusCode != 200 || resp.ProtoMajor != 1 {
		t.Errorf("status %d over %s, want 200 over HTTP/1.1", resp.StatusCode, resp.Proto)
	}
}

func TestTLSClientCertificates(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, caFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	server, ca, otherCA := newCertificate(t, "server", nil), newCertificate(t, "ca", nil), newCertificate(t, "other", nil)
	replace(t, certFile, server.pem)
	replace(t, keyFile, server.keyPEM(t))
	replace(t, caFile, ca.pem)
	s, _ := startServer(t, ServerConfig{TLSCertFile: certFile, TLSKeyFile: keyFile, TLSClientCAFile: caFile},
		Sources{Health: healthy})

	good := newCertificate(t, "client", ca).pair()
	stranger := newCertificate(t, "client", otherCA).pair()
	if _, err := handshake(s, &tls.Config{}); err == nil {
		t.Error("a client without certificate got in")
	}
	// Presented although the server does not ask for this authority.
	force := func(c tls.Certificate) *tls.Config {
		return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}
	}
	if _, err := handshake(s, force(stranger)); err == nil {
		t.Error("a client of another authority got in")
	}
	if _, err := handshake(s, force(good)); err != nil {
		t.Errorf("a good client was refused: %v", err)
	}
	// The authority is replaced: who was in is out.
	replace(t, caFile, otherCA.pem)
	if _, err := handshake(s, force(good)); err == nil {
		t.Error("a client of the replaced authority got in")
	}
	if _, err := handshake(s, force(stranger)); err != nil {
		t.Errorf("a client of the new authority was refused: %v", err)
	}
}

// Files that are bad from the start do not keep the server from starting, nor
// does it fall back to plain text; it begins to work when they are good. However
// often clients try, there is one complaint.
func TestTLSFilesBadAtStart(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	records := make(logs, 1000)
	s, err := NewServer(ServerConfig{Listen: []string{"127.0.0.1:0"}, TLSCertFile: certFile, TLSKeyFile: keyFile},
		Sources{Set: NewSet(), Health: healthy}, slog.New(records))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown(t.Context())
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelError {
		t.Errorf("first record %v, want an error", r)
	}
	for range 3 {
		if name, err := handshake(s, &tls.Config{}); err == nil {
			t.Errorf("handshake with %q without files", name)
		}
	}
	if r := records.next(t, slog.LevelInfo); r.Message != "serving metrics" {
		t.Errorf("second record %v, want serving metrics", r)
	}
	select {
	case r := <-records:
		if r.Level > slog.LevelDebug {
			t.Errorf("another record: %v", r)
		}
	default:
	}
	c := newCertificate(t, "late", nil)
	replace(t, certFile, c.pem)
	replace(t, keyFile, c.keyPEM(t))
	if name, err := handshake(s, &tls.Config{}); err != nil || name != "late" {
		t.Errorf("with files: %q, %v", name, err)
	}
}
