package config

import "time"

// Config is the whole configuration. Copies share no state that is written to.
type Config struct {
	Daemon      Daemon
	Database    Database
	WarmRestart WarmRestart
	Metrics     Metrics
	Health      Health
	Push        Push

	origins map[string]origin // by full key; absent: the default
}

// Daemon is the table [daemon].
type Daemon struct {
	Enabled  bool     // false: stay alive and do nothing. Default true
	LogLevel LogLevel // until CONFIG_DB's LOGGER row is read; written to that row if it has no level. Default Notice
}

// Database is the table [database]: how to reach Redis where SONiC's own map of
// databases is absent or turned off.
type Database struct {
	RedisHost    string // host name or IP address. Default "127.0.0.1"
	RedisPort    uint16 // TCP port, 1 to 65535. Default 6379
	UnixSocket   string // absolute path, wins over host and port. Default "": use TCP
	User         string // ACL user, for servers of which the map names no password_path. Default "": the default user
	PasswordFile string // absolute path of a file with the password for these servers, read at each connection. Default "": none
	ConfigFile   string // SONiC's database_config.json; where it exists it wins over host, port and socket. "": never. Default DefaultDatabaseConfig
}

// WarmRestart is the table [warm_restart].
type WarmRestart struct {
	Enabled            bool          // false: remember no state over a restart. Default true
	EOIUTimeout        time.Duration // wait for the end of the kernel's first dump, 1 s to 1 h. Default 10 s
	StateFile          string        // absolute path. Default by [Config.ResolvePaths]
	HistoryMaxRestarts int           // restart records kept, 1 to 10,000. Default 100
}

// Metrics is the table [metrics]: what is exported, to where, and who may read.
type Metrics struct {
	Enabled      bool          // false: neither files nor HTTP. Default true
	SaveInterval time.Duration // between samples written to disk, 1 s to 24 h. Default 300 s
	Retention    time.Duration // age at which stored samples are removed, 1 to 3650 days of 24 h. Default 30 days
	MaxFileSize  int64         // bytes at which the history file is rotated, 1 MiB to 1 GiB. Default 100 MiB
	ExportFormat ExportFormat  // of the files. Default Prometheus
	StoragePath  string        // absolute path of a directory. Default by [Config.ResolvePaths]

	Listen    []Endpoint // HTTP listeners, at most 16; empty: none. Default 127.0.0.1:9101
	HostNames []string   // names of this host, besides its own, that a client may put into the Host header, at most 64. Default none
	Device    string     // interface or VRF the TCP listeners are bound to (SO_BINDTODEVICE). Default "": any
	PerPort   bool       // export series for each port. Default true
	Profiling bool       // serve /debug/pprof; only on loopback and unix sockets. Default false

	TLSCertFile     string // absolute path of a PEM file; "" and TLSKeyFile "": plain HTTP. Default ""
	TLSKeyFile      string // absolute path of a PEM file. Default ""
	TLSClientCAFile string // absolute path of a PEM file; clients must show a certificate of it. Default ""

	BearerTokenSHA256   Digest // of the token that admits a client. Default unset
	BasicUsername       string // admits a client with the password below. Default ""
	BasicPasswordSHA256 Digest // Default unset
}

// Health is the table [health]: when the daemon calls itself unwell.
type Health struct {
	MaxStall              time.Duration // work waiting without progress, 1 s to 1 h. Default 10 s
	MaxFailureRatePercent float64       // failed among the exchanges with the databases in the last minute, 0 to 100. Default 5
	AuditInterval         time.Duration // between comparisons of STATE_DB with the kernel, 0 (never) to 24 h. Default 60 s
}

// Push is the table [push]: a time series database that samples are sent to.
type Push struct {
	URL               string        // http or https, without credentials; "": nothing is sent. Default ""
	Interval          time.Duration // between batches, 1 s to 1 h. Default 10 s
	Instance          string        // value of the tag instance. Default "": the host name
	AuthorizationFile string        // absolute path of a file with the header's value. Default ""
	CAFile            string        // absolute path of a PEM file; "": the system's authorities. Default ""
	Device            string        // interface or VRF that connections are bound to. Default "": any
	Gzip              bool          // compress. Default true
	QueueBatches      int           // kept while nobody takes them, 1 to 1000. Default 60
}

// DefaultDatabaseConfig is where SONiC keeps its map of databases
// (sonic-swss-common, common/dbconnector.h, DEFAULT_SONIC_DB_CONFIG_FILE).
const DefaultDatabaseConfig = "/var/run/redis/sonic-db/database_config.json"

// Default returns the configuration of an empty file.
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

// An origin says where a setting came from.
type origin struct {
	text   string // "file:line", or "default (reason)"
	inFile bool
	reset  bool // the file sets it, and an error elsewhere in the file gave it the default
}

// Origin tells where the setting with this full key came from: "default",
// "default (reason)" or "file:line".
func (c *Config) Origin(key string) string {
	if o, ok := c.origins[key]; ok {
		return o.text
	}
	return "default"
}

// Reset returns the full keys of the settings that the file sets and that have
// their defaults because of an error elsewhere in it (see [Parse]).
func (c *Config) Reset() []string {
	var keys []string
	for i := range schema {
		if key := schema[i].key; c.origins[key].reset {
			keys = append(keys, key)
		}
	}
	return keys
}

// IsSet reports whether the file sets the key. A path set to "" is not set where
// "" asks for the default.
func (c *Config) IsSet(key string) bool { return c.origins[key].inFile }
