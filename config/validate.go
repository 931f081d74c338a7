package config

import (
	"fmt"
	"strings"

	"portsyncd/config/toml"
)

// crossCheck checks the dependencies between settings. It ignores dependencies on invalid settings,
// which have already been reported.
func (d *decoder) crossCheck() {
	m := &d.cfg.Metrics
	d.need("metrics.tls_cert_file", m.TLSCertFile != "", "metrics.tls_key_file", m.TLSKeyFile != "")
	d.need("metrics.tls_key_file", m.TLSKeyFile != "", "metrics.tls_cert_file", m.TLSCertFile != "")
	d.need("metrics.tls_client_ca_file", m.TLSClientCAFile != "", "metrics.tls_cert_file", m.TLSCertFile != "")
	d.need("metrics.basic_username", m.BasicUsername != "", "metrics.basic_password_sha256", m.BasicPasswordSHA256.IsSet())
	d.need("metrics.basic_password_sha256", m.BasicPasswordSHA256.IsSet(), "metrics.basic_username", m.BasicUsername != "")
	d.checkProfiling()
	d.checkPush()
}

func (d *decoder) checkProfiling() {
	m := &d.cfg.Metrics
	if !m.Profiling || d.mentions["metrics.listen"].bad {
		return
	}
	for _, e := range m.Listen {
		if !e.IsLocal() {
			d.reject("metrics.profiling", fmt.Sprintf("profiling is only allowed on loopback addresses and unix sockets, but metrics.listen contains %q", e))
			return
		}
	}
}

// need reports an error if key is set but the other key, which it requires, is not.
func (d *decoder) need(key string, isSet bool, other string, otherIsSet bool) {
	if isSet && !otherIsSet && !d.mentions[other].bad {
		d.reject(key, "requires "+other)
	}
}

func (d *decoder) reject(key, why string) {
	d.errorf(d.mentions[key].offset, key, "%s", why)
}

// exposureInDoubt reports whether an error may affect who can access the HTTP listener. This is the
// case if a key with the flag exposure is invalid, if an unknown key may be a misspelling of such a
// key, or if the file is not valid TOML.
func (d *decoder) exposureInDoubt() bool {
	if d.invalid || len(d.errs) > toml.MaxErrors {
		return true
	}
	for _, e := range d.errs {
		table, _, _ := strings.Cut(e.Key, ".")
		switch s := settingOf(e.Key); {
		case s != nil && s.apply&exposure != 0:
			return true
		case s == nil && (table == "metrics" || len(keysOf(table)) == 0):
			return true
		}
	}
	return false
}

// resetExposure resets all settings with the flag exposure to their defaults and records which of
// them the file sets.
func (d *decoder) resetExposure() {
	standard := Default()
	for i := range schema {
		if s := &schema[i]; s.apply&exposure != 0 {
			s.copy(&d.cfg, &standard)
			if d.cfg.IsSet(s.key) {
				d.cfg.origins[s.key] = origin{text: "default (errors in " + d.name + ")", reset: true}
			}
		}
	}
}
