package syslog

import (
	"bufio"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
)

// newTerminal returns a terminal, and the end from which a test reads what is written to it.
func newTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, terminal, err := lab.OpenTerminal("/dev/ptmx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close(); screen.Close() })
	screen.SetReadDeadline(time.Now().Add(10 * time.Second))
	return screen, terminal
}

// TestConsoleWithoutDaemon checks that lines go to standard error while the syslog daemon is not
// available, and to the daemon alone as soon as it is.
func TestConsoleWithoutDaemon(t *testing.T) {
	daemon := &fakeDaemon{path: filepath.Join(t.TempDir(), "log")}
	r, stderr := newPipe(t)
	h := New(Options{SocketPath: daemon.path, Stderr: stderr, Console: true})
	slog.New(h).Warn("port has no link", "port", "Ethernet0")
	in := bufio.NewReader(r)
	wantLine(t, in, "WARN :- portsyncd: port has no link port=Ethernet0\n")
	if !h.WriteLine(LevelNotice, "onMsg", []byte("Publish"), time.Now(), 0) {
		t.Error("WriteLine returned false, although it wrote to standard error")
	}
	wantLine(t, in, "NOTICE :- onMsg: Publish\n")
	h.SetFormat(JSON)
	h.WriteLine(LevelNotice, "onMsg", []byte("Publish"), time.Time{}, 0)
	if line, err := in.ReadString('\n'); !strings.Contains(line, `"msg":"Publish","component":"onMsg"}`) {
		t.Errorf("read %q, %v; want JSON", line, err)
	}

	daemon.listen(t)
	h.reconnectNow()
	slog.New(h).Warn("connected")
	h.WriteLine(LevelNotice, "onMsg", []byte("connected"), time.Now(), 0)
	daemon.read(t)
	daemon.read(t)
	stderr.Close()
	if line, err := in.ReadString('\n'); err == nil {
		t.Errorf("standard error got %q, which the daemon got too", line)
	}
	if lines, dropped := h.Lines(Notice)+h.Lines(Warn), h.Dropped(); lines != 5 || dropped != 0 {
		t.Errorf("%d lines, %d dropped; want 5 and 0", lines, dropped)
	}
}

// TestConsoleOnTerminal checks that standard error gets a copy of the lines to the syslog daemon if
// it is a terminal, and that each line is counted once.
func TestConsoleOnTerminal(t *testing.T) {
	daemon := newFakeDaemon(t)
	screen, terminal := newTerminal(t)
	h := New(Options{SocketPath: daemon.path, Stderr: terminal, Console: true})
	slog.New(h).Warn("port has no link")
	h.WriteLine(LevelNotice, "onMsg", []byte("Publish"), time.Now(), 0)
	in := bufio.NewReader(screen)
	for _, want := range []string{"WARN :- portsyncd: port has no link\r\n", "NOTICE :- onMsg: Publish\r\n"} {
		wantLine(t, in, want)
		daemon.read(t)
	}
	if lines := h.Lines(Notice) + h.Lines(Warn); lines != 2 {
		t.Errorf("%d lines counted, want 2", lines)
	}
}

// TestTerminalStopsReading checks that a terminal that accepts no more characters, as after Ctrl-S,
// does not block a caller, and that the daemon gets all lines.
func TestTerminalStopsReading(t *testing.T) {
	daemon := newFakeDaemon(t)
	_, terminal := newTerminal(t)
	h := unlimited(New(Options{SocketPath: daemon.path, Stderr: terminal, Console: true}))
	text := strings.Repeat("x", 3000)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for range 100 {
			slog.New(h).Warn(text)
			daemon.read(t)
		}
		for range 100 {
			WriteNow(terminal, []byte(text))
		}
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("a line still waits for the terminal after 10 s")
	}
	if got := h.Dropped(); got != 0 {
		t.Errorf("%d lines dropped, want 0", got)
	}
}

// TestWriteStderr checks that the line goes to standard error in the format of the Handler,
// whatever the output is.
func TestWriteStderr(t *testing.T) {
	r, stderr := newPipe(t)
	h := New(Options{SocketPath: newFakeDaemon(t).path, Stderr: stderr})
	h.WriteStderr(LevelError, "cannot start")
	in := bufio.NewReader(r)
	wantLine(t, in, "ERROR :- portsyncd: cannot start\n")
	h.SetFormat(JSON)
	h.WriteStderr(LevelError, "cannot start")
	if object := readJSON(t, in); object["level"] != "ERROR" || object["msg"] != "cannot start" {
		t.Errorf("got %v", object)
	}
}

// wantLine reads the next line and compares it.
func wantLine(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	if got, err := in.ReadString('\n'); got != want {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}
