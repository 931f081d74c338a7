package config

import "slices"

// An origin describes where a setting's value comes from.
type origin struct {
	text   string // "file:line", or "default (reason)"
	inFile bool
	reset  bool // the file sets the key, but it was reset because of an error elsewhere in the file
}

// Origin returns where a setting's value comes from: "default", "default (reason)" or "file:line".
// key is the full key, such as "metrics.listen".
func (c *Config) Origin(key string) string {
	if o, ok := c.origins[key]; ok {
		return o.text
	}
	return "default"
}

// Reset returns the full keys of settings that the file sets but that [Parse] reset to their
// defaults because of an error elsewhere in the file.
func (c *Config) Reset() []string {
	var keys []string
	for i := range schema {
		if key := schema[i].key; c.origins[key].reset {
			keys = append(keys, key)
		}
	}
	return keys
}

// IsSet reports whether the file sets the key. Setting a path to "" does not count if "" selects
// the default.
func (c *Config) IsSet(key string) bool { return c.origins[key].inFile }

// mayBeSecret reports whether the value of a key must be hidden because the key is a secret, or is
// unknown and may be a misspelled secret.
func mayBeSecret(key string) bool {
	s := settingOf(key)
	return s == nil || s.apply&secret != 0
}

// settingOf returns the setting with the given full key, or nil if there is none.
func settingOf(key string) *setting {
	for i := range schema {
		if schema[i].key == key {
			return &schema[i]
		}
	}
	return nil
}

// tables returns the names of all tables in the order of the schema.
func tables() []string {
	var names []string
	for i := range schema {
		if t := schema[i].table(); !slices.Contains(names, t) {
			names = append(names, t)
		}
	}
	return names
}

// keysOf returns the names of the keys in a table.
func keysOf(table string) []string {
	var names []string
	for i := range schema {
		if schema[i].table() == table {
			names = append(names, schema[i].name())
		}
	}
	return names
}

// LiveKeys returns the full keys of the settings that take effect on reload. Other settings take
// effect at the next start.
func LiveKeys() []string {
	var keys []string
	for i := range schema {
		if schema[i].apply&live != 0 {
			keys = append(keys, schema[i].key)
		}
	}
	return keys
}

// A Change is a setting that differs between two configurations.
type Change struct {
	Key      string
	Old, New string // values as TOML; "(hidden)" for the digest of a secret
	Live     bool   // takes effect without a restart
	Why      string // why a setting that can normally be reloaded needs a restart; set by [Config.Reload] if not Live
}

// Diff returns the settings that differ between c and next, in the order of the schema.
func (c Config) Diff(next Config) []Change {
	var changes []Change
	for i := range schema {
		s := &schema[i]
		before, after := s.encode(&c), s.encode(&next)
		if before == after {
			continue
		}
		if s.apply&secret != 0 {
			before, after = hide(before), hide(after)
		}
		changes = append(changes, Change{Key: s.key, Old: before, New: after, Live: s.apply&live != 0})
	}
	return changes
}

func hide(value string) string {
	if value == `""` {
		return value
	}
	return "(hidden)"
}
