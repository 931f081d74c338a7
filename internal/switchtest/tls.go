package switchtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func UpToInt(state string) int {
	if state == "up" {
		return 1
	}
	return 0
}

// Authority signs certificates.
type Authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	PEM  string
}

func NewAuthority(t *testing.T, name string) *Authority {
	a := &Authority{t: t}
	a.PEM, a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign completes and signs a certificate, with its own key if there is no
// authority yet.
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

// Issue returns a certificate for 127.0.0.1, server or client, and its key.
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

// SecureSite is the site for clients that trust server and, unless client is
// nil, have a certificate signed by it. Each request has a connection of its own.
func NewTLSClient(t *testing.T, server, issuer *Authority) *Client {
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
		// Shown whatever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := client.HTTP.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.DisableKeepAlives = config, true
	return client
}

func bytesOf(a, b string) ([]byte, []byte) { return []byte(a), []byte(b) }

// Content types of the answers.
const (
	PrometheusType = "text/plain; version=0.0.4; charset=utf-8"
	PlainType      = "text/plain; charset=utf-8"
	JSONType       = "application/json"
	HTMLType       = "text/html; charset=utf-8"
)

// SayTo writes to a TCP address and returns all that is answered.
func RawRequest(t *testing.T, address, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(Timeout))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// ResidentMemory is VmRSS of a process, proc_pid_status(5).
func ResidentMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	fields := strings.Fields(rest)
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// Spread is a histogram: cumulative counts by upper bound, ascending.
type Histogram []struct{ bound, count float64 }

// Latency is the spread of event latency.
func (e Exposition) EventLatency() Histogram {
	var s Histogram
	for series, v := range e.Samples {
		if rest, ok := strings.CutPrefix(series, `portsyncd_event_latency_seconds_bucket{le="`); ok {
			bound, _ := strconv.ParseFloat(strings.TrimSuffix(rest, `"}`), 64)
			s = append(s, struct{ bound, count float64 }{bound, v})
		}
	}
	slices.SortFunc(s, func(a, b struct{ bound, count float64 }) int {
		if a.bound < b.bound {
			return -1
		}
		return 1
	})
	return s
}

// Minus is what came since an earlier reading.
func (s Histogram) Sub(earlier Histogram) Histogram {
	d := slices.Clone(s)
	for i := range d {
		d[i].count -= earlier[i].count
	}
	return d
}

func (s Histogram) Count() float64 { return s[len(s)-1].count }

// Quantile is the bound that at least q of all do not exceed.
func (s Histogram) Quantile(q float64) float64 {
	for _, b := range s {
		if b.count >= q*s.Count() {
			return b.bound
		}
	}
	return math.Inf(1)
}

// Above is the share that exceeds a bound.
func (s Histogram) ShareAbove(bound float64) float64 {
	for _, b := range s {
		if b.bound >= bound {
			return 1 - b.count/s.Count()
		}
	}
	return 0
}
