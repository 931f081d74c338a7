package portsync

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// TestLoggerRow checks that the first session creates the LOGGER row, and that a change of the row changes
// the log level.
func TestLoggerRow(t *testing.T) {
	db, socket := serveLab(t)
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	c := Connector{
		Map:  func() (*sonicdb.Map, error) { return sonicdb.StaticMap("unix", socket), nil },
		Logs: logs, Level: syslog.LevelNotice, Log: slog.New(logs), status: new(Status),
	}
	s, err := c.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	if row := db.Hash(lab.ConfigDB, "LOGGER|portsyncd"); row["LOGLEVEL"] != "NOTICE" || row["LOGOUTPUT"] != "SYSLOG" {
		t.Errorf("LOGGER row: %v", row)
	}
	for _, step := range []struct {
		level string
		want  slog.Level
	}{{"DEBUG", syslog.LevelDebug}, {"nonsense", syslog.LevelNotice}, {"ERROR", syslog.LevelError}} {
		if _, err := db.Do(lab.ConfigDB, "HSET", "LOGGER|portsyncd", "LOGLEVEL", step.level); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); logs.Level() != step.want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after %q the level is %v, want %v", step.level, logs.Level(), step.want)
			}
		}
	}
	var out strings.Builder
	l := *s.watches[0].logger
	l.log = slog.New(slog.NewTextHandler(&out, nil))
	if l.apply(); out.Len() != 0 {
		t.Errorf("readable row, log: %s", out.String())
	}
	db.SetFault(lab.Fault{Error: lab.Loading})
	if err := l.applyFrom(s.store.config, false); !isServerError(err) {
		t.Errorf("unreadable row: error %v", err)
	}
	if l.apply(); !strings.Contains(out.String(), "cannot read the LOGGER row") {
		t.Errorf("unreadable row, log: %q", out.String())
	}
}

// TestWaitingForRedis checks that a missing Redis is logged as an error only after connectGrace.
func TestWaitingForRedis(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0:                              "level=INFO+2 msg=\"waiting for Redis\"",
		connectGrace + connectPauseMax: "level=ERROR msg=\"cannot connect to Redis; retrying\"",
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			c := Connector{Map: func() (*sonicdb.Map, error) { return nil, errors.New("no map") }, status: new(Status), failed: func() {},
				Log: slog.New(slog.NewTextHandler(&out, nil))}
			ended := make(chan struct{})
			go func() { defer close(ended); c.connect(t.Context(), true) }()
			time.Sleep(after)
			synctest.Wait()
			if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.Contains(lines[len(lines)-1], want) ||
				strings.Contains(out.String(), "notify") || after == 0 && strings.Contains(out.String(), "ERROR") {
				t.Errorf("after %v: %s", after, out.String())
			}
		})
	}
}

// TestSessionOfTwoServers checks that each of two Redis servers is watched, and that a session cannot be
// opened without the second one.
func TestSessionOfTwoServers(t *testing.T) {
	first, one := serveLab(t)
	second, two := serveLab(t)
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	c := Connector{
		Map:  func() (*sonicdb.Map, error) { return labMap(t, one, two), nil },
		Logs: logs, Level: syslog.LevelNotice, Log: slog.New(logs), status: new(Status),
	}
	s, err := c.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if len(s.watches) != 2 || s.watches[0].logger == nil || s.watches[1].logger != nil {
		t.Errorf("%d watches", len(s.watches))
	}
	for name, db := range map[string]*lab.DB{"the first server": first, "the second server": second} {
		db.Disconnect()
		for n := (note{kind: noteFlushed}); n.kind != noteLost; {
			select {
			case n = <-s.notes:
			case <-time.After(20 * time.Second):
				t.Fatalf("the loss of %s was not reported", name)
			}
		}
	}
	second.Close()
	if s, err := c.open(t.Context(), true); err == nil {
		s.close()
		t.Error("a session was opened without the server of STATE_DB")
	}
}
