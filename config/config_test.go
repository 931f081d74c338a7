package config

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t *testing.T, src string) Config {
	t.Helper()
	c, err := Parse("portsyncd.conf", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEmptyFileIsDefault checks that Parse returns Default for an empty file.
func TestEmptyFileIsDefault(t *testing.T) {
	c := mustParse(t, "")
	c.origins = nil
	if want := Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("wrong settings: %v", want.Diff(c))
	}
}

// TestEffective checks that Effective writes each setting with its origin, and that Parse reads the
// same settings back.
func TestEffective(t *testing.T) {
	c := mustParse(t, "[metrics]\nlisten = [':1', 'unix:/s']\n\n[health]\nmax_failure_rate_percent = 5\n")
	c.ResolvePaths(func(string) string { return "" }, func(dir string) bool { return dir == "/var/warmboot" })
	var b bytes.Buffer
	if err := c.Effective(&b, nowhere); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"[daemon]",
		"enabled = true # default",
		"state_file = \"/var/warmboot/portsyncd/port_state.json\" # default (/var/warmboot exists)",
		"listen = [\":1\", \"unix:/s\"] # portsyncd.conf:2",
		"max_failure_rate_percent = 5.0 # portsyncd.conf:5",
	} {
		if !slices.Contains(strings.Split(b.String(), "\n"), line) {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
	if text := b.String(); !strings.HasPrefix(text, "[daemon]\n") || strings.Count(text, "\n\n[") != len(tables())-1 {
		t.Errorf("want the tables separated by empty lines:\n%s", text)
	}
	again := mustParse(t, b.String())
	if d := c.Diff(again); d != nil {
		t.Errorf("Parse of the output differs in %v", d)
	}
	if err := c.Effective(brokenWriter{}, nowhere); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want the writer's", err)
	}
}

func nowhere(string) bool { return false }

// TestEffectiveSaysWhatIsNotUsed checks the comment of settings that are overridden by another
// setting or by the database map.
func TestEffectiveSaysWhatIsNotUsed(t *testing.T) {
	const theMap = "; not used: " + DefaultDatabaseConfig + " exists"
	tests := []struct {
		name, src string
		hasMap    bool
		want      string
	}{
		{"log level", "", false, `log_level = "notice" # default; used until the LOGGER row of CONFIG_DB is read`},
		{"map", "", true, "redis_port = 6379 # default" + theMap},
		{"map before socket", "database.unix_socket = '/s'", true, `unix_socket = "/s" # portsyncd.conf:1` + theMap},
		{"map itself", "", true, `config_file = "` + DefaultDatabaseConfig + `" # default`},
		{"no map", "", false, "redis_port = 6379 # default"},
		{"password with a map", "database.password_file = '/p'", true, `password_file = "/p" # portsyncd.conf:1`},
		{"user with a password", "database = {user = 'u', password_file = '/p'}", true, `user = "u" # portsyncd.conf:1`},
		{"user alone", "database.user = 'u'", false, `user = "u" # portsyncd.conf:1; not used: database.password_file is not set`},
		{"map turned off", "database.config_file = ''", true, "redis_port = 6379 # default"},
		{"socket", "database.unix_socket = '/s'", false, `redis_host = "127.0.0.1" # default; not used: database.unix_socket is set`},
		{"socket itself", "database.unix_socket = '/s'", false, `unix_socket = "/s" # portsyncd.conf:1`},
		{"no state", "warm_restart.enabled = false", false, `state_file = "/var/lib/sonic/portsyncd/port_state.json" # default; not used: warm_restart.enabled is false`},
		{"no metrics", "metrics.enabled = false", false, `listen = "127.0.0.1:9101" # default; not used: metrics.enabled is false`},
		{"series are pushed", "metrics.enabled = false", false, "per_port = true # default"},
		{"no push", "", false, "gzip = true # default; not used: push.url is empty"},
		{"push", "push.url = 'http://h/'", false, "gzip = true # default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustParse(t, tt.src)
			var b bytes.Buffer
			err := c.Effective(&b, func(path string) bool { return tt.hasMap && path == DefaultDatabaseConfig })
			if lines := strings.Split(b.String(), "\n"); err != nil || !slices.Contains(lines, tt.want) {
				t.Errorf("error %v, no line %q in\n%s", err, tt.want, b.String())
			}
		})
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// TestDiff checks the differences between two configurations, with secrets hidden.
func TestDiff(t *testing.T) {
	before := mustParse(t, "[daemon]\nlog_level = 'info'\n[metrics]\nbearer_token_sha256 = '"+hexDigest+"'\n")
	after := mustParse(t, "[daemon]\nlog_level = 'DEBUG'\n[database]\nredis_port = 1\n[health]\nmax_stall_seconds = 10\n")
	want := []Change{
		{Key: "daemon.log_level", Old: `"info"`, New: `"debug"`},
		{Key: "database.redis_port", Old: "6379", New: "1"},
		{Key: "metrics.bearer_token_sha256", Old: "(hidden)", New: `""`, Live: true},
	}
	if got := before.Diff(after); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
	if got := before.Diff(before); got != nil {
		t.Errorf("Diff of equal configurations: %v", got)
	}
}

// TestLiveKeys checks which settings take effect at a reload.
func TestLiveKeys(t *testing.T) {
	keys := LiveKeys()
	for key, want := range map[string]bool{"daemon.log_level": false, "health.audit_interval_secs": true, "database.redis_host": false, "metrics.listen": false} {
		if got := slices.Contains(keys, key); got != want {
			t.Errorf("%s in LiveKeys: %v, want %v", key, got, want)
		}
	}
}

// TestOrigin checks Origin and IsSet for settings in the file, defaults and empty paths.
func TestOrigin(t *testing.T) {
	c := mustParse(t, "[daemon]\n\nenabled = true\n[warm_restart]\nstate_file = ''\n")
	tests := []struct {
		key, want string
		isSet     bool
	}{
		{"daemon.enabled", "portsyncd.conf:3", true},
		{"daemon.log_level", "default", false},
		{"warm_restart.state_file", "default", false},
	}
	for _, tt := range tests {
		if got := c.Origin(tt.key); got != tt.want || c.IsSet(tt.key) != tt.isSet {
			t.Errorf("%s: origin %q, set %v; want %q, %v", tt.key, got, c.IsSet(tt.key), tt.want, tt.isSet)
		}
	}
}

// TestEndpointIsLocal checks IsLocal, and that String returns the parsed text.
func TestEndpointIsLocal(t *testing.T) {
	f := func(want bool, s string) {
		t.Helper()
		e, problem := parseEndpoint(s)
		if problem != "" {
			t.Fatalf("%q: %s", s, problem)
		}
		if e.IsLocal() != want || e.String() != s {
			t.Errorf("%q: IsLocal %v, String %q; want %v", s, e.IsLocal(), e, want)
		}
	}
	f(true, "127.0.0.1:9101")
	f(true, "127.9.9.9:9101")
	f(true, "[::1]:9101")
	f(true, "localhost:9101")
	f(true, "unix:/run/x")
	f(false, ":9101")
	f(false, "0.0.0.0:9101")
	f(false, "[::]:9101")
	f(false, "[fe80::1%eth0]:9101")
	f(false, "switch.example:9101")
	f(false, "128.0.0.1:0")
}

// TestEnumNames checks the names of the enumerations and the text of digests.
func TestEnumNames(t *testing.T) {
	if Emerg.String() != "emerg" || Debug.String() != "debug" || Warn != 4 || Debug != 7 {
		t.Error("log levels differ from the syslog severities")
	}
	if Prometheus.String() != "prometheus" || JSON.String() != "json" || Both.String() != "both" {
		t.Error("wrong names of export formats")
	}
	if (Digest{}).String() != "" || (Digest{1}).String() != "01"+strings.Repeat("0", 62) {
		t.Error("wrong text of a digest")
	}
}

// TestNearest checks which names are suggested.
func TestNearest(t *testing.T) {
	f := func(want, written string, candidates ...string) {
		t.Helper()
		if got := Nearest(written, candidates); got != want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", written, candidates, got, want)
		}
	}
	f("listen", "listn", "device", "listen")
	f("listen", "LISTEN", "device", "listen")
	f("enabled", "enable", "enabled")
	f("per_port", "per-port", "per_port")
	f("redis_host", "redis_hsot", "redis_port", "redis_host")
	f("", "foo", "bar", "listen")
	f("", "", "a")
	f("", strings.Repeat("a", 65), strings.Repeat("a", 64))
	f(strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 63))
	// One wrong letter is allowed in a name of one to three letters, two in one of four to six.
	f("a", "x", "a")
	f("abc", "abx", "abc")
	f("", "axx", "abc")
	f("abcd", "abxx", "abcd")
	f("", "axxx", "abcd")
}

