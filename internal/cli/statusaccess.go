package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"portsyncd/config"
	"portsyncd/internal/smallfile"
	"portsyncd/internal/transport"
)

// credentials holds the token, or the user name and password, that are sent with requests over TCP.
type credentials struct {
	token          string // bearer token, RFC 6750
	user, password string // basic authentication, RFC 7617
}

func (c *credentials) any() bool { return c.token != "" || c.user != "" }

// add sets the Authorization header of a request.
func (c *credentials) add(r *http.Request) {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
}

// clientOptions holds the connection options that the status and events commands share.
type clientOptions struct {
	config    configFlag
	address   string
	ca        string
	cert, key string
	tokenFile string
	user      string
}

// flags adds the options to f.
func (o *clientOptions) flags(f *flag.FlagSet) {
	f.Var(&o.config, "c", "")
	f.StringVar(&o.address, "address", "", "")
	f.StringVar(&o.ca, "ca", "", "")
	f.StringVar(&o.cert, "cert", "", "")
	f.StringVar(&o.key, "key", "", "")
	f.StringVar(&o.tokenFile, "token-file", "", "")
	f.StringVar(&o.user, "user", "", "")
}

// access holds the TLS settings and credentials for connections to a daemon.
type access struct {
	credentials
	pinned    []*x509.Certificate // trusted daemon certificates, regardless of their host names
	pinnedErr error               // error from reading pinned
	roots     *x509.CertPool      // trusted certificate authorities; nil: those of the system
	client    *tls.Certificate    // client certificate; nil: none
	device    string              // network device to connect through; "": any
}

// Environment variables for secrets. Secrets are not accepted on the command line, which is visible
// to all users of a host.
const (
	tokenVariable    = "PORTSYNCD_TOKEN"
	passwordVariable = "PORTSYNCD_PASSWORD"
)

// newAccess combines the options, the environment and the configuration. It reads the files that
// they name.
func newAccess(o *clientOptions, m *config.Metrics) (*access, error) {
	a := &access{device: m.Device}
	if err := a.setCredentials(o, m); err != nil {
		return nil, err
	}
	if m.TLSCertFile != "" {
		a.pinned, a.pinnedErr = readCertificates(m.TLSCertFile)
	}
	if o.ca != "" {
		text, err := readSmall(o.ca)
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
		if a.roots, err = transport.ParseCertPool(text); err != nil {
			return nil, fmt.Errorf("--ca %q: %w", o.ca, err)
		}
	}
	if (o.cert == "") != (o.key == "") {
		return nil, errors.New("--cert and --key: expected both or none")
	}
	if o.cert != "" {
		pair, err := loadKeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("load --cert and --key: %w", err)
		}
		a.client = &pair
	}
	return a, nil
}

// setCredentials sets the token and the user name and password.
func (a *access) setCredentials(o *clientOptions, m *config.Metrics) error {
	a.token = os.Getenv(tokenVariable)
	if o.tokenFile != "" {
		text, err := readSmall(o.tokenFile)
		if err != nil {
			return fmt.Errorf("read --token-file: %w", err)
		}
		a.token = strings.TrimSpace(string(text))
		if a.token == "" {
			return fmt.Errorf("--token-file %q: file is empty, must contain a token", o.tokenFile)
		}
	}
	a.user, a.password = o.user, os.Getenv(passwordVariable)
	switch {
	case a.user != "" && a.password == "":
		return fmt.Errorf("--user %q: set the password in the environment variable %s", a.user, passwordVariable)
	case a.user == "" && a.password != "":
		a.user = m.BasicUsername
	}
	return nil
}

// errUntrusted is returned if the daemon's certificate is not trusted.
var errUntrusted = errors.New("certificate not trusted")

// tls returns the TLS configuration for connections to a host. A certificate is trusted if it is
// pinned, or if it is valid for the host and signed by a trusted authority.
func (a *access) tls(host string) *tls.Config {
	c := transport.TLSConfig()
	c.InsecureSkipVerify = true // the certificate is verified by VerifyConnection
	c.VerifyConnection = func(cs tls.ConnectionState) error { return a.verify(cs.PeerCertificates, host) }
	// Send the client certificate regardless of the authorities that the daemon accepts, so that
	// the daemon can report why it rejects the certificate.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if a.client == nil {
			return new(tls.Certificate), nil
		}
		return a.client, nil
	}
	return c
}

// verify returns an error if the certificate chain of a host is not trusted.
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
		return errors.Join(fmt.Errorf("%w: %w", errUntrusted, err), a.pinnedErr)
	}
	return nil
}

// readSmall reads a file with certificates or a credential. The command must end even if the path
// refers to a FIFO without a writer, an endless device or a mount that does not respond.
func readSmall(file string) ([]byte, error) {
	return smallfile.Read(context.Background(), file, transport.MaxPEMFile)
}

// loadKeyPair reads a certificate and its private key from PEM files.
func loadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readSmall(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readSmall(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// readCertificates reads a PEM file with at least one certificate.
func readCertificates(file string) ([]*x509.Certificate, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	certs, err := transport.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	return certs, nil
}
