package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"portsyncd/config"
	"portsyncd/internal/transport"
)

// credentials are what a daemon may ask for on TCP.
type credentials struct {
	token          string // bearer, RFC 6750
	user, password string // basic, RFC 7617
}

func (c *credentials) any() bool { return c.token != "" || c.user != "" }

// Add puts the credentials into a request.
func (c *credentials) add(r *http.Request) {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
}

// access is how a daemon is to be reached, apart from the address.
type access struct {
	credentials
	pinned []*x509.Certificate // believed as they are, whatever name is in them
	unread error               // why there are none
	roots  *x509.CertPool      // nil: those of the system
	client *tls.Certificate    // shown to a daemon that asks for one
	device string              // that the daemon's listeners are bound to
}

// Where secrets come from: a command line can be read by every user of a
// machine.
const (
	tokenVariable    = "PORTSYNCD_TOKEN"
	passwordVariable = "PORTSYNCD_PASSWORD"
)

// newAccess puts together what the options, the environment and the
// configuration say.
func newAccess(o *statusOptions, m *config.Metrics) (*access, error) {
	a := &access{device: m.Device}
	if err := a.takeCredentials(o, m); err != nil {
		return nil, err
	}
	if m.TLSCertFile != "" {
		a.pinned, a.unread = readCertificates(m.TLSCertFile)
	}
	if o.ca != "" {
		text, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		if a.roots, err = transport.ParseCertPool(text); err != nil {
			return nil, fmt.Errorf("--ca %q: %w", o.ca, err)
		}
	}
	if (o.cert == "") != (o.key == "") {
		return nil, errors.New("--cert and --key: expected both or none")
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w", err)
		}
		a.client = &pair
	}
	return a, nil
}

func (a *access) takeCredentials(o *statusOptions, m *config.Metrics) error {
	a.token = os.Getenv(tokenVariable)
	if o.tokenFile != "" {
		text, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		a.token = strings.TrimSpace(string(text))
		if a.token == "" {
			return fmt.Errorf("--token-file: %q is empty, expected a token", o.tokenFile)
		}
	}
	a.user, a.password = o.user, os.Getenv(passwordVariable)
	switch {
	case a.user != "" && a.password == "":
		return fmt.Errorf("--user %q: expected the password in %s", a.user, passwordVariable)
	case a.user == "" && a.password != "":
		a.user = m.BasicUsername
	}
	return nil
}

// errNotBelieved means that the daemon's certificate is none that we trust.
var errNotBelieved = errors.New("its certificate is not to be trusted")

// tls is the configuration for talking to a host. Its certificate is good if it
// is one of the pinned, or else if an authority vouches for it and the name.
func (a *access) tls(host string) *tls.Config {
	c := transport.TLSConfig()
	c.InsecureSkipVerify = true // VerifyConnection verifies instead
	c.VerifyConnection = func(cs tls.ConnectionState) error { return a.verify(cs.PeerCertificates, host) }
	// The client certificate is sent whatever authorities the daemon names, so that the daemon
	// can say why it refuses the certificate.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if a.client == nil {
			return new(tls.Certificate), nil
		}
		return a.client, nil
	}
	return c
}

func (a *access) verify(chain []*x509.Certificate, host string) error {
	leaf := chain[0]
	if slices.ContainsFunc(a.pinned, leaf.Equal) {
		return nil
	}
	o := x509.VerifyOptions{Roots: a.roots, DNSName: host, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(o); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errNotBelieved, err), a.unread)
	}
	return nil
}

// readCertificates reads the certificates of a PEM file, one at least.
func readCertificates(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := transport.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	return certs, nil
}
