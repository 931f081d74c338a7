package cli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/snapshot"
)

// eventDaemon is an HTTP server on a unix socket that serves the events of a memory.
type eventDaemon struct {
	mu       sync.Mutex
	aliases  map[string]string // port name by alias
	events   []journal.Event
	process  time.Time
	complete bool
	close    func()
}

func newEventDaemon(t *testing.T, socket string) *eventDaemon {
	t.Helper()
	d := &eventDaemon{process: time.Unix(1e9, 0), complete: true}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(d.serve)}
	go server.Serve(listener)
	d.close = func() { server.Close() }
	t.Cleanup(d.close)
	return d
}

func (d *eventDaemon) serve(w http.ResponseWriter, r *http.Request) {
	f, err := journal.ParseQuery(r.URL.RawQuery, time.Now())
	if err != nil || r.URL.Path != "/events" {
		http.Error(w, fmt.Sprint(r.URL, err), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := journal.Document{Time: time.Now(), Process: d.process, Complete: d.complete}
	for _, name := range f.Ports {
		if port := d.aliases[name]; port != "" {
			doc.AliasPorts = append(doc.AliasPorts, port)
		} else if !strings.HasPrefix(name, "Ethernet") {
			doc.UnknownPorts = append(doc.UnknownPorts, name)
		}
	}
	f.Ports = append(f.Ports, doc.AliasPorts...)
	for _, e := range d.events {
		doc.LastSeq = e.Seq
		if f.Match(&e) {
			doc.Events = append(doc.Events, e)
		}
	}
	w.Write(doc.AppendJSON(nil))
}

// add adds events, the newest of which happened now.
func (d *eventDaemon) add(events ...journal.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, events...)
}

// event returns an event that happened minutes ago.
func event(seq uint64, kind journal.Kind, port string, minutes int) journal.Event {
	at := time.Now().Add(-time.Duration(minutes) * time.Minute).UTC().Truncate(time.Millisecond)
	return journal.Event{Time: at, Seq: seq, Kind: kind, Port: port}
}

// store writes events to the files of a directory.
func store(t *testing.T, dir string, events ...journal.Event) {
	t.Helper()
	log := snapshot.Log{Path: filepath.Join(dir, journal.FileName)}
	for i := range events {
		if err := log.AppendLines(append(events[i].AppendJSON(nil), '\n')); err != nil {
			t.Fatal(err)
		}
	}
}

// eventFiles makes a configuration whose daemon listens on the returned socket.
func eventFiles(t *testing.T) (conf, socket, storage string) {
	t.Helper()
	dir := t.TempDir()
	conf, socket, storage = filepath.Join(dir, "conf"), filepath.Join(dir, "s"), filepath.Join(dir, "metrics")
	text := fmt.Sprintf("[metrics]\nlisten = [%q]\nstorage_path = %q\n", "unix:"+socket, storage)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(storage, 0o700); err != nil {
		t.Fatal(err)
	}
	return conf, socket, storage
}

// runEvents runs the command and returns the texts of the lines that it prints, without times.
func runEvents(t *testing.T, args ...string) (code int, lines, errors string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = eventsCommand(args, &stdout, &stderr)
	for line := range strings.Lines(stdout.String()) {
		if len(line) > 25 && line[0] != '{' {
			line = strings.Join(strings.Fields(line[25:]), " ") + "\n"
		}
		lines += line
	}
	return code, lines, stderr.String()
}

// TestEventsFromDaemon checks the events of a running daemon with each option that selects them.
func TestEventsFromDaemon(t *testing.T) {
	conf, socket, _ := eventFiles(t)
	d := newEventDaemon(t, socket)
	d.aliases = map[string]string{"etp4": "Ethernet4"}
	d.add(event(1, journal.Start, "", 3000), event(2, journal.LinkDown, "Ethernet0", 90), event(3, journal.LinkUp, "Ethernet0", 80),
		event(4, journal.MTU, "Ethernet4", 70), event(5, journal.RedisLost, "", 60))
	for _, c := range []struct{ args, want string }{
		{"", "Ethernet0 link down\nEthernet0 link up\nEthernet4 MTU ->\n- redis lost\n"},
		{"--since 7d --kind daemon", "- start\n- redis lost\n"},
		{"Ethernet0", "Ethernet0 link down\nEthernet0 link up\n"},
		{"Ethernet0 --kind link_up Ethernet4", "Ethernet0 link up\n"},
		{"--since 85m --until 65m", "Ethernet0 link up\nEthernet4 MTU ->\n"},
		{"etp4", "Ethernet4 MTU ->\n"},
		{"gone Ethernet4", "Ethernet4 MTU ->\n"},
		{"--until 2d", "- start\n"}, // the 24 hours before
	} {
		code, got, stderr := runEvents(t, append([]string{"-c", conf}, strings.Fields(c.args)...)...)
		if code != 0 || got != c.want || stderr != "" {
			t.Errorf("events %s: status %d, printed\n%s%s\nwant\n%s", c.args, code, got, stderr, c.want)
		}
	}
	for args, want := range map[string]string{
		"Ethernet8":               `^portsyncd events: no event matches since \S+ \S+\n$`,
		"Ethernet8 --limit 3":     `^portsyncd events: no event matches\n$`,
		"--since 10m --until 5m":  `^portsyncd events: no event matches since \S+ \S+ until \S+ \S+\n$`,
		"Ethernet8 \x1b gone":     `no event matches since .*\nportsyncd events: the daemon has no port with the name or alias "\\x1b", "gone"\n$`,
		"gone --json --since 10d": `no event matches since .*\nportsyncd events: the daemon has no port with the name or alias "gone"\n$`,
	} {
		code, got, stderr := runEvents(t, append([]string{"-c", conf}, strings.Fields(args)...)...)
		if code != 0 || got != "" || !regexp.MustCompile(want).MatchString(stderr) {
			t.Errorf("events %s: status %d, printed %q, %q, want a match of %s", args, code, got, stderr, want)
		}
	}
	_, got, _ := runEvents(t, "-c", conf, "--json", "Ethernet4")
	if e, err := journal.Decode([]byte(strings.TrimSpace(got))); err != nil || e.Seq != 4 {
		t.Errorf("--json prints %q: %v", got, err)
	}
}

// TestEventsFromFiles checks that the files are read if no daemon responds, with a message that
// says so, and with --storage, without one.
func TestEventsFromFiles(t *testing.T) {
	conf, socket, storage := eventFiles(t)
	store(t, storage, event(1, journal.LinkDown, "Ethernet0", 20), event(2, journal.LinkUp, "Ethernet0", 10))
	const want = "Ethernet0 link down\nEthernet0 link up\n"
	code, got, stderr := runEvents(t, "-c", conf)
	if code != 0 || got != want || !strings.Contains(stderr, "no daemon") || !strings.Contains(stderr, "reading the files in "+storage) {
		t.Errorf("status %d, printed\n%s%s", code, got, stderr)
	}
	if code, got, stderr := runEvents(t, "--storage", storage); code != 0 || got != want || stderr != "" {
		t.Errorf("--storage: status %d, printed\n%s%s", code, got, stderr)
	}
	if code, got, stderr := runEvents(t, "--address", "unix:"+socket); code != 1 || got != "" || !strings.Contains(stderr, "no daemon") {
		t.Errorf("--address: status %d, printed %s%s, want an error", code, got, stderr)
	}
	if code, got, stderr := runEvents(t, "--storage", storage+"/missing"); code != 1 || got != "" || !strings.Contains(stderr, "missing") {
		t.Errorf("a missing directory: status %d, printed %s%s, want an error", code, got, stderr)
	}
}

// TestEventsFromBoth checks that the files supply what the memory of the daemon does not have, and
// the daemon what is not in the files yet, each event once, also with a limit.
func TestEventsFromBoth(t *testing.T) {
	conf, socket, storage := eventFiles(t)
	d := newEventDaemon(t, socket)
	d.complete = false
	events := []journal.Event{event(1, journal.LinkDown, "Ethernet0", 30), event(2, journal.LinkUp, "Ethernet0", 20),
		event(3, journal.LinkDown, "Ethernet4", 10), event(4, journal.LinkUp, "Ethernet4", 0)}
	store(t, storage, events[:3]...)
	d.add(events[2:]...)
	const want = "Ethernet0 link down\nEthernet0 link up\nEthernet4 link down\nEthernet4 link up\n"
	if code, got, stderr := runEvents(t, "-c", conf); code != 0 || got != want || stderr != "" {
		t.Errorf("status %d, printed\n%s%s", code, got, stderr)
	}
	if code, got, _ := runEvents(t, "-c", conf, "--limit", "3"); code != 0 || got != want[strings.Index(want, "\n")+1:] {
		t.Errorf("--limit 3: status %d, printed\n%s", code, got)
	}
	code, got, stderr := runEvents(t, "--address", "unix:"+socket)
	if code != 0 || got != "Ethernet4 link down\nEthernet4 link up\n" || !strings.Contains(stderr, "does not hold enough events") {
		t.Errorf("--address: status %d, printed\n%s%s", code, got, stderr)
	}
	if err := os.RemoveAll(storage); err != nil {
		t.Fatal(err)
	}
	code, got, stderr = runEvents(t, "-c", conf)
	if code != 0 || got != "Ethernet4 link down\nEthernet4 link up\n" || !strings.Contains(stderr, "only the events that the daemon holds in memory") {
		t.Errorf("without files: status %d, printed\n%s%s", code, got, stderr)
	}
}

// TestEventsOptions checks that a bad option is an error that names it, and that -h prints the
// help.
func TestEventsOptions(t *testing.T) {
	for args, want := range map[string]string{
		"--since soon":                   `--since: invalid time "soon"`,
		"--until x":                      "--until: invalid time",
		"--kind up":                      `--kind: invalid kind "up": must be link, port, daemon`,
		"--limit 0":                      "invalid --limit 0: must be 1 to 100000",
		"--follow --until 1h":            "--follow and --until",
		"--since 5m --until 1h":          "--until 1h is before --since 5m",
		"--storage /a --address unix:/b": "--storage and --address",
		"--color red":                    "--color",
		"--nonsense":                     "nonsense",
		"-c /does/not/exist":             "/does/not/exist",
	} {
		code, got, stderr := runEvents(t, strings.Fields(args)...)
		if code != 1 || got != "" || !strings.HasPrefix(stderr, "portsyncd events: ") || !strings.Contains(stderr, want) {
			t.Errorf("events %s: status %d, printed %s%s, want an error with %q", args, code, got, stderr, want)
		}
	}
	if code, got, _ := runEvents(t, "Ethernet0", "-h"); code != 0 || !strings.Contains(got, "PORT...]") {
		t.Errorf("-h: status %d, printed %s", code, got)
	}
}

// lineChannel passes on each line that is written to it.
type lineChannel chan string

func (c lineChannel) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		c <- line
	}
	return len(b), nil
}

