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

func BitOf(state string) int {
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
	Pem  string
}

func NewAuthority(t *testing.T, name string) *Authority {
	a := &Authority{t: t}
	a.Pem, a.cert, a.key = a.sign(&x509.Certificate{
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
func SecureSite(t *testing.T, server, client *Authority) *Site {
	t.Helper()
	s := NewSite(t, HttpAddress)
	s.Base = "https://" + HttpAddress
	roots := x509.NewCertPool()
	roots.AddCert(server.cert)
	config := &tls.Config{RootCAs: roots}
	if client != nil {
		pair, err := tls.X509KeyPair(bytesOf(client.Issue("client")))
		if err != nil {
			t.Fatal(err)
		}
		// Shown whatever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := s.Client.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.DisableKeepAlives = config, true
	return s
}

func bytesOf(a, b string) ([]byte, []byte) { return []byte(a), []byte(b) }

// Content types of the answers.
const (
	PrometheusText = "text/plain; version=0.0.4; charset=utf-8"
	PlainText      = "text/plain; charset=utf-8"
	JsonText       = "application/json"
	HtmlText       = "text/html; charset=utf-8"
)

// SayTo writes to a TCP address and returns all that is answered.
func SayTo(t *testing.T, address, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(Patience))
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
type Spread []struct{ bound, count float64 }

// Latency is the spread of event latency.
func (e Exposition) Latency() Spread {
	var s Spread
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
func (s Spread) Minus(earlier Spread) Spread {
	d := slices.Clone(s)
	for i := range d {
		d[i].count -= earlier[i].count
	}
	return d
}

func (s Spread) Count() float64 { return s[len(s)-1].count }

// Quantile is the bound that at least q of all do not exceed.
func (s Spread) Quantile(q float64) float64 {
	for _, b := range s {
		if b.count >= q*s.Count() {
			return b.bound
		}
	}
	return math.Inf(1)
}

// Above is the share that exceeds a bound.
func (s Spread) Above(bound float64) float64 {
	for _, b := range s {
		if b.bound >= bound {
			return 1 - b.count/s.Count()
		}
	}
	return 0
}
