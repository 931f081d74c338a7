package security

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// runClient runs a client and returns its output.
func runClient(name string, args ...string) string {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%s: %v\n", out, name, err)
	}
	return string(out)
}

// TestHeadersByCurl requests each page with curl and checks the headers for browsers: no content
// sniffing, no caching, no content from other sites, no framing.
func TestHeadersByCurl(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	switchtest.RequireCommand(t, "curl")
	sw.ConfigurePorts(1)
	sw.StartWith("")
	switchtest.NewClient(t, switchtest.HTTPAddress).AwaitCode("/healthz", http.StatusOK)
	for _, path := range []string{"/", "/metrics", "/metrics.json", "/healthz", "/readyz", "/ports", "/events", "/absent"} {
		got := strings.ToLower(runClient("curl", "--silent", "--show-error", "--head", "http://"+switchtest.HTTPAddress+path))
		want := []string{"x-content-type-options: nosniff\r\n", "cache-control: no-store\r\n"}
		if path == "/" {
			want = append(want, "content-security-policy: default-src 'none'")
		}
		for _, header := range want {
			if !strings.Contains(got, header) {
				t.Errorf("%s: no %q in %q", path, header, got)
			}
		}
		for _, unwanted := range []string{"\r\nserver:", "x-powered-by", "set-cookie", "access-control-allow-origin", "unsafe-eval"} {
			if strings.Contains(got, unwanted) {
				t.Errorf("%s: %q in %q", path, unwanted, got)
			}
		}
	}
}

// TestTLSByOpenssl tries each version of TLS and old ciphers with OpenSSL's client, and checks the
// certificate with curl.
func TestTLSByOpenssl(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	switchtest.RequireCommand(t, "openssl")
	switchtest.RequireCommand(t, "curl")
	file := func(name string) string { return filepath.Join(sw.Dir, name) }
	a := switchtest.NewAuthority(t, "authority")
	cert, key := a.Issue("switch")
	for name, text := range map[string]string{"cert.pem": cert, "key.pem": key, "ca.pem": a.PEM} {
		switchtest.WriteFile(t, file(name), text)
	}
	sw.ConfigurePorts(1)
	sw.StartWith(fmt.Sprintf("[metrics]\ntls_cert_file = %q\ntls_key_file = %q\n", file("cert.pem"), file("key.pem")))
	switchtest.NewTLSClient(t, a, nil).AwaitCode("/healthz", http.StatusOK)

	const good = "Verify return code: 0 (ok)"
	for _, try := range []struct {
		name string
		args []string
		want string // "" if the server is to refuse
	}{
		{"TLS 1.0", []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, ""},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, ""},
		{"TLS 1.2", []string{"-tls1_2"}, "Protocol  : TLSv1.2"},
		{"TLS 1.3", []string{"-tls1_3"}, "New, TLSv1.3"},
		{"without forward secrecy", []string{"-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256"}, ""},
		{"with CBC", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA256"}, ""},
		{"without encryption", []string{"-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"}, ""},
		{"without authentication", []string{"-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"}, ""},
		{"renegotiation", []string{"-tls1_2"}, "Secure Renegotiation IS supported"},
		{"compression", []string{"-tls1_2", "-comp"}, "Compression: NONE"},
	} {
		got := runClient("openssl", append([]string{"s_client", "-connect", switchtest.HTTPAddress, "-CAfile", file("ca.pem")}, try.args...)...)
		switch connected := strings.Contains(got, good) && !strings.Contains(got, "Cipher is (NONE)"); {
		case try.want == "" && connected:
			t.Errorf("%s: the server accepts it: %s", try.name, got)
		case try.want != "" && (!connected || !strings.Contains(got, try.want)):
			t.Errorf("%s: no %q in %s", try.name, try.want, got)
		}
	}
	if got := runClient("curl", "--silent", "--show-error", "--cacert", file("ca.pem"), "https://"+switchtest.HTTPAddress+"/readyz"); got != "ready\n" {
		t.Errorf("curl with the authority: %s", got)
	}
	if got := runClient("curl", "--silent", "--show-error", "https://"+switchtest.HTTPAddress+"/readyz"); !strings.Contains(got, "SSL certificate problem") {
		t.Errorf("curl without the authority: %s", got)
	}
	if got := runClient("curl", "--silent", "--show-error", "http://"+switchtest.HTTPAddress+"/readyz"); strings.Contains(got, "ready\n") {
		t.Errorf("curl without TLS: %s", got)
	}
}