// TestFollowEvents checks that --follow prints each new event once, goes on after a restart of the
// daemon whose numbers begin below the last one, and reads the files while there is no daemon,
// which it says once.
func TestFollowEvents(t *testing.T) {
	conf, socket, storage := eventFiles(t)
	d := newEventDaemon(t, socket)
	d.add(event(7, journal.LinkDown, "Ethernet0", 5000))
	o := eventsOptions{}
	if _, err := o.parse([]string{"-c", conf, "--follow", "--json"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	out, errors := make(lineChannel, 100), make(lineChannel, 100)
	l, err := o.newLister(out, errors)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		err := l.list(ctx)
		if err == nil {
			err = l.followEvents(ctx)
		}
		ended <- err
	}()
	next := func(seq uint64, kind journal.Kind) {
		t.Helper()
		select {
		case line := <-out:
			if e, err := journal.Decode([]byte(strings.TrimSpace(line))); err != nil || e.Seq != seq || e.Kind != kind {
				t.Fatalf("printed %s (%v), want %d %s", line, err, seq, kind)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("event %d is not printed", seq)
		}
	}
	next(7, journal.LinkDown)
	d.add(event(8, journal.LinkUp, "Ethernet0", 0), event(9, journal.LinkDown, "Ethernet0", 0))
	next(8, journal.LinkUp)
	next(9, journal.LinkDown)

	d.mu.Lock() // killed before it could write 9
	d.events, d.process = append(d.events[:2:2], event(9, journal.Start, "", 0)), time.Unix(2e9, 0)
	d.mu.Unlock()
	next(9, journal.Start)
	d.add(event(10, journal.LinkUp, "Ethernet0", 0))
	next(10, journal.LinkUp)

	d.close()
	store(t, storage, event(10, journal.LinkUp, "Ethernet0", 0), event(11, journal.Stop, "", 0))
	next(11, journal.Stop)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the end of --follow is an error: %v", err)
	}
	if len(out) > 0 || len(errors) != 1 {
		t.Fatalf("also printed: %d events; %d messages, want one", len(out), len(errors))
	}
	if text := <-errors; !strings.Contains(text, "no daemon at") || !strings.Contains(text, "following the files in "+storage+" until it responds") {
		t.Errorf("without a daemon, the message is %q", text)
	}
}

// TestFollowAlias checks that --follow finds the events of a port given by its alias in the files too, if a
// daemon has responded at least once, even if it did not respond at first.
func TestFollowAlias(t *testing.T) {
	conf, socket, storage := eventFiles(t)
	o := eventsOptions{}
	if _, err := o.parse([]string{"-c", conf, "--follow", "etp4"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	l, err := o.newLister(make(lineChannel, 10), make(lineChannel, 10))
	if err != nil {
		t.Fatal(err)
	}
	store(t, storage, event(6, journal.Start, "", 0))
	if err := l.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := newEventDaemon(t, socket)
	d.aliases = map[string]string{"etp4": "Ethernet4"}
	d.add(event(7, journal.LinkUp, "Ethernet4", 0))
	for _, want := range []int{1, 0} {
		if got, err := l.newEvents(t.Context()); len(got) != want || err != nil {
			t.Errorf("the daemon has the new events %v (%v), want %d", got, err, want)
		}
	}
	d.close()
	store(t, storage, event(8, journal.LinkDown, "Ethernet4", 0), event(9, journal.LinkDown, "Ethernet0", 0))
	if got, err := l.newStored(new(fileState)); len(got) != 1 || got[0].Seq != 8 || err != nil {
		t.Errorf("the files have the new events %v (%v), want event 8", got, err)
	}
	if got := strings.Join(l.filter.Ports, " "); got != "etp4 Ethernet4" {
		t.Errorf("selected ports: %s", got)
	}
}
