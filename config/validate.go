package config

import (
	"fmt"
	"strings"

	"portsyncd/config/toml"
)

// crossCheck checks what settings ask of each other. A setting that is itself
// bad is not held against another.
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
			d.reject("metrics.profiling", fmt.Sprintf("profiling is only served on loopback addresses and unix sockets, but metrics.listen has %q", e))
			return
		}
	}
}

// need reports a setting that makes no sense without another.
func (d *decoder) need(key string, isSet bool, other string, otherIsSet bool) {
	if isSet && !otherIsSet && !d.mentions[other].bad {
		d.reject(key, "needs "+other+" as well")
	}
}

func (d *decoder) reject(key, why string) {
	d.errorf(d.mentions[key].offset, key, "%s", why)
}

// exposureInDoubt reports whether a problem may concern who can read the
// listener: a bad key of that kind, an unknown name that may stand for one, or
// broken TOML, which can hide any number of keys.
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

// resetExposure gives the keys of that kind their defaults, and notes which of
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
