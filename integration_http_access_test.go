package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	a.pem, a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign completes and signs a certificate, with its own key if there is no
// authority yet.
func (a *authority) sign(template *x509.Certificate) (string, *x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), cert, key
}

// issue returns a certificate for 127.0.0.1, server or client, and its key.
func (a *authority) issue(name string) (certPEM, keyPEM string) {
	a.t.Helper()
	certPEM, _, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return certPEM, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// secureSite is the site for clients that trust server and, unless client is
// nil, have a certificate signed by it. Each request has a connection of its own.
func secureSite(t *testing.T, server, client *authority) *site {
	t.Helper()
	s := newSite(t, httpAddress)
	s.base = "https://" + httpAddress
	roots := x509.NewCertPool()
	roots.AddCert(server.cert)
	config := &tls.Config{RootCAs: roots}
	if client != nil {
		pair, err := tls.X509KeyPair(bytesOf(client.issue("client")))
		if err != nil {
			t.Fatal(err)
		}
		// Shown whatever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := s.client.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.DisableKeepAlives = config, true
	return s
}

func bytesOf(a, b string) ([]byte, []byte) { return []byte(a), []byte(b) }

// TestHTTPTLS serves HTTPS, takes over new certificates without a restart, keeps
// the old ones against broken files, and asks clients for theirs. A unix socket is
// guarded by its mode instead.
func TestHTTPTLS(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	file := func(name string) string { return filepath.Join(c.dir, name) }
	first, second, clients := newAuthority(t, "first"), newAuthority(t, "second"), newAuthority(t, "clients")
	install := func(a *authority) {
		t.Helper()
		cert, key := a.issue("switch")
		writeFile(t, file("key.pem"), key)
		writeFile(t, file("cert.pem"), cert)
	}
	install(first)
	settings := fmt.Sprintf("[metrics]\nlisten = [%q, %q]\ntls_cert_file = %q\ntls_key_file = %q\n",
		httpAddress, "unix:"+file("s"), file("cert.pem"), file("key.pem"))
	d := c.startWith(settings)

	secureSite(t, first, nil).await("/healthz", 200)
	newUnixSite(t, file("s")).await("/healthz", 200)
	if _, err := secureSite(t, second, nil).try("GET", "/healthz"); err == nil {
		t.Error("a client that does not know the authority was not warned")
	}
	if a, err := newSite(t, httpAddress).try("GET", "/metrics"); err == nil && a.code != http.StatusBadRequest {
		t.Errorf("plain HTTP on the TLS port: %d %q", a.code, a.body)
	}
	old := secureSite(t, first, nil)
	old.client.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
	old.client.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if _, err := old.try("GET", "/healthz"); err == nil {
		t.Error("TLS 1.1 was accepted")
	}

	install(second)
	secureSite(t, second, nil).await("/healthz", 200)
	n := c.logs.len()
	writeFile(t, file("cert.pem"), "broken")
	for range 3 {
		secureSite(t, second, nil).await("/healthz", 200)
	}
	c.awaitLog(n, patience, "cannot use TLS files", "cert.pem")
	if lines, _ := c.logs.from(n); len(lines) > 1 {
		t.Errorf("more than one line about a broken file: %s", lines)
	}
	install(first)
	secureSite(t, first, nil).await("/healthz", 200)

	d.signal(syscall.SIGTERM)
	d.wait(5 * time.Second)
	writeFile(t, file("ca.pem"), clients.pem)
	c.startWith(settings + fmt.Sprintf("tls_client_ca_file = %q\n", file("ca.pem")))
	secureSite(t, first, clients).await("/healthz", 200)
	for name, wrong := range map[string]*authority{"without a certificate": nil, "with one of another authority": second} {
		if a, err := secureSite(t, first, wrong).try("GET", "/healthz"); err == nil {
			t.Errorf("a client %s got in: %d %q", name, a.code, a.body)
		}
	}
	writeFile(t, file("ca.pem"), second.pem)
	secureSite(t, first, second).await("/healthz", 200)
	if _, err := secureSite(t, first, clients).try("GET", "/healthz"); err == nil {
		t.Error("a client got in whose authority is gone from the file")
	}
}

// TestHTTPCredentials asks for a bearer token or a password, changes both in the
// running daemon, and asks nobody who comes by the unix socket.
func TestHTTPCredentials(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	hash := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	socket := filepath.Join(c.dir, "s")
	listen := fmt.Sprintf("[metrics]\nlisten = [%q, %q]\n", httpAddress, "unix:"+socket)
	d := c.startWith(listen + fmt.Sprintf("bearer_token_sha256 = %q\nbasic_username = \"admin\"\nbasic_password_sha256 = %q\n",
		hash("token"), hash("password")))
	s := newSite(t, httpAddress)
	check := func(code int, headers ...string) {
		t.Helper()
		for _, path := range []string{"/metrics", "/metrics.json", "/healthz", "/readyz", "/ports", "/status", "/"} {
			a := s.ask("GET", path, headers...)
			if a.code != code {
				t.Errorf("GET %s %q: %d, want %d", path, headers, a.code, code)
			}
			if challenges := fmt.Sprint(a.header["Www-Authenticate"]); a.code == 401 &&
				(!strings.Contains(challenges, "Bearer ") || !strings.Contains(challenges, "Basic ")) {
				t.Errorf("GET %s: challenges %s, want Bearer and Basic", path, challenges)
			}
		}
	}
	const basic = "Authorization: Basic "
	check(401)
	check(200, "Authorization: Bearer token")
	check(200, "Authorization: bearer token")
	check(200, basic+"YWRtaW46cGFzc3dvcmQ=") // admin:password
	check(401, basic+"YWRtaW46dG9rZW4=")     // admin:token
	check(401, basic+"cm9vdDpwYXNzd29yZA==") // root:password
	check(401, "Authorization: Bearer "+hash("token"))
	check(401, "Authorization: Bearer password")
	check(401, "Authorization: Bearer")
	if a := s.ask("POST", "/nothing"); a.code != 401 {
		t.Errorf("what exists shows without credentials: %d", a.code)
	}
	newUnixSite(t, socket).await("/metrics", 200)

	c.reload(d, listen+fmt.Sprintf("bearer_token_sha256 = %q\n", hash("other")))
	if a := s.ask("GET", "/metrics", "Authorization: Bearer other"); a.code != 200 {
		t.Errorf("the new token: %d", a.code)
	}
	for _, gone := range []string{"Authorization: Bearer token", basic + "YWRtaW46cGFzc3dvcmQ="} {
		if a := s.ask("GET", "/metrics", gone); a.code != 401 {
			t.Errorf("%q after the change: %d", gone, a.code)
		}
	}
	e := newUnixSite(t, socket).scrape()
	for _, path := range []string{"/metrics", "other"} {
		if v := e.value(t, fmt.Sprintf(`portsyncd_http_requests_total{path=%q,code="401"}`, path)); v == 0 {
			t.Errorf("refusals for %s are not counted", path)
		}
	}
}

// TestHTTPProfiling serves profiles where that is configured and local, and
// nowhere else.
func TestHTTPProfiling(t *testing.T) {
	alongside(t)
	for _, p := range []struct {
		name, settings string
		code           int
	}{
		{"local", "listen = \"" + httpAddress + "\"\nprofiling = true", 200},
		{"open", "listen = \":9101\"\nprofiling = true", 404},
		{"off", "listen = \"" + httpAddress + "\"\nprofiling = false", 404},
	} {
		t.Run(p.name, func(t *testing.T) {
			c := newCell(t)
			if c == nil {
				return
			}
			c.startWith("[metrics]\n" + p.settings + "\n")
			s := newSite(t, httpAddress)
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1"} {
				if a := s.ask("GET", path); a.code != p.code {
					t.Errorf("GET %s: %d %.100q, want %d", path, a.code, a.body, p.code)
				}
			}
			s.await("/metrics", 200)
		})
	}
}
