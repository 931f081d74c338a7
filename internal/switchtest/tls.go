package switchtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Authority is a certificate authority.
type Authority struct {
	t    T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	PEM  string
}

// NewAuthority returns an authority with a new key.
func NewAuthority(t T, name string) *Authority {
	a := &Authority{t: t}
	a.PEM, a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign completes the certificate template and signs it. If the authority has no certificate yet,
// the certificate is self-signed.
func (a *Authority) sign(template *x509.Certificate) (string, *x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), cert, key
}

// Issue creates a certificate for 127.0.0.1 that is valid for servers and clients. It returns the
// certificate and its private key.
func (a *Authority) Issue(name string) (certPEM, keyPEM string) {
	a.t.Helper()
	certPEM, _, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return certPEM, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// NewTLSClient returns an HTTPS client for the default address that trusts server. If issuer is
// not nil, the client has a certificate signed by it. Each request opens a connection.
func NewTLSClient(t T, server, issuer *Authority) *Client {
	t.Helper()
	client := NewClient(t, HTTPAddress)
	client.Base = "https://" + HTTPAddress
	roots := x509.NewCertPool()
	roots.AddCert(server.cert)
	config := &tls.Config{RootCAs: roots}
	if issuer != nil {
		pair, err := tls.X509KeyPair(bytesOf(issuer.Issue("client")))
		if err != nil {
			t.Fatal(err)
		}
		// Send the certificate regardless of the authorities that the server accepts.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := client.HTTP.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.DisableKeepAlives = config, true
	return client
}

func bytesOf(a, b string) ([]byte, []byte) { return []byte(a), []byte(b) }
