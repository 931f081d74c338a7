package switchtest

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
	"time"
)

// Daemon is a daemon process, which may have ended.
type Daemon struct {
	t              T
	Cmd            *exec.Cmd
	Stdout, Stderr *Output
	Notifications  *Record[string] // assignments sent by sd_notify, one each
	watchdog       bool            // the daemon has a watchdog with WatchdogInterval
	Ended          chan struct{}   // closed when the process has ended
}

// WatchdogInterval is how often the daemon has to notify the watchdog: half of WATCHDOG_USEC.
const WatchdogInterval = 500 * time.Millisecond

// StartOptions configures how a daemon is started. The zero value starts it like systemd, without
// arguments.
type StartOptions struct {
	Args            []string
	Env             []string
	NoNotifySocket  bool       // no NOTIFY_SOCKET, as under supervisord
	Files           []*os.File // from file descriptor 3 on
	Stdout          *os.File   // instead of Daemon.Stdout
	Stderr          *os.File   // instead of Daemon.Stderr
	NewPIDNamespace bool       // run as process 1 of a new PID namespace
	IgnoreSIGPIPE   bool       // start with SIGPIPE ignored, as supervisord does
}

// Start starts the daemon and returns without waiting for it. At the end of the test, a running
// daemon is killed. If the test failed, its last log lines are printed.
func (sw *Switch) Start(l StartOptions) *Daemon {
	sw.T.Helper()
	if l.IgnoreSIGPIPE {
		// trap '' ignores a signal, and an ignored signal stays ignored after exec.
		return sw.StartCommand(l, "/bin/sh", append([]string{"-c", `trap "" PIPE; exec "$0" "$@"`, sw.Binary}, l.Args...)...)
	}
	return sw.StartCommand(l, sw.Binary, l.Args...)
}

// StartCommand is like Start, but runs the named command, which must run the daemon.
func (sw *Switch) StartCommand(l StartOptions, name string, args ...string) *Daemon {
	sw.T.Helper()
	d := &Daemon{t: sw.T, Stdout: new(Output), Stderr: new(Output), Notifications: new(Record[string]), Ended: make(chan struct{})}
	d.Cmd = exec.Command(name, args...)
	d.Cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=halt_on_error=1"}, l.Env...)
	if !l.NoNotifySocket {
		d.Cmd.Env = append(d.Cmd.Env, "NOTIFY_SOCKET="+sw.listenNotify(d.Notifications))
		d.watchdog = !slices.ContainsFunc(l.Env, func(v string) bool { return strings.HasPrefix(v, "WATCHDOG_") })
	}
	if d.watchdog {
		d.Cmd.Env = append(d.Cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", 2*WatchdogInterval.Microseconds()))
	}
	d.Cmd.Stdout, d.Cmd.Stderr, d.Cmd.ExtraFiles = d.Stdout, d.Stderr, l.Files
	if l.Stdout != nil {
		d.Cmd.Stdout = l.Stdout
	}
	if l.Stderr != nil {
		d.Cmd.Stderr = l.Stderr
	}
	d.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if l.NewPIDNamespace {
		d.Cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	sw.NoError("start the binary", d.Cmd.Start())
	go func() {
		d.Cmd.Wait()
		close(d.Ended)
	}()
	sw.T.Cleanup(func() {
		d.Cmd.Process.Kill()
		<-d.Ended
		if sw.T.Failed() {
			sw.report(d)
		}
	})
	return d
}

// StartReady starts the daemon without a configuration file and waits for READY=1.
func (sw *Switch) StartReady() *Daemon {
	sw.T.Helper()
	d := sw.Start(StartOptions{})
	d.AwaitReady()
	return d
}

// StartWith writes a configuration file, starts the daemon with it and waits for READY=1.
func (sw *Switch) StartWith(text string) *Daemon {
	sw.T.Helper()
	d := sw.Start(StartOptions{Args: []string{"-c", sw.WriteConfig(text)}})
	d.AwaitReady()
	return d
}

// ReloadWith replaces the configuration file of a daemon that was started by StartWith, sends
// SIGHUP and waits for READY=1.
func (sw *Switch) ReloadWith(d *Daemon, text string) {
	sw.T.Helper()
	sw.WriteConfig(text)
	n := d.Notifications.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitNotification(n, Timeout, "READY=1")
}

// report logs what the daemon logged and printed.
func (sw *Switch) report(d *Daemon) {
	lines, _ := sw.Logs.From(0)
	for _, l := range lines[max(0, len(lines)-60):] {
		sw.T.Logf("syslog: %s", l)
	}
	sw.T.Logf("daemon: %v, stdout %q, stderr %q", d.Cmd.ProcessState, d.Stdout, d.Stderr)
}

// listenNotify opens a systemd notification socket for one daemon and records the assignments (such
// as READY=1) that it receives.
func (sw *Switch) listenNotify(states *Record[string]) (path string) {
	sw.T.Helper()
	sw.notify++
	path = filepath.Join(sw.Dir, "notify"+strconv.Itoa(sw.notify))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	sw.NoError("open a notification socket", err)
	sw.T.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for _, state := range strings.Split(strings.TrimSuffix(string(buf[:n]), "\n"), "\n") {
				states.Add(state)
			}
		}
	}()
	return path
}

