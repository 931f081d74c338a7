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

// Credentials are the credentials that clients must send: a bearer token, or a user name and a
// password. If both are set, either is accepted. If neither is set, no credentials are required.
// Secrets are configured as SHA-256 in hexadecimal, as printed by
//
//	printf %s "$TOKEN" | sha256sum
//
// Credentials holds unsalted hashes, which protect a secret only if the secret is long and random.
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
		return a, fmt.Errorf("invalid bearer token hash: %w", err)
	}
	if a.password, err = parseDigest(c.BasicSHA256); err != nil {
		return a, fmt.Errorf("invalid basic password hash: %w", err)
	}
	if (c.BasicUser == "") != (c.BasicSHA256 == "") {
		return a, errors.New("basic credentials require both a user name and a password hash")
	}
	if strings.Contains(c.BasicUser, ":") {
		return a, errors.New("invalid basic user name: must not contain a colon (RFC 7617, section 2)")
	}
	if c.BasicUser != "" {
		a.user = digest(c.BasicUser)
	}
	return a, nil
}

// parseDigest parses 64 hexadecimal digits. For "" it returns nil. Its error does not contain s,
// which may mistakenly be the secret itself.
func parseDigest(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	d, err := hex.DecodeString(s)
	if err != nil || len(d) != sha256.Size {
		return nil, errors.New("must be a SHA-256 as 64 hex digits")
	}
	return d, nil
}

func digest(s string) []byte {
	d := sha256.Sum256([]byte(s))
	return d[:]
}

// needed reports whether credentials are required.
func (a *authenticator) needed() bool { return a.bearer != nil || a.user != nil }

// allows reports whether r has valid credentials or no credentials are required. It compares
// digests in constant time, so that the timing reveals nothing about a secret.
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

// challenge sets the headers that are required in a response with status 401 (RFC 9110, section
// 11.6.1).
func (a *authenticator) challenge(h http.Header) {
	if a.bearer != nil {
		h.Add("WWW-Authenticate", `Bearer realm="portsyncd"`)
	}
	if a.user != nil {
		h.Add("WWW-Authenticate", `Basic realm="portsyncd", charset="UTF-8"`)
	}
}