// TestEditDistance checks insertions, deletions, replacements and transpositions.
func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"abc", "axc", 1}, {"abc", "ac", 1}, {"ac", "abc", 1}, {"kitten", "sitting", 3},
		{"ab", "ba", 1}, {"xab", "xba", 1}, {"abx", "bax", 1}, {"abcd", "badc", 2},
		{"ab", "xa", 2}, {"ab", "bx", 2}, {"ca", "abc", 3}, // transposed letters must be adjacent
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestLengths checks for each kind of string that the maximum length is accepted and one more is
// not.
func TestLengths(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		valid func(string) bool
		most  int
	}{
		"host":        {isHost, 253},
		"socket path": {func(s string) bool { return isSocketPath("/" + s[1:]) }, 107},
		"path":        {func(s string) bool { return isPath("/" + s[1:]) }, 4095},
		"device":      {isDevice, 15},
		"user name":   {isUsername, 255},
		"instance":    {isInstance, 255},
		"URL":         {func(s string) bool { return badPushURL("http://x/"+s[9:]) == "" }, 2048},
	} {
		if !c.valid(x(c.most)) || c.valid(x(c.most+1)) {
			t.Errorf("%s: %d characters valid: %v, %d characters valid: %v", name, c.most, c.valid(x(c.most)), c.most+1, c.valid(x(c.most+1)))
		}
	}
}
