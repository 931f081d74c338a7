package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/config/toml"
)

const hexDigest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // sha256 of "test"

// TestParseFile checks a file that sets nearly all settings.
func TestParseFile(t *testing.T) {
	c, err := Parse("portsyncd.conf", []byte(`
daemon = { enabled = false, log_level = "WARN" }

[database]
redis_host = 'redis.example'
redis_port = 0x1A0A
unix_socket = "/run/redis.sock"
user = "sonic"
password_file = "/etc/sonic/redis-password"
config_file = ""

[warm_restart]
enabled = false
eoiu_timeout_secs = 3_600
state_file = "/tmp/s.json"
history_max_restarts = 7

[metrics]
enabled = false
save_interval_secs = 1
retention_days = 3650
max_file_size_mb = 1024
export_format = "both"
storage_path = "/tmp/m"
listen = [
  ":9101", # every address
  "[::1]:9102",
  "unix:/run/portsyncd.sock",
]
host_names = ["Leaf1.example.", "leaf1"]
device = "mgmt"
per_port = false
tls_cert_file = "/c"
tls_key_file = "/k"
tls_client_ca_file = "/ca"
bearer_token_sha256 = "`+hexDigest+`"
basic_username = "prom"
basic_password_sha256 = "`+strings.ToUpper(hexDigest)+`"

[health]
max_stall_seconds = 3
max_failure_rate_percent = 5e-1
audit_interval_secs = 0

[push]
url = "https://influx.example:8086/api/v2/write?org=noc&bucket=fabric"
interval_secs = 3600
instance = "leaf1/asic0"
authorization_file = "/etc/sonic/push.secret"
ca_file = "/etc/sonic/push-ca.pem"
device = "mgmt"
gzip = false
queue_batches = 1000
`))
	if err != nil {
		t.Fatal(err)
	}
	var d Digest
	copy(d[:], mustHex(t, hexDigest))
	want := Config{
		Daemon:      Daemon{Enabled: false, LogLevel: Warn},
		Database:    Database{RedisHost: "redis.example", RedisPort: 6666, UnixSocket: "/run/redis.sock", User: "sonic", PasswordFile: "/etc/sonic/redis-password"},
		WarmRestart: WarmRestart{EOIUTimeout: time.Hour, StateFile: "/tmp/s.json", HistoryMaxRestarts: 7},
		Metrics: Metrics{
			SaveInterval: time.Second, Retention: 3650 * 24 * time.Hour, MaxFileSize: 1 << 30,
			ExportFormat: Both, StoragePath: "/tmp/m",
			Listen:      []Endpoint{{"tcp", ":9101"}, {"tcp", "[::1]:9102"}, {"unix", "/run/portsyncd.sock"}},
			HostNames:   []string{"leaf1.example", "leaf1"},
			Device:      "mgmt",
			TLSCertFile: "/c", TLSKeyFile: "/k", TLSClientCAFile: "/ca",
			BearerTokenSHA256: d, BasicUsername: "prom", BasicPasswordSHA256: d,
		},
		Health: Health{MaxStall: 3 * time.Second, MaxFailureRatePercent: 0.5},
		Push: Push{
			URL:      "https://influx.example:8086/api/v2/write?org=noc&bucket=fabric",
			Interval: time.Hour, Instance: "leaf1/asic0",
			AuthorizationFile: "/etc/sonic/push.secret", CAFile: "/etc/sonic/push-ca.pem", Device: "mgmt",
			QueueBatches: 1000,
		},
	}
	standard := Default()
	for i := range schema {
		if s := &schema[i]; !c.IsSet(s.key) {
			s.copy(&want, &standard)
		}
	}
	c.origins = nil
	if !reflect.DeepEqual(c, want) {
		t.Errorf("wrong settings: %v", want.Diff(c))
	}
}

