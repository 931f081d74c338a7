package daemon

import (
	"bufio"
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
	p := newPortLog(h, slog.New(h).With(syslog.ComponentKey, "port"))
	go p.run()
	f(p)
	p.end()
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

// omittedText is the line about omitted changes, up to the numbers.
const omittedText = `NOTICE :- port: omitted port changes from the log; "portsyncd events" prints them `

// countLines returns the number of lines about port changes and about omitted changes, and the
// numbers of changes and link-down transitions in the latter.
func countLines(t *testing.T, lines []string) (written, summaries, changes, linkDowns int) {
	t.Helper()
	for _, line := range lines {
		numbers, ok := strings.CutPrefix(line, omittedText)
		if !ok {
			written++
			continue
		}
		var c, d int
		if _, err := fmt.Sscanf(numbers, "changes=%d link_downs=%d", &c, &d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		summaries, changes, linkDowns = summaries+1, changes+c, linkDowns+d
	}
	return written, summaries, changes, linkDowns
}

// TestPortLinesBounded checks that the lines about changes of many ports are limited to the budget,
// and that the omitted changes are logged as numbers without waiting for a further change.
func TestPortLinesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const down = 3 * portLinesBurst
		lines := logPorts(t, syslog.LevelNotice, func(p *portLog) {
			for n := range down {
				p.add(&journal.Event{Kind: journal.LinkDown, Port: fmt.Sprint("Ethernet", n), Flaps: 1})
			}
			time.Sleep(2 * omittedInterval)
			if n := p.changes.Load(); n != 0 {
				t.Errorf("%d omitted changes are not logged", n)
			}
			p.add(&journal.Event{Kind: journal.LinkUp, Port: "Ethernet0"})
		})
		written, summaries, changes, linkDowns := countLines(t, lines)
		if written+changes != down+1 || written-1+linkDowns != down {
			t.Errorf("%d lines, %d changes omitted with %d link-down transitions; want %d changes and %d transitions in total",
				written, changes, linkDowns, down+1, down)
		}
		if written > portLinesBurst+1 || summaries == 0 || summaries > 3 {
			t.Errorf("%d lines and %d about omitted changes, want at most %d and 1 to 3", written, summaries, portLinesBurst+1)
		}
		if last := lines[len(lines)-1]; last != "NOTICE :- port: Ethernet0 link up" {
			t.Errorf("the last line is %q", last)
		}
	})
}

// TestPortLinesStuck checks with a syslog daemon that does not read that the journal does not wait,
// that the lines are written once the daemon reads again, and that the changes which did not fit
// in the queue are logged as numbers.
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
	p := newPortLog(h, slog.New(h).With(syslog.ComponentKey, "port"))
	const down = 2 * portLinesBurst
	p.budget.Burst = down
	go p.run()
	for range down { // without blocking: the reader starts below
		p.add(&journal.Event{Kind: journal.LinkDown, Port: "Ethernet0", Flaps: 1})
	}
	r.SetReadDeadline(time.Now().Add(time.Minute))
	var lines []string
	written, changes, linkDowns := 0, 0, 0
	for in := bufio.NewScanner(r); written+changes < down && in.Scan(); {
		if strings.HasPrefix(in.Text(), "NOTICE :- x: ") {
			continue
		}
		lines = append(lines, in.Text())
		written, _, changes, linkDowns = countLines(t, lines)
	}
	if written < portLinesBurst || written+changes != down || written+linkDowns != down {
		t.Errorf("%d lines, %d changes omitted with %d link-down transitions; want at least %d lines, and %d in total",
			written, changes, linkDowns, portLinesBurst, down)
	}
	p.end()
}
