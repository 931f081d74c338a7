package http

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestHTTPTLS serves HTTPS, takes over new certificates without a restart, keeps
// the old ones against broken files, and asks clients for theirs. A unix socket is
// guarded by its mode instead.
func TestHTTPTLS(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	file := func(name string) string { return filepath.Join(c.Dir, name) }
	first, second, clients := switchtest.NewAuthority(t, "first"), switchtest.NewAuthority(t, "second"), switchtest.NewAuthority(t, "clients")
	install := func(a *switchtest.Authority) {
		t.Helper()
		cert, key := a.Issue("switch")
		switchtest.WriteFile(t, file("key.pem"), key)
		switchtest.WriteFile(t, file("cert.pem"), cert)
	}
	install(first)
	settings := fmt.Sprintf("[metrics]\nlisten = [%q, %q]\ntls_cert_file = %q\ntls_key_file = %q\n",
		switchtest.HttpAddress, "unix:"+file("s"), file("cert.pem"), file("key.pem"))
	d := c.StartWith(settings)

	switchtest.SecureSite(t, first, nil).Await("/healthz", 200)
	switchtest.NewUnixSite(t, file("s")).Await("/healthz", 200)
	if _, err := switchtest.SecureSite(t, second, nil).Try("GET", "/healthz"); err == nil {
		t.Error("a client that does not know the authority was not warned")
	}
	if a, err := switchtest.NewSite(t, switchtest.HttpAddress).Try("GET", "/metrics"); err == nil && a.Code != http.StatusBadRequest {
		t.Errorf("plain HTTP on the TLS port: %d %q", a.Code, a.Body)
	}
	old := switchtest.SecureSite(t, first, nil)
	old.Client.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
	old.Client.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if _, err := old.Try("GET", "/healthz"); err == nil {
		t.Error("TLS 1.1 was accepted")
	}

	install(second)
	switchtest.SecureSite(t, second, nil).Await("/healthz", 200)
	n := c.Logs.Len()
	switchtest.WriteFile(t, file("cert.pem"), "broken")
	for range 3 {
		switchtest.SecureSite(t, second, nil).Await("/healthz", 200)
	}
	c.AwaitLog(n, switchtest.Patience, "cannot use TLS files", "cert.pem")
	if lines, _ := c.Logs.From(n); len(lines) > 1 {
		t.Errorf("more than one line about a broken file: %s", lines)
	}
	install(first)
	switchtest.SecureSite(t, first, nil).Await("/healthz", 200)

	d.Signal(syscall.SIGTERM)
	d.Wait(5 * time.Second)
	switchtest.WriteFile(t, file("ca.pem"), clients.Pem)
	c.StartWith(settings + fmt.Sprintf("tls_client_ca_file = %q\n", file("ca.pem")))
	switchtest.SecureSite(t, first, clients).Await("/healthz", 200)
	for name, wrong := range map[string]*switchtest.Authority{"without a certificate": nil, "with one of another authority": second} {
		if a, err := switchtest.SecureSite(t, first, wrong).Try("GET", "/healthz"); err == nil {
			t.Errorf("a client %s got in: %d %q", name, a.Code, a.Body)
		}
	}
	switchtest.WriteFile(t, file("ca.pem"), second.Pem)
	switchtest.SecureSite(t, first, second).Await("/healthz", 200)
	if _, err := switchtest.SecureSite(t, first, clients).Try("GET", "/healthz"); err == nil {
		t.Error("a client got in whose authority is gone from the file")
	}
}

// TestHTTPCredentials asks for a bearer token or a password, changes both in the
// running daemon, and asks nobody who comes by the unix socket.
func TestHTTPCredentials(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	hash := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	socket := filepath.Join(c.Dir, "s")
	listen := fmt.Sprintf("[metrics]\nlisten = [%q, %q]\n", switchtest.HttpAddress, "unix:"+socket)
	d := c.StartWith(listen + fmt.Sprintf("bearer_token_sha256 = %q\nbasic_username = \"admin\"\nbasic_password_sha256 = %q\n",
		hash("token"), hash("password")))
	s := switchtest.NewSite(t, switchtest.HttpAddress)
	check := func(code int, headers ...string) {
		t.Helper()
		for _, path := range []string{"/metrics", "/metrics.json", "/healthz", "/readyz", "/ports", "/status", "/"} {
			a := s.Ask("GET", path, headers...)
			if a.Code != code {
				t.Errorf("GET %s %q: %d, want %d", path, headers, a.Code, code)
			}
			if challenges := fmt.Sprint(a.Header["Www-Authenticate"]); a.Code == 401 &&
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
	if a := s.Ask("POST", "/nothing"); a.Code != 401 {
		t.Errorf("what exists shows without credentials: %d", a.Code)
	}
	switchtest.NewUnixSite(t, socket).Await("/metrics", 200)

	c.Reload(d, listen+fmt.Sprintf("bearer_token_sha256 = %q\n", hash("other")))
	if a := s.Ask("GET", "/metrics", "Authorization: Bearer other"); a.Code != 200 {
		t.Errorf("the new token: %d", a.Code)
	}
	for _, gone := range []string{"Authorization: Bearer token", basic + "YWRtaW46cGFzc3dvcmQ="} {
		if a := s.Ask("GET", "/metrics", gone); a.Code != 401 {
			t.Errorf("%q after the change: %d", gone, a.Code)
		}
	}
	e := switchtest.NewUnixSite(t, socket).Scrape()
	for _, path := range []string{"/metrics", "other"} {
		if v := e.Value(t, fmt.Sprintf(`portsyncd_http_requests_total{path=%q,code="401"}`, path)); v == 0 {
			t.Errorf("refusals for %s are not counted", path)
		}
	}
}

// TestHTTPProfiling serves profiles where that is configured and local, and
// nowhere else.
func TestHTTPProfiling(t *testing.T) {
	switchtest.Alongside(t)
	for _, p := range []struct {
		name, settings string
		code           int
	}{
		{"local", "listen = \"" + switchtest.HttpAddress + "\"\nprofiling = true", 200},
		{"open", "listen = \":9101\"\nprofiling = true", 404},
		{"off", "listen = \"" + switchtest.HttpAddress + "\"\nprofiling = false", 404},
	} {
		t.Run(p.name, func(t *testing.T) {
			c := switchtest.NewCell(t)
			if c == nil {
				return
			}
			c.StartWith("[metrics]\n" + p.settings + "\n")
			s := switchtest.NewSite(t, switchtest.HttpAddress)
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1"} {
				if a := s.Ask("GET", path); a.Code != p.code {
					t.Errorf("GET %s: %d %.100q, want %d", path, a.Code, a.Body, p.code)
				}
			}
			s.Await("/metrics", 200)
		})
	}
}
