package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/daemon"
	"portsyncd/internal/switchtest"
)

// fullPipe returns the write end of a full pipe whose reader does not read.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return fillUp(t, ends)
}

// fullSocket is fullPipe for a stream socket, which systemd gives services for the journal.
func fullSocket(t *testing.T) *os.File {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fillUp(t, ends)
}

// fillUp fills the second end and leaves it in blocking mode, as programs expect it.
func fillUp(t *testing.T, ends [2]int) *os.File {
	t.Helper()
	reader, writer := os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer")
	t.Cleanup(func() { reader.Close(); writer.Close() })
	if err := unix.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	for size := 4096; size > 0; {
		switch _, err := unix.Write(ends[1], make([]byte, size)); err {
		case nil:
		case unix.EAGAIN:
			size /= 2
		default:
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	return writer
}

// TestFullOutput starts the daemon with full standard output and error, to which CONFIG_DB also
// directs the log. The daemon must produce the configuration, follow ports and end by SIGTERM.
func TestFullOutput(t *testing.T) {
	switchtest.Parallel(t)
	for _, f := range []struct {
		name string
		make func(*testing.T) *os.File
		log  string
	}{
		{"pipe", fullPipe, ""},
		{"pipe with the log", fullPipe, "STDOUT"},
		{"stderr with the log", fullPipe, "STDERR"},
		{"socket with the log", fullSocket, "STDOUT"},
	} {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(1)
			if f.log != "" {
				sw.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "DEBUG", "LOGOUTPUT", f.log)
			}
			d := sw.Start(switchtest.StartOptions{NoNotifySocket: true, Stdout: f.make(t), Stderr: f.make(t)})
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				if sw.PopPortTable(); !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
					return "no PortConfigDone"
				}
				return ""
			})
			sw.AddPort(switchtest.PortName(0))
			sw.AwaitInitDone()
			sw.AwaitRecovery("a start with full output")
			sw.CheckSelfReport(d)
			d.EndBySignal(syscall.SIGTERM, "with full output")
		})
	}
}

// TestProcessOne stops a daemon that is process 1 of its PID namespace. It cannot end itself by a
// signal, so it must exit with the status that a shell shows for the signal.
func TestProcessOne(t *testing.T) {
	switchtest.Parallel(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(1)
			d := sw.Start(switchtest.StartOptions{NewPIDNamespace: true})
			d.AwaitReady()
			d.Signal(sig)
			if status := d.Wait(switchtest.ExitTimeout); !status.Exited() || status.ExitStatus() != 128+int(sig) {
				t.Errorf("wait status %#x, want exit status %d", int(status), 128+int(sig))
			}
		})
	}
}

// TestTooFewDescriptors starts the daemon with fewer descriptors than it needs to list the
// interfaces. It must log that once, wait without using the processor, and end by SIGTERM.
func TestTooFewDescriptors(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	const complaint, hold = "portsyncd: list links: open netlink socket: too many open files", time.Second
	var d *switchtest.Daemon
	for limit := 6; ; limit++ { // with fewer the Go runtime fails, with more the daemon starts
		if limit == 20 {
			t.Fatal("the daemon does not wait for descriptors with any limit")
		}
		d = sw.StartCommand(switchtest.StartOptions{}, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, limit), sw.Binary)
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if d.Alive() && d.Stdout.String() == "" && d.Stderr.String() == "" {
				return fmt.Sprintf("no output with %d descriptors", limit)
			}
			return ""
		})
		if d.Alive() && strings.Contains(d.Stderr.String(), complaint) {
			break
		}
		d.Cmd.Process.Kill() // unless Go's runtime has ended it
		<-d.Ended
	}
	before := processorTime(t, d.Cmd.Process.Pid)
	switchtest.Consistently(t, hold, func() string {
		if n := strings.Count(d.Stderr.String(), complaint); n != 1 || !d.Alive() {
			return fmt.Sprintf("alive %v, logged %d times: %q", d.Alive(), n, d.Stderr)
		}
		return ""
	})
	if used := processorTime(t, d.Cmd.Process.Pid) - before; used > hold/3 {
		t.Errorf("the daemon used %v of processor time in %v", used, hold)
	}
	d.EndBySignal(syscall.SIGTERM, "while it waits for descriptors")
}

// TestDescriptorsLater starts the daemon with one descriptor too few and raises the limit after
// the daemon has logged the problem. The daemon must then start.
func TestDescriptorsLater(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.AddPort(switchtest.PortName(0))
	var before unix.Rlimit
	sw.NoError("get the limit", unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	free, err := unix.Dup(0) // the lowest
	sw.NoError("find a free descriptor", err)
	unix.Close(free)
	sw.NoError("set the limit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free) + 1, Max: before.Max}))
	failures := 0
	conn, ports, err := daemon.OpenLinks(context.Background(), func(err error) {
		failures++
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("promtool complains about %v, want %v", err, unix.EMFILE)
		}
		sw.NoError("set the limit back", unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	})
	sw.NoError("join", err)
	conn.Close()
	if failures != 1 || len(ports) != 1 || ports[0].Name != switchtest.PortName(0) {
		t.Errorf("%d failures, ports %v", failures, ports)
	}
}

// processorTime returns the user and system time of a process in the kernel's ticks of 1/100 s
// (proc_pid_stat(5), fields 14 and 15).
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}
