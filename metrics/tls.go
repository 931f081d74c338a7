package metrics

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificates provides the TLS configuration from files that may be replaced
// while the server runs. Handshakes look whether the files have changed; files
// that cannot be used leave the previous ones in force, and one log line.
type certificates struct {
	certFile, keyFile, caFile string // caFile may be empty
	log                       *slog.Logger

	mu      sync.Mutex // held by handshakes only
	read    bool       // there has been a first attempt
	stamps  [3]fileStamp
	current *tls.Config // nil: no usable files so far
}

// fileStamp tells versions of a file apart.
type fileStamp struct {
	modified time.Time
	size     int64
}

func newCertificates(certFile, keyFile, caFile string, log *slog.Logger) *certificates {
	c := &certificates{certFile: certFile, keyFile: keyFile, caFile: caFile, log: log}
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

// refresh reads the files if they have changed since they were last read, for
// better or worse, and returns the configuration in force, which may be nil.
func (c *certificates) refresh() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	var stamps [3]fileStamp
	for i, name := range []string{c.certFile, c.keyFile, c.caFile} {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	if c.read && stamps == c.stamps {
		return c.current
	}
	c.read, c.stamps = true, stamps
	loaded, err := c.load()
	if err != nil {
		c.log.Error("TLS files not usable", "err", err, "keeping_previous", c.current != nil)
		return c.current
	}
	if c.current != nil {
		c.log.Info("TLS files read again", "cert", c.certFile)
	}
	c.current = loaded
	return loaded
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %q and key %q: %w", c.certFile, c.keyFile, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{pair},
		// A ticket would let a client in on what was checked with files
		// since replaced.
		SessionTicketsDisabled: true,
	}
	if c.caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("load client certificate authorities: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load client certificate authorities: no certificate in %q", c.caFile)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
