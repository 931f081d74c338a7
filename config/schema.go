package config

import (
	"strings"
	"time"
)

// This file defines the settings: the fields of Config, their default values, and their keys in the
// file.

// Config is the complete configuration. A Config can be copied; the copies share no mutable state.
type Config struct {
	Daemon      Daemon
	Database    Database
	WarmRestart WarmRestart
	Metrics     Metrics
	Health      Health
	Push        Push

	origins map[string]origin // by full key; absent for a default without a reason
}

// Daemon is the table [daemon].
type Daemon struct {
	Enabled   bool      // false: the process runs but does nothing. Default true
	LogLevel  LogLevel  // used until the LOGGER row of CONFIG_DB is read, and written to a row without a level. Default Notice
	LogFormat LogFormat // format of log lines on standard output and standard error. Default TextLog
}

// Database is the table [database]. It configures the connection to Redis if SONiC's database map
// (ConfigFile) does not exist or is disabled.
type Database struct {
	RedisHost    string // host name or IP address. Default "127.0.0.1"
	RedisPort    uint16 // TCP port, 1 to 65535. Default 6379
	UnixSocket   string // absolute path of at most 107 bytes; if set, host and port are not used. Default "": use TCP
	User         string // ACL user, for servers without a password_path in the map. Default "": the default user
	PasswordFile string // absolute path of a file with the password for these servers, read for each connection. Default "": none
	ConfigFile   string // SONiC's database_config.json; if it exists, host, port and socket are not used. "": the map is not used. Default DefaultDatabaseConfig
}

// WarmRestart is the table [warm_restart].
type WarmRestart struct {
	Enabled            bool          // false: no state is kept across restarts. Default true
	EOIUTimeout        time.Duration // timeout for the initial dump of the kernel's links, 1 s to 1 h. Default 10 s
	StateFile          string        // absolute path. Default: see [Config.ResolvePaths]
	HistoryMaxRestarts int           // number of restarts kept in the history, 1 to 10,000. Default 100
}

// Metrics is the table [metrics]. It configures exported metrics, stored files and HTTP access.
type Metrics struct {
	Enabled      bool          // false: no files and no HTTP. Default true
	SaveInterval time.Duration // interval of the samples written to disk, 1 s to 24 h. Default 300 s
	Retention    time.Duration // age at which stored samples are removed, 1 to 3650 days of 24 h. Default 30 days
	MaxFileSize  int64         // size in bytes at which the history file is rotated, 1 MiB to 1 GiB. Default 100 MiB
	ExportFormat ExportFormat  // format of the exported files. Default Prometheus
	StoragePath  string        // absolute path of a directory. Default: see [Config.ResolvePaths]

	Listen    []Endpoint // HTTP listeners, at most 16; empty: none. Default 127.0.0.1:9101
	HostNames []string   // additional names of this host that are accepted in the Host header, at most 64. Default none
	Device    string     // interface or VRF that the TCP listeners are bound to (SO_BINDTODEVICE). Default "": any
	PerPort   bool       // export series for each port. Default true
	Profiling bool       // serve /debug/pprof, on loopback addresses and unix sockets only. Default false

	TLSCertFile     string // absolute path of a PEM file. Default "": plain HTTP
	TLSKeyFile      string // absolute path of a PEM file. Default ""
	TLSClientCAFile string // absolute path of a PEM file; clients must have a certificate of one of these authorities. Default "": no client certificates

	BearerTokenSHA256   Digest // of the bearer token that clients must send. Default unset
	BasicUsername       string // user name for HTTP basic authentication. Default ""
	BasicPasswordSHA256 Digest // of the password for HTTP basic authentication. Default unset
}

