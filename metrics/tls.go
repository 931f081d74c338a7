package metrics

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"portsyncd/internal/smallfile"
)

// CipherSuites are the suites of TLS 1.2 that the server, package push and the status
// command accept: with forward secrecy, and without CBC, whose padding is open to
// attack (RFC 9325, section 4.2). The suites of TLS 1.3 cannot be configured. Read only.
var CipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// maxTLSFile bounds each of the files, in bytes.
const maxTLSFile = 1 << 20

// certificates provides the TLS configuration from files that may be replaced while
// the server runs. Each handshake reads the files, which is little beside its
// arithmetic, and parses them if a byte has changed: size, times and inode may stay the
// same when a file is replaced, and a file that could not be read may be readable now.
// Files that cannot be used leave the previous ones in force, and one log line.
type certificates struct {
	names [3]string // certificate, key, authorities of clients; the last may be ""
	log   *slog.Logger

	mu      sync.Mutex // held by handshakes only
	texts   [3][]byte  // as last read
	failure string     // as last logged; "": the files are good
	current *tls.Config
}

func newCertificates(certFile, keyFile, caFile string, log *slog.Logger) *certificates {
	c := &certificates{names: [3]string{certFile, keyFile, caFile}, log: log}
	c.refresh()
	return c
}

// config returns the configuration of a listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if current := c.refresh(); current != nil {
				return current, nil
			}
			return nil, errors.New("no usable certificate")
		},
	}
}

// refresh reads the files and returns the configuration in force, which is nil until
// they have been good once.
func (c *certificates) refresh() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts, err := c.read()
	if err == nil {
		changed := c.current == nil
		for i := range texts {
			changed = changed || !bytes.Equal(texts[i], c.texts[i])
		}
		if !changed && c.failure == "" {
			return c.current
		}
		var loaded *tls.Config
		if loaded, err = c.load(texts); err == nil {
			if c.current != nil {
				c.log.Info("TLS files read again", "cert", c.names[0])
			}
			c.texts, c.failure, c.current = texts, "", loaded
			return loaded
		}
	}
	if c.failure != err.Error() {
		c.failure = err.Error()
		c.log.Error("cannot use TLS files", "error", err, "keeping_previous", c.current != nil)
	}
	return c.current
}

// isFor reports whether the certificate in force is valid for a name.
func (c *certificates) isFor(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current != nil && c.current.Certificates[0].Leaf.VerifyHostname(name) == nil
}

func (c *certificates) read() (texts [3][]byte, err error) {
	for i, name := range c.names {
		if name == "" {
			continue
		}
		if texts[i], err = smallfile.Read(context.Background(), name, maxTLSFile); err != nil {
			return texts, err
		}
	}
	return texts, nil
}

func (c *certificates) load(texts [3][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, fmt.Errorf("load certificate %q and key %q: %w", c.names[0], c.names[1], err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: CipherSuites,
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{pair},
		// A ticket would let a client in on what was checked with files
		// since replaced.
		SessionTicketsDisabled: true,
	}
	if c.names[2] == "" {
		return config, nil
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(texts[2]) {
		return nil, fmt.Errorf("load client certificate authorities: no certificate in %q", c.names[2])
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
