package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBindToDevice checks that a listener for a device that does not exist fails with an error that
// names the device, and that no device means no Control function.
func TestBindToDevice(t *testing.T) {
	lc := net.ListenConfig{Control: BindToDevice("no-such-dev")}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err == nil {
		l.Close()
	}
	if !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), `bind to device "no-such-dev"`) {
		t.Errorf("listen: %v, want ENODEV for the device", err)
	}
	if BindToDevice("") != nil {
		t.Error(`BindToDevice("") is not nil`)
	}
}

// TestParseCertificates checks that all certificates of a file are returned, that other PEM blocks
// and certificates that cannot be parsed are skipped, and that a file without any is an error.
func TestParseCertificates(t *testing.T) {
	first, second := newCertificate(t), newCertificate(t)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: first})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first[:len(first)/2]})
	text := bytes.Join([][]byte{[]byte("# comment\n"), key, encode(first), broken, encode(second)}, nil)
	certs, err := ParseCertificates(text)
	if err != nil || len(certs) != 2 || !bytes.Equal(certs[0].Raw, first) || !bytes.Equal(certs[1].Raw, second) {
		t.Errorf("%d certificates, error %v, want the two valid ones", len(certs), err)
	}
	want := x509.NewCertPool()
	for _, c := range certs {
		want.AddCert(c)
	}
	if pool, err := ParseCertPool(text); err != nil || !pool.Equal(want) {
		t.Errorf("pool: error %v, want one of the two certificates", err)
	}
	for name, text := range map[string][]byte{"empty": nil, "a key": key, "a broken certificate": broken} {
		if _, err := ParseCertificates(text); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := ParseCertPool(text); err == nil {
			t.Errorf("%s: no error for the pool", name)
		}
	}
}

// newCertificate returns a self-signed certificate (DER).
func newCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
