package process

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// reload sends SIGHUP, waits for READY=1 and returns the log lines of the reload.
func reload(sw *switchtest.Switch, d *switchtest.Daemon) []switchtest.LogLine {
	sw.T.Helper()
	lines, states := sw.Logs.Len(), d.Notifications.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitNotification(states, switchtest.Timeout, "RELOADING=1")
	d.AwaitNotification(states, switchtest.Timeout, "READY=1")
	sw.Logs.Await(lines, switchtest.Timeout, func(l switchtest.LogLine) bool { return l.Has("configuration reloaded") || l.Has("not reloaded") })
	said, _ := sw.Logs.From(lines)
	return said
}

// TestBadReload reloads files that are broken in different ways. The daemon must keep the settings
// in effect, and each log line must say so.
func TestBadReload(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	const good = "[metrics]\nexport_format = \"json\"\n"
	conf := sw.WriteConfig(good)
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	d.AwaitReady()
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	for _, bad := range []struct {
		name string
		make func()
		says string
	}{
		{"error in another table", func() { sw.WriteConfig("[metrics]\nexport_format = \"prometheus\"\n[health]\nmax_stall_seconds = 0\n") }, ":4:21: health.max_stall_seconds"},
		{"not TOML", func() { sw.WriteConfig("[metrics]\nexport_format = \"prometheus\"\n[health\n") }, ":3:8: health"},
		{"unknown key", func() { sw.WriteConfig("[metrics]\nexport_format = \"prometheus\"\nlistn = 1\n") }, "did you mean metrics.listen?"},
		{"empty", func() { sw.WriteConfig("") }, "the file contains no settings"},
		{"comments", func() { sw.WriteConfig("# to be filled in\n[metrics]\n") }, "the file contains no settings"},
		{"absent", func() { sw.NoError("remove", os.Remove(conf)) }, "no such file"},
		{"a directory", func() { sw.NoError("make a directory", os.Mkdir(conf, 0o755)) }, "is a directory"},
	} {
		t.Run(strings.ReplaceAll(bad.name, " ", "_"), func(t *testing.T) {
			bad.make()
			said := fmt.Sprint(reload(sw, d))
			for _, want := range []string{bad.says, "keeping the settings in effect"} {
				if !strings.Contains(said, want) {
					t.Errorf("no %q in the log: %s", want, said)
				}
			}
			for _, never := range []string{"default", "setting changed", "configuration reloaded"} {
				if strings.Contains(strings.ReplaceAll(said, "restart to use the defaults", ""), never) {
					t.Errorf("%q in the log: %s", never, said)
				}
			}
			if got := client.Request("GET", "/metrics").Header.Get("Content-Type"); got != switchtest.JSONType {
				t.Errorf("/metrics is %s after the reload, want %s", got, switchtest.JSONType)
			}
		})
	}
	sw.NoError("remove the directory", os.Remove(conf))
	sw.WriteConfig("[metrics]\nexport_format = \"prometheus\"\n")
	if said := fmt.Sprint(reload(sw, d)); !strings.Contains(said, "changes=1 need_restart=0") {
		t.Errorf("the log of a good file: %s", said)
	}
	if got := client.Request("GET", "/metrics").Header.Get("Content-Type"); got == switchtest.JSONType {
		t.Errorf("/metrics is %s after a good file", got)
	}
	sw.CheckSelfReport(d)
}

// TestReloadWithoutFile checks that a reload logs no error if the daemon was started without a
// configuration file and there is none.
func TestReloadWithoutFile(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	d := sw.Start(switchtest.StartOptions{})
	d.AwaitReady()
	if said := fmt.Sprint(reload(sw, d)); !strings.Contains(said, "configuration reloaded file=none changes=0") || strings.Contains(said, "not reloaded") {
		t.Errorf("the log: %s", said)
	}
}

// TestReloadKeepsProtection checks that a listener which requires credentials requires them after
// every reload, whatever happened to the file. New credentials are applied when the file has the
// running listener again.
func TestReloadKeepsProtection(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	token := func(secret string) string {
		return fmt.Sprintf("bearer_token_sha256 = %q\n", fmt.Sprintf("%x", sha256.Sum256([]byte(secret))))
	}
	const listen = "[metrics]\nlisten = \"" + switchtest.HTTPAddress + "\"\n"
	conf := sw.WriteConfig(listen + token("first"))
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	d.AwaitReady()
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	for _, next := range []struct{ name, text, says, admitted string }{
		{"start", "", "", "first"},
		{"absent", "absent", "not reloaded", "first"},
		{"empty", "", "not reloaded", "first"},
		{"cut short", listen, "a reload does not remove the last credentials", "first"},
		{"elsewhere without token", "[metrics]\nlisten = \"127.0.0.1:9102\"\n", "changes together with metrics.listen", "first"},
		{"elsewhere with another token", "[metrics]\nlisten = \"127.0.0.1:9102\"\n" + token("second"), "changes together with metrics.listen", "first"},
		{"elsewhere read again", "[metrics]\nlisten = \"127.0.0.1:9102\"\n" + token("second"), "changes together with metrics.listen", "first"},
		{"another token", listen + token("second"), "changes=1 need_restart=0", "second"},
	} {
		t.Run(strings.ReplaceAll(next.name, " ", "_"), func(t *testing.T) {
			if next.name != "start" {
				sw.WriteConfig(next.text)
				if next.text == "absent" {
					sw.NoError("remove the file", os.Remove(conf))
				}
				if said := fmt.Sprint(reload(sw, d)); !strings.Contains(said, next.says) {
					t.Errorf("no %q in the log: %s", next.says, said)
				}
			}
			for secret, code := range map[string]int{"": 401, "first": 401, "second": 401, next.admitted: 200} {
				if a := client.Request("GET", "/metrics", "Authorization: Bearer "+secret); a.Code != code {
					t.Errorf("token %q: %d, want %d", secret, a.Code, code)
				}
			}
		})
	}
}
