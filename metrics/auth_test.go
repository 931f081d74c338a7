package metrics

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func hashOf(secret string) string { return fmt.Sprintf("%x", digest(secret)) }

// TestCredentials checks which Authorization headers are accepted.
func TestCredentials(t *testing.T) {
	bearer := Credentials{BearerSHA256: hashOf("t0ken")}
	basic := Credentials{BasicUser: "prom", BasicSHA256: strings.ToUpper(hashOf("pass:word"))}
	both := Credentials{bearer.BearerSHA256, basic.BasicUser, basic.BasicSHA256}
	const basicGood = "Basic cHJvbTpwYXNzOndvcmQ=" // prom:pass:word
	tests := []struct {
		name   string
		want   Credentials
		header string
		ok     bool
	}{
		{"no credentials configured", Credentials{}, "", true},
		{"no credentials configured, header sent", Credentials{}, "Bearer x", true},
		{"no header", both, "", false},
		{"bearer", bearer, "Bearer t0ken", true},
		{"bearer, lower case", bearer, "bearer t0ken", true},
		{"bearer, wrong", bearer, "Bearer t0ke", false},
		{"bearer, the hash itself", bearer, "Bearer " + hashOf("t0ken"), false},
		{"bearer, empty", bearer, "Bearer ", false},
		{"bearer, no token", bearer, "Bearer", false},
		{"bearer, but basic is configured", basic, "Bearer t0ken", false},
		{"basic", basic, basicGood, true},
		{"basic, wrong user", basic, "Basic cHJvbjpwYXNzOndvcmQ=", false},
		{"basic, wrong password", basic, "Basic cHJvbTpwYXNzOndvcms=", false},
		{"basic, not base64", basic, "Basic !!!!", false},
		{"basic, but bearer is configured", bearer, basicGood, false},
		{"either, by bearer", both, "Bearer t0ken", true},
		{"either, by basic", both, basicGood, true},
		{"other scheme", both, "Digest t0ken", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := newAuthenticator(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Header: http.Header{}}
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			if got := a.allows(r); got != tt.ok {
				t.Errorf("allows %q: %v, want %v", tt.header, got, tt.ok)
			}
		})
	}
}

// TestBadCredentials checks the errors for invalid credentials, which must not contain a secret.
func TestBadCredentials(t *testing.T) {
	f := func(c Credentials, want string) {
		t.Helper()
		_, err := newAuthenticator(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", c, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error repeats a secret: %v", err)
		}
	}
	f(Credentials{BearerSHA256: "s3cret"}, "invalid bearer token hash: must be a SHA-256 as 64 hex digits")
	f(Credentials{BearerSHA256: hashOf("x")[2:]}, "64 hex digits")
	f(Credentials{BasicUser: "a", BasicSHA256: "s3cret"}, "invalid basic password hash: must be")
	f(Credentials{BasicUser: "a"}, "both a user name and a password hash")
	f(Credentials{BasicSHA256: hashOf("x")}, "both a user name and a password hash")
	f(Credentials{BasicUser: "a:b", BasicSHA256: hashOf("x")}, "must not contain a colon")
}

// TestUnauthorized checks the 401 response, access over a unix socket without credentials, and
// changes of the credentials while the server runs.
func TestUnauthorized(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	creds := Credentials{hashOf("t"), "u", hashOf("p")}
	s, base := startServer(t, ServerConfig{
		Listen: []Endpoint{{"tcp", "127.0.0.1:0"}, {"unix", socket}},
		Live:   Live{Credentials: creds},
	}, Sources{Health: healthy})

	for _, path := range []string{"/metrics", "/healthz", "/nothing"} {
		resp, _ := fetch(t, "GET", base+path)
		want := []string{`Bearer realm="portsyncd"`, `Basic realm="portsyncd", charset="UTF-8"`}
		if got := resp.Header["Www-Authenticate"]; resp.StatusCode != 401 || !slices.Equal(got, want) {
			t.Errorf("%s: status %d, WWW-Authenticate %q; want 401 and %q", path, resp.StatusCode, got, want)
		}
	}
	if resp, _ := fetch(t, "GET", base+"/healthz", "Authorization: Bearer t"); resp.StatusCode != 200 {
		t.Errorf("with the token: status %d", resp.StatusCode)
	}

	overUnix := unixTransport(socket)
	if resp, _ := fetchWith(t, overUnix, "GET", "http://unix/healthz"); resp.StatusCode != 200 {
		t.Errorf("over the unix socket: status %d", resp.StatusCode)
	}

	// An invalid change has no effect; a valid one applies from the next request.
	if err := s.Reconfigure(Live{Credentials: Credentials{BearerSHA256: "x"}}); err == nil {
		t.Error("Reconfigure accepted invalid credentials")
	}
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 401 {
		t.Errorf("after an invalid change: status %d, want 401", resp.StatusCode)
	}
	if err := s.Reconfigure(Live{}); err != nil {
		t.Fatal(err)
	}
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("after credentials were removed: status %d, want 200", resp.StatusCode)
	}
}
