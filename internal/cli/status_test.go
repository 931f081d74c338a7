package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"portsyncd/config"
	"portsyncd/internal/statusview"
)

// TestConfiguredTargets checks the targets for settings of metrics.listen: unix sockets first, and
// loopback addresses for listeners on all addresses.
func TestConfiguredTargets(t *testing.T) {
	f := func(settings, want string) {
		t.Helper()
		cfg, err := config.Parse("a.conf", []byte("[metrics]\n"+settings))
		if err != nil {
			t.Fatal(err)
		}
		targets, err := configuredTargets(&cfg.Metrics, new(access))
		var got []string
		for _, target := range targets {
			got = append(got, target.name+" "+target.url)
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if all := strings.Join(got, ", "); !strings.HasPrefix(all, want) {
			t.Errorf("%s: got %s, want %s", settings, all, want)
		}
	}
	f(``, "127.0.0.1:9101 http://127.0.0.1:9101/status")
	f(`listen = ["10.0.0.1:1", "unix:/run/s", "[::1]:2"]`,
		"unix:/run/s http://portsyncd/status, 10.0.0.1:1 http://10.0.0.1:1/status, [::1]:2 http://[::1]:2/status")
	f(`listen = [":9101", "0.0.0.0:1", "[::]:2"]`,
		":9101 http://127.0.0.1:9101/status, 0.0.0.0:1 http://127.0.0.1:1/status, [::]:2 http://[::1]:2/status")
	f("listen = \":1\"\ntls_cert_file = \"/c\"\ntls_key_file = \"/k\"", ":1 https://127.0.0.1:1/status")
	f(`listen = "127.0.0.1:0"`, "metrics.listen has only port 0")
	f(`listen = []`, "metrics.listen is empty")
	f(`enabled = false`, "metrics.enabled is false")
}

// TestGivenTarget checks the forms of --address, and that an error does not repeat a password.
func TestGivenTarget(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		target, err := givenTarget(address, new(access))
		got := target.name + " " + target.url
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
	f("localhost:9101", "http://localhost:9101 http://localhost:9101/status")
	f(":9101", "http://127.0.0.1:9101/status")
	f("[::1]:1", "http://[::1]:1/status")
	f("unix:/run/s", "unix:/run/s http://portsyncd/status")
	f("https://leaf1", "https://leaf1 https://leaf1/status")
	f("https://leaf1:1/", "https://leaf1:1 https://leaf1:1/status")
	f("https://proxy/leaf1/status", "https://proxy/leaf1/status https://proxy/leaf1/status")
	for _, bad := range []string{"", "localhost", "localhost:", "unix:", "unix:s", "ftp://x", "http://", "http://x\x7f/", "::1"} {
		f(bad, "must be unix:/PATH, HOST:PORT")
	}
	f("http://admin:hunter2@leaf1", "credentials")
	if _, err := givenTarget("http://admin:hunter2@leaf1", new(access)); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats the password: %v", err)
	}
}

// TestIsUTF8 checks which locale variables decide, and the names of UTF-8 locales.
func TestIsUTF8(t *testing.T) {
	f := func(want bool, env map[string]string) {
		t.Helper()
		if got := isUTF8(func(name string) string { return env[name] }); got != want {
			t.Errorf("%q: got %t, want %t", env, got, want)
		}
	}
	f(false, nil)
	f(true, map[string]string{"LANG": "de_DE.UTF-8"})
	f(true, map[string]string{"LC_CTYPE": "C.utf8", "LANG": "C"})
	f(false, map[string]string{"LC_ALL": "C", "LANG": "en_US.UTF-8"})
	f(false, map[string]string{"LANG": "de_DE.ISO-8859-1"})
}

// TestFrame checks that the frame of an error overwrites the previous frame line by line, and that
// control characters in the error are escaped.
func TestFrame(t *testing.T) {
	term := statusview.Terminal{Width: 60, Height: 3}
	got := string(frame(statusview.AppendNotice(nil, "no daemon at \x1b[2J"+strings.Repeat(" and elsewhere", 20), term)))
	want := CursorHome + `no daemon at \x1b[2J and elsewhere`
	if !strings.HasPrefix(got, want) || strings.Count(got, clearLine+"\r\n") != 3 || !strings.HasSuffix(got, "\r\n"+ClearBelow) {
		t.Errorf("got frame %q, want %q at its beginning and 3 lines", got, want)
	}
}

// TestPrintError checks that an error of several lines with control characters is printed in one
// line, escaped.
func TestPrintError(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	var out bytes.Buffer
	printError(&out, "status", errors.Join(errors.New("one\x1b[1m"), fmt.Errorf("two %q", `a\b`)))
	if want := `portsyncd status: one\x1b[1m; two "a\\b"` + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}
