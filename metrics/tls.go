package metrics

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"portsyncd/internal/smallfile"
	"portsyncd/internal/transport"
)

// certificates provides a TLS configuration from files that may be replaced while the server is
// running. Each handshake reads the files, which is cheap compared with the handshake itself, and
// parses them if they have changed. File size, times and inode are not sufficient to detect a
// change. If the files are invalid, certificates keeps the previous configuration and logs one
// error.
type certificates struct {
	names [3]string // certificate, key, client certificate authorities; the last may be ""
	log   *slog.Logger

	mu      sync.Mutex // held during a handshake or a reload
	texts   [3][]byte  // as last read
	failure string     // last logged error; "" if the files are valid
	current *tls.Config
}

func newCertificates(certFile, keyFile, caFile string, log *slog.Logger) *certificates {
	c := &certificates{names: [3]string{certFile, keyFile, caFile}, log: log}
	c.refresh()
	return c
}

// config returns the TLS configuration of a listener.
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

// refresh reads the files and returns the current configuration. It returns nil if the files have
// never been valid.
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
				c.log.Info("TLS files reloaded", "cert", c.names[0])
			}
			c.texts, c.failure, c.current = texts, "", loaded
			return loaded
		}
	}
	if c.failure != err.Error() {
		c.failure = err.Error()
		c.log.Error("cannot load TLS files", "error", err, "keeping_previous", c.current != nil)
	}
	return c.current
}

// validFor reports whether the current certificate is valid for a host name.
func (c *certificates) validFor(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current != nil && c.current.Certificates[0].Leaf.VerifyHostname(name) == nil
}

func (c *certificates) read() (texts [3][]byte, err error) {
	for i, name := range c.names {
		if name == "" {
			continue
		}
		if texts[i], err = smallfile.Read(context.Background(), name, transport.MaxPEMFile); err != nil {
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
	config := transport.TLSConfig()
	config.NextProtos = []string{"http/1.1"}
	config.Certificates = []tls.Certificate{pair}
	// A session ticket would admit a client that was verified with files that have since been
	// replaced.
	config.SessionTicketsDisabled = true
	if c.names[2] == "" {
		return config, nil
	}
	if config.ClientCAs, err = transport.ParseCertPool(texts[2]); err != nil {
		return nil, fmt.Errorf("load client certificate authorities %q: %w", c.names[2], err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