// TestEverySettingHasItsField checks for each setting that a value other than the default changes
// this setting only, and that the origin is recorded.
func TestEverySettingHasItsField(t *testing.T) {
	candidates := []string{`true`, `false`, `2`, `"/x"`, `"debug"`, `"json"`, `"a"`, `":1"`, `"http://h/"`, `"` + hexDigest + `"`}
	for i := range schema {
		s := &schema[i]
		found := false
		for _, value := range candidates {
			doc, errs := toml.Parse([]byte("v = " + value))
			if errs != nil {
				t.Fatal(errs)
			}
			c, standard := Default(), Default()
			if s.decode(&c, doc.Root.Lookup("v").Value) != nil || s.encode(&c) == s.encode(&standard) {
				continue // not valid for this setting, or its default
			}
			found = true
			if changes := standard.Diff(c); len(changes) != 1 || changes[0].Key != s.key {
				t.Errorf("%s = %s changes %v", s.key, value, changes)
			}
			if c, _ := Parse("f", []byte(s.key+" = "+value)); !c.IsSet(s.key) && !slices.Contains(c.Reset(), s.key) {
				t.Errorf("%s = %s: the origin is %q", s.key, value, c.Origin(s.key))
			}
		}
		if !found {
			t.Errorf("%s: no candidate is valid and not the default; add one", s.key)
		}
	}
}

