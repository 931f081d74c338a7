package metrics

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Credentials are what a client must send: a bearer token, or a user name and password. If both are
// set, either is accepted. If neither is set, no credentials are needed. Secrets are configured as
// SHA-256 in hexadecimal, as printed by
//
//	printf %s "$TOKEN" | sha256sum
//
// An unsalted hash protects only secrets that are long and random.
type Credentials struct {
	BearerSHA256 string // of the token
	BasicUser    string
	BasicSHA256  string // of the password
}

// authenticator checks the credentials of requests.
type authenticator struct {
	bearer   []byte // SHA-256 of the token; nil if bearer tokens are not accepted
	user     []byte // SHA-256 of the name; nil if passwords are not accepted
	password []byte
}

func newAuthenticator(c Credentials) (authenticator, error) {
	var a authenticator
	var err error
	if a.bearer, err = parseDigest(c.BearerSHA256); err != nil {
		return a, fmt.Errorf("bearer token: %w", err)
	}
	if a.password, err = parseDigest(c.BasicSHA256); err != nil {
		return a, fmt.Errorf("basic password: %w", err)
	}
	if (c.BasicUser == "") != (c.BasicSHA256 == "") {
		return a, errors.New("basic credentials need both a user name and a password hash")
	}
	if strings.Contains(c.BasicUser, ":") {
		return a, errors.New("basic user name: want no colon (RFC 7617, section 2)")
	}
	if c.BasicUser != "" {
		a.user = digest(c.BasicUser)
	}
	return a, nil
}

// parseDigest parses 64 hexadecimal digits; "" is nil. Its error does not repeat s, which may be
// the secret itself.
func parseDigest(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	d, err := hex.DecodeString(s)
	if err != nil || len(d) != sha256.Size {
		return nil, errors.New("want a SHA-256 as 64 hex digits")
	}
	return d, nil
}

func digest(s string) []byte {
	d := sha256.Sum256([]byte(s))
	return d[:]
}

// needed reports whether credentials are configured.
func (a *authenticator) needed() bool { return a.bearer != nil || a.user != nil }

// allows reports whether r has valid credentials, or none are needed. It compares digests in
// constant time, so that its timing reveals nothing about a secret.
func (a *authenticator) allows(r *http.Request) bool {
	if !a.needed() {
		return true
	}
	header := r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return a.bearer != nil && subtle.ConstantTimeCompare(digest(token), a.bearer) == 1
	}
	if user, password, ok := r.BasicAuth(); ok && a.user != nil {
		sameUser := subtle.ConstantTimeCompare(digest(user), a.user)
		samePassword := subtle.ConstantTimeCompare(digest(password), a.password)
		return sameUser&samePassword == 1
	}
	return false
}

// challenge sets the headers that a response with status 401 must have (RFC 9110, section 11.6.1).
func (a *authenticator) challenge(h http.Header) {
	if a.bearer != nil {
		h.Add("WWW-Authenticate", `Bearer realm="portsyncd"`)
	}
	if a.user != nil {
		h.Add("WWW-Authenticate", `Basic realm="portsyncd", charset="UTF-8"`)
	}
}
