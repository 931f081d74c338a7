package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portsyncd/config"
)

// hangUpReload sends SIGHUP and waits until the daemon has said that it is ready
// again. It returns the log lines of the reload.
func (c *cell) hangUpReload(d *program) []logLine {
	c.t.Helper()
	lines, states := c.logs.len(), d.states.len()
	d.signal(syscall.SIGHUP)
	d.awaitState(states, patience, "RELOADING=1")
	d.awaitState(states, patience, "READY=1")
	c.logs.await(lines, patience, func(l logLine) bool { return l.has("configuration read") || l.has("not reloaded") })
	said, _ := c.logs.from(lines)
	return said
}

// TestBadReload reads a file again that is broken in one way or the other: none
// of its settings is taken over, none of those in effect is lost, and each line
// about it says so.
func TestBadReload(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	const good = "[metrics]\nexport_format = \"json\"\n"
	conf := c.config(good)
	d := c.start(launch{args: []string{"-c", conf}})
	d.awaitReady()
	s := newSite(t, httpAddress)
	for _, bad := range []struct {
		name string
		make func()
		says string
	}{
		{"error in another table", func() { c.config("[metrics]\nexport_format = \"prometheus\"\n[health]\nmax_stall_seconds = 0\n") }, ":4:21: health.max_stall_seconds"},
		{"not TOML", func() { c.config("[metrics]\nexport_format = \"prometheus\"\n[health\n") }, ":3:8: health"},
		{"unknown key", func() { c.config("[metrics]\nexport_format = \"prometheus\"\nlistn = 1\n") }, "did you mean metrics.listen?"},
		{"empty", func() { c.config("") }, "the file sets nothing"},
		{"comments", func() { c.config("# to be filled in\n[metrics]\n") }, "the file sets nothing"},
		{"absent", func() { c.must("remove", os.Remove(conf)) }, "no such file"},
		{"a directory", func() { c.must("make a directory", os.Mkdir(conf, 0o755)) }, "is a directory"},
	} {
		t.Run(strings.ReplaceAll(bad.name, " ", "_"), func(t *testing.T) {
			bad.make()
			said := fmt.Sprint(c.hangUpReload(d))
			for _, want := range []string{bad.says, "keeping the settings in effect"} {
				if !strings.Contains(said, want) {
					t.Errorf("no %q in the log: %s", want, said)
				}
			}
			for _, never := range []string{"default", "setting changed", "configuration read"} {
				if strings.Contains(strings.ReplaceAll(said, "go back to the defaults", ""), never) {
					t.Errorf("%q in the log: %s", never, said)
				}
			}
			if got := s.ask("GET", "/metrics").header.Get("Content-Type"); got != jsonText {
				t.Errorf("/metrics is %s after the reload, want %s", got, jsonText)
			}
		})
	}
	c.must("remove the directory", os.Remove(conf))
	c.config("[metrics]\nexport_format = \"prometheus\"\n")
	if said := fmt.Sprint(c.hangUpReload(d)); !strings.Contains(said, "changes=1 need_restart=0") {
		t.Errorf("the log of a good file: %s", said)
	}
	if got := s.ask("GET", "/metrics").header.Get("Content-Type"); got == jsonText {
		t.Errorf("/metrics is %s after a good file", got)
	}
}

// TestReloadWithoutFile: a daemon that was told of no configuration file and finds
// none reloads without a complaint.
func TestReloadWithoutFile(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	d := c.start(launch{})
	d.awaitReady()
	if said := fmt.Sprint(c.hangUpReload(d)); !strings.Contains(said, "configuration read file=none changes=0") || strings.Contains(said, "not reloaded") {
		t.Errorf("the log: %s", said)
	}
}

// TestVanishedFile: a file that is not required is missed once it was read.
func TestVanishedFile(t *testing.T) {
	d := &process{file: filepath.Join(t.TempDir(), "portsyncd.conf"), inEffect: config.Default()}
	if _, err := d.reread(); err != nil {
		t.Errorf("without a file: %v", err)
	}
	writeFile(t, d.file, "[health]\nmax_stall_seconds = 5\n")
	next, err := d.reread()
	if err != nil {
		t.Fatal(err)
	}
	d.inEffect, _ = d.inEffect.Reload(next)
	if err := os.Remove(d.file); err != nil {
		t.Fatal(err)
	}
	if _, err := d.reread(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the file: %v, want %v", err, fs.ErrNotExist)
	}
}

// TestReloadKeepsProtection: no reload leaves a listener open that asked for
// credentials, whatever became of the file; credentials wait with the listener,
// and are applied once the file has the running listener again.
func TestReloadKeepsProtection(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	token := func(secret string) string {
		return fmt.Sprintf("bearer_token_sha256 = %q\n", fmt.Sprintf("%x", sha256.Sum256([]byte(secret))))
	}
	const listen = "[metrics]\nlisten = \"" + httpAddress + "\"\n"
	conf := c.config(listen + token("first"))
	d := c.start(launch{args: []string{"-c", conf}})
	d.awaitReady()
	s := newSite(t, httpAddress)
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
				c.config(next.text)
				if next.text == "absent" {
					c.must("remove the file", os.Remove(conf))
				}
				if said := fmt.Sprint(c.hangUpReload(d)); !strings.Contains(said, next.says) {
					t.Errorf("no %q in the log: %s", next.says, said)
				}
			}
			for secret, code := range map[string]int{"": 401, "first": 401, "second": 401, next.admitted: 200} {
				if a := s.ask("GET", "/metrics", "Authorization: Bearer "+secret); a.code != code {
					t.Errorf("token %q: %d, want %d", secret, a.code, code)
				}
			}
		})
	}
}