// AwaitNotification waits for a notification to systemd that begins with prefix, and returns it. It
// ignores the first n notifications.
func (d *Daemon) AwaitNotification(n int, limit time.Duration, prefix string) string {
	d.t.Helper()
	state, ok := d.Notifications.Await(n, limit, func(s string) bool { return strings.HasPrefix(s, prefix) })
	if !ok {
		all, _ := d.Notifications.From(0)
		d.t.Fatalf("no notification %s within %v, only %q", prefix, limit, all)
	}
	return state
}

// LastStatus returns the last STATUS= text, or "".
func (d *Daemon) LastStatus() string {
	states, _ := d.Notifications.From(0)
	for _, s := range slices.Backward(states) {
		if text, ok := strings.CutPrefix(s, "STATUS="); ok {
			return text
		}
	}
	return ""
}

// AwaitReady waits for READY=1.
func (d *Daemon) AwaitReady() {
	d.t.Helper()
	d.AwaitNotification(0, Timeout, "READY=1")
}

// Signal sends a signal to the daemon.
func (d *Daemon) Signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.Cmd.Process.Signal(sig); err != nil {
		d.t.Fatalf("send %v: %v", sig, err)
	}
}

// Pause stops the daemon with SIGSTOP and waits until it has stopped. SIGCONT continues it.
func (d *Daemon) Pause() {
	d.t.Helper()
	d.Signal(syscall.SIGSTOP)
	stat := fmt.Sprintf("/proc/%d/stat", d.Cmd.Process.Pid)
	Eventually(d.t, Timeout, func() string {
		text, err := os.ReadFile(stat)
		if err != nil {
			d.t.Fatalf("read the state of the daemon: %v", err)
		}
		if _, rest, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(rest, "T") {
			return "the daemon is not stopped"
		}
		return ""
	})
}

// Alive reports whether the process still runs.
func (d *Daemon) Alive() bool {
	select {
	case <-d.Ended:
		return false
	default:
		return true
	}
}

// Wait waits at most limit until the daemon's process ends, and returns its wait status.
func (d *Daemon) Wait(limit time.Duration) syscall.WaitStatus {
	d.t.Helper()
	watch := StartStopwatch()
	for ended := false; !ended; {
		left := watch.Left(limit)
		if left <= 0 {
			d.t.Fatalf("the daemon still runs after %v", limit)
		}
		select {
		case <-d.Ended:
			ended = true
		case <-time.After(left):
		}
	}
	return d.Cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// ExitTimeout is the time within which SIGTERM or SIGINT must end the daemon.
const ExitTimeout = 5 * time.Second

// EndBySignal sends a signal to the daemon, checks that the signal terminates the process within
// ExitTimeout, and returns the time that this took.
func (d *Daemon) EndBySignal(sig syscall.Signal, when string) (took time.Duration) {
	d.t.Helper()
	begin := time.Now()
	d.Signal(sig)
	status := d.Wait(ExitTimeout)
	if !status.Signaled() || status.Signal() != sig {
		d.t.Errorf("%s: wait status %#x, want termination by %v", when, int(status), sig)
	}
	return time.Since(begin)
}

// Kill kills the daemon with SIGKILL.
func (d *Daemon) Kill() {
	d.t.Helper()
	d.Signal(syscall.SIGKILL)
	d.Wait(Timeout)
}

// AwaitWatchdog waits for the daemon's next watchdog notification. It fails if none arrives within
// four intervals.
func (sw *Switch) AwaitWatchdog(d *Daemon) {
	sw.T.Helper()
	if !d.watchdog {
		return
	}
	if _, ok := d.Notifications.Await(d.Notifications.Len(), 4*WatchdogInterval*RaceFactor, func(s string) bool { return s == "WATCHDOG=1" }); !ok {
		sw.T.Fatalf("no watchdog notification within %v", 4*WatchdogInterval*RaceFactor)
	}
}

// ResidentMemory returns the resident memory of a process in bytes: VmRSS of proc_pid_status(5).
func ResidentMemory(t T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	fields := strings.Fields(rest)
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// Output collects the output of a process.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
