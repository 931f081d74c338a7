package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"

	"portsyncd/config"
	"portsyncd/internal/smallfile"
	"portsyncd/internal/transport"
)

// fileProblems describes the files named in the configuration that are missing or have invalid
// contents. A file that the current user cannot read is not a problem, because the daemon runs as
// root.
func fileProblems(cfg *config.Config) []string {
	var all []string
	check := func(key, file, expected string, parse func(text []byte) error) (text []byte) {
		if file == "" {
			return nil
		}
		text, err := readSmall(file)
		if err == nil && parse != nil {
			err = parse(text)
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			all = append(all, fmt.Sprintf("%s: %s %q: %v; expected %s", cfg.Origin(key), key, file, withoutPath(err), expected))
			return nil
		}
		return text
	}
	parseCert := func(text []byte) error { _, err := transport.ParseCertificates(text); return err }
	m := &cfg.Metrics
	cert := check("metrics.tls_cert_file", m.TLSCertFile,
		`a PEM file with the certificate of the daemon, which begins with "-----BEGIN CERTIFICATE-----"`, parseCert)
	key := check("metrics.tls_key_file", m.TLSKeyFile,
		`a PEM file with the private key of the certificate, for example with "-----BEGIN PRIVATE KEY-----"`, nil)
	if cert != nil && key != nil {
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			all = append(all, fmt.Sprintf("%s: metrics.tls_key_file %q: %v; expected the private key of metrics.tls_cert_file",
				cfg.Origin("metrics.tls_key_file"), m.TLSKeyFile, err))
		}
	}
	const authority = `a PEM file with certificates of authorities, which begins with "-----BEGIN CERTIFICATE-----"`
	check("metrics.tls_client_ca_file", m.TLSClientCAFile, authority, parseCert)
	check("push.ca_file", cfg.Push.CAFile, authority, parseCert)
	check("push.authorization_file", cfg.Push.AuthorizationFile, `one line, for example "Bearer TOKEN"`, nil)
	check("database.password_file", cfg.Database.PasswordFile, "one line with the password", nil)
	return all
}

// withoutPath removes the path from err, because the message already contains it.
func withoutPath(err error) error {
	if bad := (*fs.PathError)(nil); errors.As(err, &bad) {
		return bad.Err
	}
	if odd := (smallfile.NotRegular{}); errors.As(err, &odd) {
		return odd
	}
	return err
}
