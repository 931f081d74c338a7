// Package transport contains code shared by the HTTP server, the push client and the status
// command: binding sockets to a network device, TLS parameters, and reading certificates.
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// BindToDevice returns a Control function for [net.Dialer] and [net.ListenConfig] that binds
// sockets to a network interface or VRF (SO_BINDTODEVICE, socket(7)). If device is "", it returns
// nil, and sockets are not bound.
func BindToDevice(device string) func(network, address string, c syscall.RawConn) error {
	if device == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var bindErr error
		err := c.Control(func(fd uintptr) { bindErr = unix.BindToDevice(int(fd), device) })
		if err = errors.Join(err, bindErr); err != nil {
			return fmt.Errorf("bind to device %q: %w", device, err)
		}
		return nil
	}
}

// TLSConfig returns a new configuration with the TLS versions and cipher suites that the daemon and
// the status command accept: TLS 1.3, and for TLS 1.2 the suites with forward secrecy, except CBC
// suites, whose padding is vulnerable (RFC 9325, section 4.2).
func TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // for TLS 1.2; the suites of TLS 1.3 cannot be configured
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// MaxPEMFile is the maximum size in bytes of a PEM file that the daemon or a command reads. A file with a
// system's public certificate authorities has about 200 KiB.
const MaxPEMFile = 1 << 20

// ParseCertificates returns the certificates in a PEM text. It skips other PEM blocks and, like
// [x509.CertPool.AppendCertsFromPEM], certificates that cannot be parsed. It returns an error if
// there are no valid certificates.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	err := errors.New("no PEM certificate found")
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, parseErr := x509.ParseCertificate(block.Bytes)
		if parseErr != nil {
			err = parseErr
			continue
		}
		certs = append(certs, c)
	}
	if certs == nil {
		return nil, err
	}
	return certs, nil
}

// ParseCertPool returns a pool with the certificates in a PEM text. It returns the same errors as
// [ParseCertificates].
func ParseCertPool(text []byte) (*x509.CertPool, error) {
	certs, err := ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}
