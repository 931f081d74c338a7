package config

import "maps"

// Reload returns the settings in effect after a daemon with settings c has read next, and the
// changes between c and next. Settings that can be reloaded are taken from next; the others are
// taken from c.
//
// Reload never separates the HTTP listener from its protection: if next changes a listener setting
// that needs a restart, changed credentials also need a restart. Reload does not remove all
// credentials from a listener, because the file may have been truncated.
func (c Config) Reload(next Config) (Config, []Change) {
	changes := c.Diff(next)
	why := c.protectionWaits(next, changes)
	inEffect := c
	inEffect.origins = maps.Clone(c.origins)
	if inEffect.origins == nil {
		inEffect.origins = map[string]origin{}
	}
	for i := range schema {
		if s := &schema[i]; s.apply&live != 0 && (s.apply&exposure == 0 || why == "") {
			s.take(&inEffect, &next)
		}
	}
	for i := range changes {
		if s := settingOf(changes[i].Key); s.apply&exposure != 0 && s.apply&live != 0 && why != "" {
			changes[i].Live, changes[i].Why = false, why
		}
	}
	return inEffect, changes
}

// protectionWaits returns the reason why changed credentials in next take effect only after a
// restart, or "" if they can take effect on reload.
func (c *Config) protectionWaits(next Config, changes []Change) string {
	for _, ch := range changes {
		if s := settingOf(ch.Key); s.apply&exposure != 0 && s.apply&live == 0 {
			return "changes together with " + ch.Key
		}
	}
	if c.Metrics.hasCredentials() && !next.Metrics.hasCredentials() {
		return "a reload does not remove the last credentials"
	}
	return ""
}

func (m *Metrics) hasCredentials() bool {
	return m.BearerTokenSHA256.IsSet() || m.BasicPasswordSHA256.IsSet()
}

// take copies the value and the origin of setting s from src to dst.
func (s *setting) take(dst, src *Config) {
	s.copy(dst, src)
	if o, ok := src.origins[s.key]; ok {
		dst.origins[s.key] = o
	} else {
		delete(dst.origins, s.key)
	}
}

// SetsNothing reports whether the configuration file sets no key, for example because it is empty
// or contains only comments.
func (c *Config) SetsNothing() bool {
	for _, o := range c.origins {
		if o.inFile {
			return false
		}
	}
	return true
}
