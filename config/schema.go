package config

import (
	"slices"
	"strings"
	"time"
)

// A setting is one key of the file. The schema below is the only list of them:
// decoding, messages, provenance, Effective, Diff and the test of the example
// file all walk it.
type setting struct {
	key   string // full path, "table.name"
	apply apply
	codec
}

// apply says what it takes for a changed setting to have effect, and what else
// there is to know about it.
type apply uint8

const (
	live     apply = 1 << iota // can change while the daemon runs
	exposure                   // decides who can read the HTTP listener
	secret                     // its value stays out of logs
	restart  apply = 0         // has effect at the next start
)

func (s *setting) table() string { return s.key[:strings.IndexByte(s.key, '.')] }
func (s *setting) name() string  { return s.key[strings.IndexByte(s.key, '.')+1:] }

const (
	seconds = int64(time.Second)
	days    = int64(day)
)

// schema lists the settings in the order in which they are shown.
var schema = []setting{
	{"daemon.enabled", restart, boolean(func(c *Config) *bool { return &c.Daemon.Enabled })},
	{"daemon.log_level", restart, enum(func(c *Config) *LogLevel { return &c.Daemon.LogLevel }, logLevels)},

	{"database.redis_host", restart, text(func(c *Config) *string { return &c.Database.RedisHost }, "a host name or an IP address", false, isHost)},
	{"database.redis_port", restart, integer(func(c *Config) *uint16 { return &c.Database.RedisPort }, 1, 65535, 1, "")},
	{"database.unix_socket", restart, text(func(c *Config) *string { return &c.Database.UnixSocket }, "an absolute path of at most 107 bytes", true, isSocketPath)},
	{"database.user", restart, text(func(c *Config) *string { return &c.Database.User }, "a name without ':'", true, isUsername)},
	{"database.password_file", restart, optionalPath(func(c *Config) *string { return &c.Database.PasswordFile })},
	{"database.config_file", restart, optionalPath(func(c *Config) *string { return &c.Database.ConfigFile })},

	{"warm_restart.enabled", restart, boolean(func(c *Config) *bool { return &c.WarmRestart.Enabled })},
	{"warm_restart.eoiu_timeout_secs", restart, integer(func(c *Config) *time.Duration { return &c.WarmRestart.EOIUTimeout }, 1, 3600, seconds, "seconds")},
	{"warm_restart.state_file", restart, ownPath(func(c *Config) *string { return &c.WarmRestart.StateFile })},
	{"warm_restart.history_max_restarts", live, integer(func(c *Config) *int { return &c.WarmRestart.HistoryMaxRestarts }, 1, 10000, 1, "restarts")},

	{"metrics.enabled", restart, boolean(func(c *Config) *bool { return &c.Metrics.Enabled })},
	{"metrics.save_interval_secs", live, integer(func(c *Config) *time.Duration { return &c.Metrics.SaveInterval }, 1, 86400, seconds, "seconds")},
	{"metrics.retention_days", live, integer(func(c *Config) *time.Duration { return &c.Metrics.Retention }, 1, 3650, days, "days")},
	{"metrics.max_file_size_mb", live, integer(func(c *Config) *int64 { return &c.Metrics.MaxFileSize }, 1, 1024, mebibyte, "MiB")},
	{"metrics.export_format", live, enum(func(c *Config) *ExportFormat { return &c.Metrics.ExportFormat }, exportFormats)},
	{"metrics.storage_path", restart, ownPath(func(c *Config) *string { return &c.Metrics.StoragePath })},
	{"metrics.listen", restart | exposure, endpoints(func(c *Config) *[]Endpoint { return &c.Metrics.Listen })},
	{"metrics.host_names", live | exposure, hostNames(func(c *Config) *[]string { return &c.Metrics.HostNames })},
	{"metrics.device", restart | exposure, text(func(c *Config) *string { return &c.Metrics.Device }, "an interface name of at most 15 bytes", true, isDevice)},
	{"metrics.per_port", restart, boolean(func(c *Config) *bool { return &c.Metrics.PerPort })},
	{"metrics.profiling", restart | exposure, boolean(func(c *Config) *bool { return &c.Metrics.Profiling })},
	{"metrics.tls_cert_file", restart | exposure, optionalPath(func(c *Config) *string { return &c.Metrics.TLSCertFile })},
	{"metrics.tls_key_file", restart | exposure, optionalPath(func(c *Config) *string { return &c.Metrics.TLSKeyFile })},
	{"metrics.tls_client_ca_file", restart | exposure, optionalPath(func(c *Config) *string { return &c.Metrics.TLSClientCAFile })},
	{"metrics.bearer_token_sha256", live | exposure | secret, digest(func(c *Config) *Digest { return &c.Metrics.BearerTokenSHA256 })},
	{"metrics.basic_username", live | exposure, text(func(c *Config) *string { return &c.Metrics.BasicUsername }, "a name without ':'", true, isUsername)},
	{"metrics.basic_password_sha256", live | exposure | secret, digest(func(c *Config) *Digest { return &c.Metrics.BasicPasswordSHA256 })},

	{"health.max_stall_seconds", live, integer(func(c *Config) *time.Duration { return &c.Health.MaxStall }, 1, 3600, seconds, "seconds")},
	{"health.max_failure_rate_percent", live, number(func(c *Config) *float64 { return &c.Health.MaxFailureRatePercent }, 0, 100, "percent")},
	{"health.audit_interval_secs", live, integer(func(c *Config) *time.Duration { return &c.Health.AuditInterval }, 0, 86400, seconds, "seconds")},

	{"push.url", restart, pushURL(func(c *Config) *string { return &c.Push.URL })},
	{"push.interval_secs", restart, integer(func(c *Config) *time.Duration { return &c.Push.Interval }, 1, 3600, seconds, "seconds")},
	{"push.instance", restart, text(func(c *Config) *string { return &c.Push.Instance }, "a name of at most 255 bytes", true, isInstance)},
	{"push.authorization_file", restart, optionalPath(func(c *Config) *string { return &c.Push.AuthorizationFile })},
	{"push.ca_file", restart, optionalPath(func(c *Config) *string { return &c.Push.CAFile })},
	{"push.device", restart, text(func(c *Config) *string { return &c.Push.Device }, "an interface name of at most 15 bytes", true, isDevice)},
	{"push.gzip", restart, boolean(func(c *Config) *bool { return &c.Push.Gzip })},
	{"push.queue_batches", restart, integer(func(c *Config) *int { return &c.Push.QueueBatches }, 1, 1000, 1, "batches")},
}

// mayBeSecret reports whether a value of this full key must not be shown: it is
// that of a secret, or of a key that may be meant to be one.
func mayBeSecret(key string) bool {
	s := settingOf(key)
	return s == nil || s.apply&secret != 0
}

// settingOf returns the setting with this full key, or nil.
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

// keysOf returns the names of the keys of a table.
func keysOf(table string) []string {
	var names []string
	for i := range schema {
		if schema[i].table() == table {
			names = append(names, schema[i].name())
		}
	}
	return names
}

// LiveKeys returns the full keys of the settings that can change while the
// daemon runs; the others have effect at its next start.
func LiveKeys() []string {
	var keys []string
	for i := range schema {
		if schema[i].apply&live != 0 {
			keys = append(keys, schema[i].key)
		}
	}
	return keys
}

// A Change is one setting that differs between two configurations.
type Change struct {
	Key      string
	Old, New string // as TOML; "(hidden)" for a digest of a secret
	Live     bool   // can have effect without a restart
	Why      string // in what [Config.Reload] returns: why a setting that can be live waits for a restart
}

// Diff lists the settings in which next differs from c, in the order in which
// they are documented.
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