// Health is the table [health]. It configures the thresholds for the health state.
type Health struct {
	MaxStall              time.Duration // time without progress on pending operations after which the daemon is stalled, 1 s to 1 h. Default 10 s
	MaxFailureRatePercent float64       // share of failed Redis requests in the last minute above which the daemon is unhealthy, 0 to 100. Default 5
	AuditInterval         time.Duration // interval of the comparisons of STATE_DB with the kernel, 0 (never) to 24 h. Default 60 s
}

// Push is the table [push]. It configures pushing samples to a time series database.
type Push struct {
	URL               string        // http or https, without credentials. Default "": no push
	Interval          time.Duration // interval of the batches, 1 s to 1 h. Default 10 s
	Instance          string        // value of the tag "instance", at most 255 bytes. Default "": the host name
	AuthorizationFile string        // absolute path of a file with the value of the Authorization header. Default "": no header
	CAFile            string        // absolute path of a PEM file. Default "": the certificate authorities of the system
	Device            string        // interface or VRF that connections are bound to. Default "": any
	Gzip              bool          // compress the batches. Default true
	QueueBatches      int           // batches kept in memory while the receiver is unavailable, 1 to 1000. Default 60
}

// DefaultDatabaseConfig is the path of SONiC's database map (sonic-swss-common,
// common/dbconnector.h, DEFAULT_SONIC_DB_CONFIG_FILE).
const DefaultDatabaseConfig = "/var/run/redis/sonic-db/database_config.json"

// Default returns the default configuration, which is also the configuration for an empty file.
func Default() Config {
	return Config{
		Daemon: Daemon{
			Enabled:  true,
			LogLevel: Notice,
		},
		Database: Database{
			RedisHost:  "127.0.0.1",
			RedisPort:  6379,
			ConfigFile: DefaultDatabaseConfig,
		},
		WarmRestart: WarmRestart{
			Enabled:            true,
			EOIUTimeout:        10 * time.Second,
			StateFile:          specifiedDir + "/" + stateFileName,
			HistoryMaxRestarts: 100,
		},
		Metrics: Metrics{
			Enabled:      true,
			SaveInterval: 300 * time.Second,
			Retention:    30 * day,
			MaxFileSize:  100 * mebibyte,
			ExportFormat: Prometheus,
			StoragePath:  specifiedDir + "/" + storageName,
			Listen:       []Endpoint{{"tcp", "127.0.0.1:9101"}},
			HostNames:    []string{},
			PerPort:      true,
		},
		Health: Health{
			MaxStall:              10 * time.Second,
			MaxFailureRatePercent: 5,
			AuditInterval:         60 * time.Second,
		},
		Push: Push{
			Interval:     10 * time.Second,
			Gzip:         true,
			QueueBatches: 60,
		},
	}
}

const (
	day      = 24 * time.Hour
	mebibyte = 1 << 20
)

// A setting is a key in the file. All code that handles settings uses the list in schema: decoding,
// error messages, Effective, Diff, Reload, and the test of the example file.
type setting struct {
	key   string // full path, "table.name"
	apply apply
	codec
}

// apply is a set of flags of a setting, which determine when a change takes effect and how the
// value must be protected.
type apply uint8

const (
	live     apply = 1 << iota // takes effect on reload
	exposure                   // determines who can access the HTTP listener
	secret                     // the value must not be logged
	restart  apply = 0         // takes effect at the next start
)

func (s *setting) table() string { return s.key[:strings.IndexByte(s.key, '.')] }
func (s *setting) name() string  { return s.key[strings.IndexByte(s.key, '.')+1:] }

const (
	seconds = int64(time.Second)
	days    = int64(day)
)

// schema lists the settings in the order of their output.
var schema = []setting{
	{"daemon.enabled", restart, boolean(func(c *Config) *bool { return &c.Daemon.Enabled })},
	{"daemon.log_level", restart, enum(func(c *Config) *LogLevel { return &c.Daemon.LogLevel }, logLevels)},
	{"daemon.log_format", live, enum(func(c *Config) *LogFormat { return &c.Daemon.LogFormat }, logFormats)},

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
