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

	"portsyncd/internal/switchtest"
)

// TestHTTPTLS checks that the daemon serves HTTPS, loads new certificates without a restart, keeps
// the old ones if the new files are broken, and asks clients for certificates. A unix socket is
// protected by its mode instead.
func TestHTTPTLS(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	file := func(name string) string { return filepath.Join(sw.Dir, name) }
	first, second, clients := switchtest.NewAuthority(t, "first"), switchtest.NewAuthority(t, "second"), switchtest.NewAuthority(t, "clients")
	install := func(a *switchtest.Authority) {
		t.Helper()
		cert, key := a.Issue("switch")
		switchtest.WriteFile(t, file("key.pem"), key)
		switchtest.WriteFile(t, file("cert.pem"), cert)
	}
	install(first)
	settings := fmt.Sprintf("[metrics]\nlisten = [%q, %q]\ntls_cert_file = %q\ntls_key_file = %q\n",
		switchtest.HTTPAddress, "unix:"+file("s"), file("cert.pem"), file("key.pem"))
	d := sw.StartWith(settings)

	switchtest.NewTLSClient(t, first, nil).AwaitCode("/healthz", 200)
	switchtest.NewUnixClient(t, file("s")).AwaitCode("/healthz", 200)
	if _, err := switchtest.NewTLSClient(t, second, nil).TryRequest("GET", "/healthz"); err == nil {
		t.Error("a client that does not know the authority was not warned")
	}
	if a, err := switchtest.NewClient(t, switchtest.HTTPAddress).TryRequest("GET", "/metrics"); err == nil && a.Code != http.StatusBadRequest {
		t.Errorf("plain HTTP on the TLS port: %d %q", a.Code, a.Body)
	}
	old := switchtest.NewTLSClient(t, first, nil)
	old.HTTP.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
	old.HTTP.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if _, err := old.TryRequest("GET", "/healthz"); err == nil {
		t.Error("TLS 1.1 was accepted")
	}

	install(second)
	switchtest.NewTLSClient(t, second, nil).AwaitCode("/healthz", 200)
	n := sw.Logs.Len()
	switchtest.WriteFile(t, file("cert.pem"), "broken")
	for range 3 {
		switchtest.NewTLSClient(t, second, nil).AwaitCode("/healthz", 200)
	}
	sw.AwaitLog(n, switchtest.Timeout, "cannot load TLS files", "cert.pem")
	broken := 0
	lines, _ := sw.Logs.From(n)
	for _, l := range lines {
		broken += switchtest.BoolToInt(l.Has("cannot load TLS files"))
	}
	if broken != 1 {
		t.Errorf("%d lines about a broken file, want one: %s", broken, lines)
	}
	install(first)
	switchtest.NewTLSClient(t, first, nil).AwaitCode("/healthz", 200)

	d.Signal(syscall.SIGTERM)
	d.Wait(switchtest.ExitTimeout)
	switchtest.WriteFile(t, file("ca.pem"), clients.PEM)
	sw.StartWith(settings + fmt.Sprintf("tls_client_ca_file = %q\n", file("ca.pem")))
	switchtest.NewTLSClient(t, first, clients).AwaitCode("/healthz", 200)
	for name, wrong := range map[string]*switchtest.Authority{"without a certificate": nil, "with one of another authority": second} {
		if a, err := switchtest.NewTLSClient(t, first, wrong).TryRequest("GET", "/healthz"); err == nil {
			t.Errorf("a client %s was accepted: %d %q", name, a.Code, a.Body)
		}
	}
	switchtest.WriteFile(t, file("ca.pem"), second.PEM)
	switchtest.NewTLSClient(t, first, second).AwaitCode("/healthz", 200)
	if _, err := switchtest.NewTLSClient(t, first, clients).TryRequest("GET", "/healthz"); err == nil {
		t.Error("a client was accepted whose authority was removed from the file")
	}
}

// TestHTTPCredentials checks bearer token and password, changes both while the daemon runs, and
// checks that a unix socket needs neither.
func TestHTTPCredentials(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	hash := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	socket := filepath.Join(sw.Dir, "s")
	listen := fmt.Sprintf("[metrics]\nlisten = [%q, %q]\n", switchtest.HTTPAddress, "unix:"+socket)
	sw.ConfigurePorts(1)
	d := sw.StartWith(listen + fmt.Sprintf("bearer_token_sha256 = %q\nbasic_username = \"admin\"\nbasic_password_sha256 = %q\n",
		hash("token"), hash("password")))
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	check := func(code int, headers ...string) {
		t.Helper()
		for _, path := range []string{"/metrics", "/metrics.json", "/healthz", "/readyz", "/ports", "/status", "/events", "/", "/ports/Ethernet0"} {
			a := client.Request("GET", path, headers...)
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
	if a := client.Request("POST", "/nothing"); a.Code != 401 {
		t.Errorf("paths are distinguishable without credentials: status %d", a.Code)
	}
	switchtest.NewUnixClient(t, socket).AwaitCode("/metrics", 200)

	sw.ReloadWith(d, listen+fmt.Sprintf("bearer_token_sha256 = %q\n", hash("other")))
	if a := client.Request("GET", "/metrics", "Authorization: Bearer other"); a.Code != 200 {
		t.Errorf("the new token: %d", a.Code)
	}
	for _, gone := range []string{"Authorization: Bearer token", basic + "YWRtaW46cGFzc3dvcmQ="} {
		if a := client.Request("GET", "/metrics", gone); a.Code != 401 {
			t.Errorf("%q after the change: %d", gone, a.Code)
		}
	}
	e := switchtest.NewUnixClient(t, socket).Scrape()
	for _, path := range []string{"/metrics", "other"} {
		if v := e.Value(t, fmt.Sprintf(`portsyncd_http_requests_total{path=%q,code="401"}`, path)); v == 0 {
			t.Errorf("rejected requests for %s are not counted", path)
		}
	}
}

// TestHTTPProfiling checks that profiles are served only where they are configured and the
// listener is local.
func TestHTTPProfiling(t *testing.T) {
	switchtest.Parallel(t)
	for _, p := range []struct {
		name, settings string
		code           int
	}{
		{"local", "listen = \"" + switchtest.HTTPAddress + "\"\nprofiling = true", 200},
		{"open", "listen = \":9101\"\nprofiling = true", 404},
		{"off", "listen = \"" + switchtest.HTTPAddress + "\"\nprofiling = false", 404},
	} {
		t.Run(p.name, func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.StartWith("[metrics]\n" + p.settings + "\n")
			client := switchtest.NewClient(t, switchtest.HTTPAddress)
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1"} {
				if a := client.Request("GET", path); a.Code != p.code {
					t.Errorf("GET %s: %d %.100q, want %d", path, a.Code, a.Body, p.code)
				}
			}
			client.AwaitCode("/metrics", 200)
		})
	}
}
