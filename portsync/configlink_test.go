package portsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// TestConfigAlone checks which maps have CONFIG_DB on a server of its own, and that the error for a map
// with several bad entries is one line.
func TestConfigAlone(t *testing.T) {
	text := func(appl, config, state, separator string) string {
		database := func(name, instance string) string {
			return `"` + name + `": {"id": 0, "separator": "` + separator + `", "instance": "` + instance + `"}`
		}
		return `{"INSTANCES": {"a": {"unix_socket_path": "/a"}, "b": {"unix_socket_path": "/b"}}, "DATABASES": {` +
			database("APPL_DB", appl) + `, ` + database("CONFIG_DB", config) + `, ` + database("STATE_DB", state) + `}}`
	}
	for _, c := range []struct {
		text  string
		alone bool
		err   string
	}{
		{text("a", "a", "a", ":"), false, ""},
		{text("a", "b", "a", ":"), true, ""},
		{text("a", "b", "b", ":"), false, ""},
		{text("b", "b", "a", ":"), false, ""},
		{text("a", "b", "a", "/"), false, `DATABASES.CONFIG_DB.separator: invalid value "/"`},
		{text("nope", "b", "a", ":"), false, "INSTANCES.nope"},
		{text("a", "b", "nope", ":"), false, "INSTANCES.nope"},
	} {
		m, err := sonicdb.ParseMap("map", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		alone, err := configAlone(m)
		if alone != c.alone || (err == nil) != (c.err == "") {
			t.Errorf("%s: %t, %v, want %t and the error %q", c.text, alone, err, c.alone, c.err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: error %q, want one line with %q", c.text, err, c.err)
		}
	}
}

// TestConfigErrorOfSessions checks that a new session neither reports an unreachable CONFIG_DB as
// connected before it has tried to connect, nor keeps the error after the first success, and that the
// link of an ended session changes nothing.
func TestConfigErrorOfSessions(t *testing.T) {
	_, first := serveLab(t)
	_, second := serveLab(t)
	server := filepath.Join(t.TempDir(), "none")
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none")})
	c := Connector{Logs: logs, Log: slog.New(logs), status: &Status{wakeups: make(chan struct{}, 1)},
		Map: func() (*sonicdb.Map, error) {
			return sonicdb.ParseMap("map", fmt.Appendf(nil, `{
				"INSTANCES": {"a": {"unix_socket_path": %q}, "b": {"unix_socket_path": %q}},
				"DATABASES": {"APPL_DB": {"id": 0, "separator": ":", "instance": "a"},
					"CONFIG_DB": {"id": 4, "separator": "|", "instance": "b"},
					"STATE_DB": {"id": 6, "separator": "|", "instance": "a"}}}`, first, server))
		}}
	c.status.connection.Store(&connection{up: true})
	open := func() *session {
		t.Helper()
		s, err := c.open(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	down := errors.New("down")
	c.status.setConfigError(nil, down)
	<-c.status.wakeups
	s := open()
	for end := time.Now().Add(20 * time.Second); c.status.databases().configErr == down.Error(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the error of the new session is not reported")
		}
	}
	select {
	case <-c.status.wakeups:
		t.Error("CONFIG_DB was reported as connected before the session tried to connect")
	default:
	}
	ended := c.status.configLink.Load().link
	s.close()

	server = second
	defer open().close()
	for end := time.Now().Add(20 * time.Second); c.status.databases().configErr != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("error %q although CONFIG_DB is connected", c.status.databases().configErr)
		}
	}
	c.status.setConfigError(ended, down)
	if got := c.status.databases().configErr; got != "" {
		t.Errorf("error %q of the ended session", got)
	}
}