// TestParseErrors checks the exact text of each kind of error.
func TestParseErrors(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"unknown table", "[metrcs]\n", `f:1:2: metrcs: unknown table; did you mean metrics?`},
		{"unknown table, no suggestion", "[zzz]\n", `f:1:2: zzz: unknown table; the tables are daemon, database, warm_restart, metrics, health, push`},
		{"unknown key", "[metrics]\nlistn = 1\n", `f:2:1: metrics.listn: unknown key; did you mean metrics.listen?`},
		{"unknown key, swapped letters", "[database]\nreids_host = ''\n", `f:2:1: database.reids_host: unknown key; did you mean database.redis_host?`},
		{"unknown key, no suggestion", "[health]\nfoo = 1\n", `f:2:1: health.foo: unknown key; the keys of [health] are ` + strings.Join(keysOf("health"), ", ")},
		{"key of another table", "[daemon]\nexport_format = 'json'\n", `f:2:1: daemon.export_format: unknown key; did you mean metrics.export_format?`},
		{"key outside of a table", "redis_port = 1\n", `f:1:1: redis_port: unknown key outside of any table; did you mean database.redis_port?`},
		{"key outside of a table, no suggestion", "zzz = 1\n", `f:1:1: zzz: unknown key outside of any table; the tables are daemon, database, warm_restart, metrics, health, push`},
		{"sub-table", "[metrics.tls]\ncert = ''\n", `f:1:10: metrics.tls: unknown key; the keys of [metrics] are ` + strings.Join(keysOf("metrics"), ", ")},
		{"key that needs quotes", "[daemon]\n\"log level\" = 1\n", `f:2:1: daemon."log level": unknown key; did you mean daemon.log_level?`},
		{"table set to a value", "health = 5\n", `f:1:10: health: expected a table, got 5`},

		{"boolean", "[daemon]\nenabled = 1\n", `f:2:11: daemon.enabled: expected true or false, got 1`},
		{"boolean in quotes", "[daemon]\nenabled = 'true'\n", `f:2:11: daemon.enabled: expected true or false, got "true"`},
		{"integer in quotes", "[database]\nredis_port = \"6379\"\n", `f:2:14: database.redis_port: expected an integer from 1 to 65535, got "6379"`},
		{"integer from float", "[health]\nmax_stall_seconds = 1.0\n", `f:2:21: health.max_stall_seconds: expected an integer from 1 to 3600 (seconds), got 1.0`},
		{"integer from array", "[health]\nmax_stall_seconds = [1]\n", `f:2:21: health.max_stall_seconds: expected an integer from 1 to 3600 (seconds), got an array`},
		{"integer from table", "[health]\nmax_stall_seconds.x = 1\n", `f:2:1: health.max_stall_seconds: expected an integer from 1 to 3600 (seconds), got a table`},
		{"string", "[database]\nredis_host = true\n", `f:2:14: database.redis_host: expected a host name or an IP address, got true`},
		{"enumeration", "[metrics]\nexport_format = 'promethus'\n", `f:2:17: metrics.export_format: expected "prometheus", "json" or "both", got "promethus"; did you mean "prometheus"?`},
		{"enumeration, no suggestion", "[metrics]\nexport_format = 'xml'\n", `f:2:17: metrics.export_format: expected "prometheus", "json" or "both", got "xml"`},
		{"number", "[health]\nmax_failure_rate_percent = '5%'\n", `f:2:28: health.max_failure_rate_percent: expected a number from 0 to 100 (percent), got "5%"`},
		{"number nan", "[health]\nmax_failure_rate_percent = nan\n", `f:2:28: health.max_failure_rate_percent: expected a number from 0 to 100 (percent), got nan`},
		{"number too large", "[health]\nmax_failure_rate_percent = inf\n", `f:2:28: health.max_failure_rate_percent: expected a number from 0 to 100 (percent), got +inf`},
		{"relative path", "[warm_restart]\nstate_file = 'x.json'\n", `f:2:14: warm_restart.state_file: expected an absolute path or "", got "x.json"`},
		{"home directory", "[metrics]\nstorage_path = '~/metrics'\n", `f:2:16: metrics.storage_path: expected an absolute path or "", got "~/metrics"`},
		{"path with NUL", "[warm_restart]\nstate_file = \"/x\\u0000\"\n", `f:2:14: warm_restart.state_file: expected an absolute path or "", got "/x\x00"`},
		{"host", "[database]\nredis_host = '10.0.0.300'\n", `f:2:14: database.redis_host: expected a host name or an IP address, got "10.0.0.300"`},
		{"host empty", "[database]\nredis_host = ''\n", `f:2:14: database.redis_host: expected a host name or an IP address, got ""`},
		{"device", "[metrics]\ndevice = 'sixteencharacter'\n", `f:2:10: metrics.device: expected an interface name of at most 15 bytes or "", got "sixteencharacter"`},

		{"listen without port", "[metrics]\nlisten = 'localhost'\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got "localhost": missing port in address`},
		{"listen IPv6 without brackets", "[metrics]\nlisten = '::1:9101'\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got "::1:9101": too many colons in address`},
		{"listen port", "[metrics]\nlisten = ':65536'\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got ":65536": the port must be a number from 0 to 65535`},
		{"listen host", "[metrics]\nlisten = 'a b:1'\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got "a b:1": the host is neither a name nor an IP address`},
		{"listen socket", "[metrics]\nlisten = 'unix:run/x'\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got "unix:run/x": the path of a socket must be absolute and at most 107 bytes long`},
		{"listen port name", "[metrics]\nlisten = ':http'\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got ":http": the port must be a number from 0 to 65535`},
		{"listen number", "[metrics]\nlisten = [9101]\n", `f:2:11: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got 9101`},
		{"listen twice", "[metrics]\nlisten = [':1',\n ':1']\n", `f:3:2: metrics.listen: address ":1" is listed twice`},
		{"host name", "[metrics]\nhost_names = '192.0.2.1'\n", `f:2:14: metrics.host_names: expected a host name or an array of them, got "192.0.2.1": a host name consists of letters, digits, '-', '_' and '.', and is not an IP address`},
		{"host name twice", "[metrics]\nhost_names = ['a', 'A']\n", `f:2:20: metrics.host_names: name "A" is listed twice`},
		{"host names too many", "[metrics]\nhost_names = [" + strings.Repeat("'a',", 65) + "]\n", `f:2:14: metrics.host_names: expected at most 64 names, got 65`},
		{"listen too many", "[metrics]\nlisten = [" + strings.Repeat("':1',", 17) + "]\n", `f:2:10: metrics.listen: expected at most 16 addresses, got 17`},

		{"digest keeps a secret", "[metrics]\nbearer_token_sha256 = 'hunter2'\n", `f:2:23: metrics.bearer_token_sha256: expected a SHA-256 as 64 hexadecimal digits or "", got a string of 7 characters`},
		{"digest type", "[metrics]\nbearer_token_sha256 = 123456\n", `f:2:23: metrics.bearer_token_sha256: expected a SHA-256 as 64 hexadecimal digits or "", got an integer`},
		{"digest of zeros", "[metrics]\nbearer_token_sha256 = '" + strings.Repeat("0", 64) + "'\n", `f:2:23: metrics.bearer_token_sha256: expected a SHA-256 as 64 hexadecimal digits or "", got only zeros`},
		{"username", "[metrics]\nbasic_username = 'a:b'\nbasic_password_sha256 = '" + hexDigest + "'\n", `f:2:18: metrics.basic_username: expected a name without ':' or "", got "a:b"`},

		{"certificate without key", "[metrics]\ntls_cert_file = '/c'\n", `f:2:17: metrics.tls_cert_file: requires metrics.tls_key_file`},
		{"key without certificate", "[metrics]\ntls_key_file = '/k'\n", `f:2:16: metrics.tls_key_file: requires metrics.tls_cert_file`},
		{"CA without certificate", "[metrics]\ntls_client_ca_file = '/a'\n", `f:2:22: metrics.tls_client_ca_file: requires metrics.tls_cert_file`},
		{"user without password", "[metrics]\nbasic_username = 'u'\n", `f:2:18: metrics.basic_username: requires metrics.basic_password_sha256`},
		{"password without user", "[metrics]\nbasic_password_sha256 = '" + hexDigest + "'\n", `f:2:25: metrics.basic_password_sha256: requires metrics.basic_username`},
		{"profiling on a public address", "[metrics]\nprofiling = true\nlisten = ['127.0.0.1:1', ':2']\n", `f:2:13: metrics.profiling: profiling is only allowed on loopback addresses and unix sockets, but metrics.listen contains ":2"`},
		{"invalid required setting is reported once", "[metrics]\ntls_cert_file = '/c'\ntls_key_file = 'k'\n", `f:3:16: metrics.tls_key_file: expected an absolute path or "", got "k"`},
		{"secret without quotes", "[metrics]\nbearer_token_sha256 = hunter2\n", "f:2:23: metrics.bearer_token_sha256: invalid value (not shown, as it may be a secret)"},
		{"secret of digits", "[metrics]\nbearer_token_sha256 = 0123\n", "f:2:23: metrics.bearer_token_sha256: invalid value (not shown, as it may be a secret)"},
		{"unparsable required setting is reported once", "[metrics]\ntls_cert_file = '/c'\ntls_key_file = /k\n", `f:3:16: metrics.tls_key_file: expected quotes around /k: tls_key_file = "/k"`},
		{"boolean in words", "[metrics]\nper_port = yes # as in YAML\n", `f:2:12: metrics.per_port: expected true or false, got yes; for example per_port = true`},
		{"negation in words", "[metrics]\nper_port = No\n", `f:2:12: metrics.per_port: expected true or false, got No; for example per_port = false`},
		{"address without quotes", "[metrics]\nlisten = 0.0.0.0:9101\n", `f:2:10: metrics.listen: expected quotes around 0.0.0.0:9101: listen = "0.0.0.0:9101"`},
		{"addresses without quotes", "[metrics]\nlisten = [:1, \":2\"]\n", `f:2:11: metrics.listen: expected quotes around :1 in the array: ":1"`},
		{"addresses without quotes, on lines of their own", "[metrics]\nlisten = [\n  \":2\", # public\n  0.0.0.0:9101,\n  eth0\n]\n", `f:4:3: metrics.listen: expected quotes around 0.0.0.0:9101 in the array: "0.0.0.0:9101"` + "\n" +
			`f:5:3: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got eth0; for example listen = ["127.0.0.1:9101"]`},
		{"value without quotes after an array", "[metrics]\nlisten = [:1]\ndevice = mgmt\n", `f:2:11: metrics.listen: expected quotes around :1 in the array: ":1"` + "\n" + `f:3:10: metrics.device: expected quotes around mgmt: device = "mgmt"`},
		{"bad address without quotes", "[metrics]\nlisten = 0.0.0.0\n", `f:2:10: metrics.listen: expected "host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them, got 0.0.0.0; for example listen = "127.0.0.1:9101"`},
		{"duration", "[metrics]\nsave_interval_secs = 5m\n", `f:2:22: metrics.save_interval_secs: expected an integer from 1 to 86400 (seconds), got 5m; for example save_interval_secs = 300`},

		{"syntax", "[daemon]\nenabled true\n", `f:2:9: daemon.enabled: expected '=' after the key, got 't'`},
		{"duplicate key", "[daemon]\nenabled = true\n\nenabled = false\n", `f:4:1: daemon.enabled: key is already set on line 2`},
		{"duplicate table", "[daemon]\n[health]\n[daemon]\n", `f:3:2: daemon: table is already defined on line 1`},
		{"not supported", "[[metrics]]\n", `f:1:1: metrics: arrays of tables are not supported`},
		{"column counts characters", "[daemon]\n\"ключ\" = 'ü' x\nlog_level = 'ß'\n", "f:2:1: daemon.\"ключ\": unknown key; the keys of [daemon] are enabled, log_level, log_format\n" +
			"f:2:14: daemon.\"ключ\": expected the end of the line, got 'x'\n" +
			`f:3:13: daemon.log_level: expected "emerg", "alert", "crit", "error", "warn", "notice", "info" or "debug", got "ß"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.src))
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("Parse(%q) = %v, want Errors", tt.src, err)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("Parse(%q)\n got %s\nwant %s", tt.src, got, tt.want)
			}
		})
	}
}

// TestMostEndpoints checks that maxEndpoints addresses are accepted.
func TestMostEndpoints(t *testing.T) {
	var list []string
	for port := range maxEndpoints {
		list = append(list, fmt.Sprintf("':%d'", port+1))
	}
	if c := mustParse(t, "metrics.listen = ["+strings.Join(list, ", ")+"]"); len(c.Metrics.Listen) != maxEndpoints {
		t.Errorf("%d addresses, want %d", len(c.Metrics.Listen), maxEndpoints)
	}
}

// TestIntegerRanges checks each integer setting at its limits and one beyond.
func TestIntegerRanges(t *testing.T) {
	tests := []struct {
		key    string
		lo, hi int64
	}{
		{"database.redis_port", 1, 65535},
		{"warm_restart.eoiu_timeout_secs", 1, 3600},
		{"warm_restart.history_max_restarts", 1, 10000},
		{"metrics.save_interval_secs", 1, 86400},
		{"metrics.retention_days", 1, 3650},
		{"metrics.max_file_size_mb", 1, 1024},
		{"health.max_stall_seconds", 1, 3600},
		{"health.max_failure_rate_percent", 0, 100},
		{"health.audit_interval_secs", 0, 86400},
		{"push.interval_secs", 1, 3600},
		{"push.queue_batches", 1, 1000},
	}
	for _, tt := range tests {
		for value, valid := range map[int64]bool{tt.lo - 1: false, tt.lo: true, tt.hi: true, tt.hi + 1: false, -1 << 63: false} {
			c, err := Parse("f", fmt.Appendf(nil, "%s = %d", tt.key, value))
			if (err == nil) != valid {
				t.Errorf("%s = %d: error %v, want valid = %v", tt.key, value, err, valid)
			}
			standard := Default()
			want := fmt.Sprint(value)
			if !valid {
				want = settingOf(tt.key).encode(&standard)
			}
			if got := strings.TrimSuffix(settingOf(tt.key).encode(&c), ".0"); got != strings.TrimSuffix(want, ".0") {
				t.Errorf("%s = %d: the setting is %s, want %s", tt.key, value, got, want)
			}
		}
	}
}

// TestAllErrorsInOneRun checks that errors of syntax, type, range and name in one file are all
// reported, and that the valid settings between them are used.
func TestAllErrorsInOneRun(t *testing.T) {
	c, err := Parse("portsyncd.conf", []byte(`[daemon]
enabled = maybe
log_level = "debug"
[databse]
redis_port = 1
[database]
redis_port = 0
redis_host = "unclosed
config_file = "/x"
[warm_restart
enabled = false
[health]
max_stall_seconds = 1 2
audit_interval_secs = 5
max_failure_rate_percent = 101
`))
	want := `portsyncd.conf:2:11: daemon.enabled: expected true or false, got maybe; for example enabled = true
portsyncd.conf:4:2: databse: unknown table; did you mean database?
portsyncd.conf:7:14: database.redis_port: expected an integer from 1 to 65535, got 0
portsyncd.conf:8:14: database.redis_host: string is not closed on its line, expected "
portsyncd.conf:10:14: warm_restart: expected ']' after the table name, got the end of the line
portsyncd.conf:13:23: health.max_stall_seconds: expected the end of the line, got '2'
portsyncd.conf:15:28: health.max_failure_rate_percent: expected a number from 0 to 100 (percent), got 101`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if c.Daemon.LogLevel != Debug || c.Database.ConfigFile != "/x" || c.Health.AuditInterval != 5*time.Second {
		t.Errorf("a valid setting was not used: %+v", c)
	}
	standard := Default()
	if !c.Daemon.Enabled || c.Database.RedisPort != standard.Database.RedisPort || c.Database.RedisHost != standard.Database.RedisHost || !c.WarmRestart.Enabled || c.Health.MaxFailureRatePercent != 5 {
		t.Errorf("an invalid setting does not have its default: %+v", c)
	}
}

// TestErrorsAreBounded checks that at most MaxErrors errors and a note are returned.
func TestErrorsAreBounded(t *testing.T) {
	for _, line := range []string{"x = 1\n", "= 1\n", "[x]\n", "[daemon]\n"} {
		_, err := Parse("f", []byte(strings.Repeat(line, 1000)))
		var errs Errors
		if !errors.As(err, &errs) || len(errs) > toml.MaxErrors+1 {
			t.Fatalf("%q: %d errors, want at most %d", line, len(errs), toml.MaxErrors+1)
		}
	}
	_, err := Parse("f", []byte(manyKeys(1000)))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != toml.MaxErrors+1 || errs[toml.MaxErrors].Msg != "too many errors; the rest are not listed" {
		t.Errorf("1000 unknown keys: %d errors, the last is %v", len(errs), errs[len(errs)-1])
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d = 1\n", i)
	}
	return b.String()
}

// TestExposure checks that errors which may affect access to the HTTP listener reset all its
// settings, and that other errors do not.
func TestExposure(t *testing.T) {
	const open = "[metrics]\nlisten = ':9101'\nbasic_username = 'u'\nbasic_password_sha256 = '" + hexDigest + "'\n"
	tests := []struct {
		name, src string
		reset     bool
	}{
		{"no error", open, false},
		{"error in another table", open + "[health]\nmax_stall_seconds = 0\n", false},
		{"unknown key in another table", open + "[health]\nx = 0\n", false},
		{"harmless key of the table", open + "save_interval_secs = 0\n", false},
		{"bad digest", "[metrics]\nlisten = ':9101'\nbearer_token_sha256 = 'x'\n", true},
		{"misspelled key", "[metrics]\nlisten = ':9101'\nbearer_token_sha265 = '" + hexDigest + "'\n", true},
		{"misspelled table", "metrics.listen = ':9101'\n[metric]\nbearer_token_sha256 = '" + hexDigest + "'\n", true},
		{"broken header", "metrics.listen = ':9101'\n[metrics\nbearer_token_sha256 = '" + hexDigest + "'\n", true},
		{"unclosed string", "[metrics]\nlisten = ':9101'\nexport_format = \"\"\"json\nbearer_token_sha256 = '" + hexDigest + "'\n", true},
		{"as many errors as are listed", open + "[health]\n" + manyKeys(toml.MaxErrors), false},
		{"more errors than are listed", open + "[health]\n" + manyKeys(60), true},
		{"certificate without key", open + "tls_cert_file = '/c'\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := Parse("f", []byte(tt.src))
			isDefault := reflect.DeepEqual(c.Metrics.Listen, Default().Metrics.Listen) && c.Metrics.BasicUsername == "" && !c.IsSet("metrics.listen")
			if isDefault != tt.reset {
				t.Errorf("listen %v, user %q, want defaults: %v", c.Metrics.Listen, c.Metrics.BasicUsername, tt.reset)
			}
			if named := slices.Contains(c.Reset(), "metrics.listen"); named != tt.reset {
				t.Errorf("Reset() = %q, want metrics.listen in it: %v", c.Reset(), tt.reset)
			}
		})
	}
}

// TestFileNameIsPrintable checks that file names with unprintable characters are quoted in errors.
func TestFileNameIsPrintable(t *testing.T) {
	for _, name := range []string{"a\nb", "\na", "a\x00", "\xff"} {
		_, err := Parse(name, []byte("="))
		if want := fmt.Sprintf("%q:1:1: expected a key, got '='", name); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
