package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is one run of the built binary.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	states         *record[string] // assignments sent by sd_notify, one each
	watched        bool            // it is to feed a watchdog each feedEvery
	ended          chan struct{}   // closed when the process has ended
}

// feedEvery is how often a daemon is to feed its watchdog: half of WATCHDOG_USEC.
const feedEvery = 500 * time.Millisecond

// launch says how a daemon is started; the zero value is as systemd would.
type launch struct {
	args       []string
	env        []string
	unwatched  bool       // no NOTIFY_SOCKET: supervisord's world
	files      []*os.File // from file descriptor 3 on
	stdout     *os.File   // instead of a pipe that is read
	stderr     *os.File   // likewise
	newPIDs    bool       // it is process 1 of a PID namespace
	ignorePipe bool       // SIGPIPE is ignored when it starts, as by supervisord
}

// start starts the daemon and does not wait for anything. It is killed with the
// test, if it still runs.
func (c *cell) start(l launch) *program {
	c.t.Helper()
	if l.ignorePipe {
		// trap '' ignores a signal, and what is ignored stays so over exec.
		return c.startCommand(l, "/bin/sh", append([]string{"-c", `trap "" PIPE; exec "$0" "$@"`, c.binary}, l.args...)...)
	}
	return c.startCommand(l, c.binary, l.args...)
}

// startCommand is start through another program, which runs the binary.
func (c *cell) startCommand(l launch, name string, args ...string) *program {
	c.t.Helper()
	d := &program{t: c.t, stdout: new(output), stderr: new(output), states: new(record[string]), ended: make(chan struct{})}
	d.cmd = exec.Command(name, args...)
	d.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=halt_on_error=1"}, l.env...)
	if !l.unwatched {
		d.cmd.Env = append(d.cmd.Env, "NOTIFY_SOCKET="+c.listenNotify(d.states))
		d.watched = !slices.ContainsFunc(l.env, func(v string) bool { return strings.HasPrefix(v, "WATCHDOG_") })
	}
	if d.watched {
		d.cmd.Env = append(d.cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", 2*feedEvery.Microseconds()))
	}
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.ExtraFiles = d.stdout, d.stderr, l.files
	if l.stdout != nil {
		d.cmd.Stdout = l.stdout
	}
	if l.stderr != nil {
		d.cmd.Stderr = l.stderr
	}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if l.newPIDs {
		d.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	c.must("start the binary", d.cmd.Start())
	go func() {
		d.cmd.Wait()
		close(d.ended)
	}()
	c.t.Cleanup(func() {
		d.cmd.Process.Kill()
		<-d.ended
		if c.t.Failed() {
			c.report(d)
		}
	})
	return d
}

// startReady starts the daemon and waits until it says READY=1.
func (c *cell) startReady() *program {
	c.t.Helper()
	d := c.start(launch{})
	d.awaitReady()
	return d
}

// report logs what the daemon said.
func (c *cell) report(d *program) {
	lines, _ := c.logs.from(0)
	for _, l := range lines[max(0, len(lines)-60):] {
		c.t.Logf("syslog: %s", l)
	}
	c.t.Logf("daemon: %v, stdout %q, stderr %q", d.cmd.ProcessState, d.stdout, d.stderr)
}

// listenNotify opens a notification socket for one daemon.
func (c *cell) listenNotify(states *record[string]) (path string) {
	c.t.Helper()
	c.notify++
	path = filepath.Join(c.dir, "notify"+strconv.Itoa(c.notify))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	c.must("open a notification socket", err)
	c.t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for _, state := range strings.Split(strings.TrimSuffix(string(buf[:n]), "\n"), "\n") {
				states.add(state)
			}
		}
	}()
	return path
}

// awaitState waits for a notification that begins with prefix, among those that
// came after the first n.
func (d *program) awaitState(n int, limit time.Duration, prefix string) string {
	d.t.Helper()
	state, ok := d.states.await(n, limit, func(s string) bool { return strings.HasPrefix(s, prefix) })
	if !ok {
		all, _ := d.states.from(0)
		d.t.Fatalf("no notification %s within %v, only %q", prefix, limit, all)
	}
	return state
}

// lastStatus returns the status line that the service manager shows.
func (d *program) lastStatus() string {
	states, _ := d.states.from(0)
	for _, s := range slices.Backward(states) {
		if text, ok := strings.CutPrefix(s, "STATUS="); ok {
			return text
		}
	}
	return ""
}

func (d *program) awaitReady() {
	d.t.Helper()
	d.awaitState(0, patience, "READY=1")
}

func (d *program) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatalf("send %v: %v", sig, err)
	}
}

func (d *program) alive() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// wait waits for the end of the process and returns its wait status.
func (d *program) wait(limit time.Duration) syscall.WaitStatus {
	d.t.Helper()
	watch := startWatch()
	for ended := false; !ended; {
		left := watch.left(limit)
		if left <= 0 {
			d.t.Fatalf("the daemon still runs after %v", limit)
		}
		select {
		case <-d.ended:
			ended = true
		case <-time.After(left):
		}
	}
	return d.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// kill ends the daemon without a warning.
func (d *program) kill() {
	d.t.Helper()
	d.signal(syscall.SIGKILL)
	d.wait(patience)
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// logLine is one datagram to /dev/log: "<PRI>Mmm dd hh:mm:ss TAG: TEXT".
type logLine struct {
	pri  int    // facility * 8 + severity, RFC 3164 section 4.1.1
	tag  string // "portsyncd"
	text string
}

func (l logLine) String() string { return fmt.Sprintf("<%d>%s: %s", l.pri, l.tag, l.text) }

// severity is 0 for emerg to 7 for debug.
func (l logLine) severity() int { return l.pri & 7 }

// has reports whether the line has all of the words.
func (l logLine) has(words ...string) bool {
	for _, word := range words {
		if !strings.Contains(l.text, word) {
			return false
		}
	}
	return true
}

// parseLogLine reads a datagram; one of another form has pri -1.
func parseLogLine(datagram string) logLine {
	const stamp = len("Jan _2 15:04:05 ")
	pri, rest, ok := strings.Cut(datagram, ">")
	n, err := strconv.Atoi(strings.TrimPrefix(pri, "<"))
	if !ok || err != nil || len(rest) < stamp {
		return logLine{pri: -1, text: datagram}
	}
	if _, err := time.Parse(time.Stamp, rest[:stamp-1]); err != nil {
		return logLine{pri: -1, text: datagram}
	}
	tag, text, _ := strings.Cut(rest[stamp:], ": ")
	return logLine{pri: n, tag: tag, text: strings.TrimRight(text, "\n\x00")}
}

// listenLog records what arrives at a syslog socket.
func listenLog(path string) (*record[logLine], error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(4 << 20)
	lines := new(record[logLine])
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			lines.add(parseLogLine(string(buf[:n])))
		}
	}()
	return lines, nil
}
