package daemon

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/syslog"
)

// logPorts returns what a portLog writes while f runs.
func logPorts(t *testing.T, level slog.Level, f func(*portLog)) []string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	h := syslog.New(syslog.Options{Output: syslog.Stdout, Stdout: file, Level: level, SocketPath: file.Name()})
	f(newPortLog(h, slog.New(h).With(syslog.ComponentKey, "port")))
	file.Seek(0, 0)
	var lines []string
	for in := bufio.NewScanner(file); in.Scan(); {
		lines = append(lines, in.Text())
	}
	return lines
}

// TestPortLines checks the lines about port changes. Events of the daemon cause none, because the
// daemon logs them itself, and hostile names are escaped.
func TestPortLines(t *testing.T) {
	add := func(p *portLog) {
		for _, e := range []journal.Event{
			{Kind: journal.LinkDown, Port: "Ethernet48", After: 3*time.Hour + 2*time.Minute},
			{Kind: journal.LinkUp, Port: "Ethernet48"},
			{Kind: journal.AdminDown, Port: "Ethernet48"},
			{Kind: journal.MTU, Port: "Ethernet48", Old: "9100", New: "1500"},
			{Kind: journal.Renamed, Port: "Ethernet48", Old: "Ethernet4"},
			{Kind: journal.Flapping, Port: "Ethernet48", Flaps: 214, Span: 10 * time.Second, Oper: journal.Up},
			{Kind: journal.Deleted, Port: "Ethernet\x1b[2J\n"},
			{Kind: journal.RedisLost, Reason: "EOF"},
		} {
			p.add(&e)
		}
	}
	const want = `NOTICE :- port: Ethernet48 link down after 3h2m up
NOTICE :- port: Ethernet48 link up
NOTICE :- port: Ethernet48 admin down
NOTICE :- port: Ethernet48 MTU 9100 -> 1500
NOTICE :- port: Ethernet48 renamed from Ethernet4
NOTICE :- port: Ethernet48 flapped 214 times in 10s, now up
NOTICE :- port: Ethernet\x1b[2J\n deleted`
	if got := strings.Join(logPorts(t, syslog.LevelNotice, add), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := logPorts(t, syslog.LevelWarn, add); len(got) > 0 {
		t.Errorf("at WARN: %q", got)
	}
}

// TestPortLinesBounded checks that the lines about changes of many ports are limited to the budget
// and that a line has the number of omitted changes.
func TestPortLinesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := logPorts(t, syslog.LevelNotice, func(p *portLog) {
			for n := range 3 * portLinesBurst {
				p.add(&journal.Event{Kind: journal.LinkDown, Port: fmt.Sprint("Ethernet", n)})
			}
			time.Sleep(time.Second)
			p.add(&journal.Event{Kind: journal.LinkUp, Port: "Ethernet0"})
		})
		const omitted = `NOTICE :- port: omitted port changes from the log; "portsyncd events" prints them changes=`
		total, summaries := 0, 0
		for _, line := range lines {
			if number, ok := strings.CutPrefix(line, omitted); ok {
				n := 0
				if _, err := fmt.Sscan(number, &n); err != nil {
					t.Fatal(err)
				}
				total += n
				summaries++
			} else {
				total++
			}
		}
		if want := 3*portLinesBurst + 1; total != want {
			t.Errorf("%d changes are logged or omitted, want %d", total, want)
		}
		if most := portLinesBurst + 1 + summaries; len(lines) > most || summaries == 0 || summaries > 2 {
			t.Errorf("%d lines with %d about omitted changes, want at most %d", len(lines), summaries, most)
		}
		if last := lines[len(lines)-1]; last != "NOTICE :- port: Ethernet0 link up" {
			t.Errorf("the last line is %q", last)
		}
	})
}

// TestPortLinesStuck checks that a syslog daemon that does not read delays the journal by one line
// only.
func TestPortLinesStuck(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	h := syslog.New(syslog.Options{Output: syslog.Stdout, Stdout: w, SocketPath: filepath.Join(t.TempDir(), "none")})
	for h.WriteLine(syslog.LevelNotice, "x", make([]byte, 500), time.Now(), 0) {
	}
	p := newPortLog(h, slog.New(h))
	begin := time.Now()
	for range 1000 {
		p.add(&journal.Event{Kind: journal.LinkDown, Port: "Ethernet0"})
	}
	if took := time.Since(begin); took < portLineTimeout || took > 10*portLineTimeout {
		t.Errorf("1000 lines took %v, want the timeout of one, %v", took, portLineTimeout)
	}
	if ctx := context.Background(); !h.Enabled(ctx, syslog.LevelNotice) || h.Dropped() != 1001 {
		t.Errorf("%d lines dropped, want 1001", h.Dropped())
	}
}
