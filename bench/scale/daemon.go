package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is one run of the built binary.
type daemon struct {
	cmd     *exec.Cmd
	started time.Time
	ready   chan time.Time // each READY=1 of sd_notify(3)
	ended   chan error
	output  bytes.Buffer // to be read after the end
	web     http.Client
}

// start starts the daemon with its defaults but for the paths and the time
// between audits, 0 for none.
func (c *cell) start(binary string, auditSeconds int) (*daemon, error) {
	notify := filepath.Join(c.dir, "notify"+strconv.Itoa(len(c.closers)))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	c.atEnd(func() { conn.Close() })
	file, err := c.writeConfig(auditSeconds)
	if err != nil {
		return nil, err
	}
	d := &daemon{cmd: exec.Command(binary, "-c", file), ready: make(chan time.Time, 64), ended: make(chan error, 1)}
	// Each scrape has a connection of its own, so that what one costs is the same
	// at all times.
	d.web = http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	d.cmd.Env = []string{"NOTIFY_SOCKET=" + notify}
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	go d.follow(conn)
	d.started = time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.ended <- d.cmd.Wait() }()
	c.atEnd(func() {
		d.cmd.Process.Kill()
		d.ended <- <-d.ended
	})
	return d, nil
}

// writeConfig writes the daemon's configuration and returns its path.
func (c *cell) writeConfig(auditSeconds int) (path string, err error) {
	path = filepath.Join(c.dir, "portsyncd.conf")
	text := fmt.Sprintf("[database]\nconfig_file = \"\"\nunix_socket = %q\n"+
		"[warm_restart]\nstate_file = %q\n[metrics]\nstorage_path = %q\nsave_interval_secs = %d\n"+
		"[health]\naudit_interval_secs = %d\n",
		filepath.Join(c.dir, "redis.sock"), filepath.Join(c.dir, "port_state.json"), filepath.Join(c.dir, "metrics"), c.save, auditSeconds)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// audit changes the time between audits of the running daemon.
func (c *cell) audit(d *daemon, seconds int) error {
	if _, err := c.writeConfig(seconds); err != nil {
		return err
	}
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	_, err := d.awaitReady()
	return err
}

// follow notes when the daemon says that it is ready.
func (d *daemon) follow(conn *net.UnixConn) {
	buf := make([]byte, 8<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				d.ready <- time.Now()
			}
		}
	}
}

func (d *daemon) awaitReady() (time.Time, error) {
	select {
	case at := <-d.ready:
		return at, nil
	case err := <-d.ended:
		d.ended <- err
		return time.Time{}, fmt.Errorf("the daemon has ended: %v\n%s", err, &d.output)
	case <-time.After(patience):
		return time.Time{}, fmt.Errorf("no READY=1 within %v", patience)
	}
}

// stop ends the daemon as systemd would.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-d.ended:
		d.ended <- err
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the daemon still runs %v after SIGTERM", patience)
	}
}

// scrape returns the daemon's metrics.
func (d *daemon) scrape() (scrape, error) {
	answer, err := d.web.Get("http://127.0.0.1:9101/metrics")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New("scrape: " + answer.Status)
	}
	return scrape(text), err
}

// await scrapes until cond is true of what was scraped.
func (d *daemon) await(ctx context.Context, what string, cond func(scrape) bool) (scrape, error) {
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s, err := d.scrape()
		switch {
		case err != nil:
			return "", err
		case cond(s):
			return s, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case time.Now().After(late):
			return "", fmt.Errorf("%s: not within %v", what, patience)
		}
	}
}

// scrape is a page in Prometheus' text format.
type scrape string

// value is that of one series, with its labels as they are written, or 0.
func (s scrape) value(series string) float64 {
	for line := range strings.Lines(string(s)) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				return 0
			}
			return v
		}
	}
	return 0
}

// usage is what a process uses at one moment.
type usage struct {
	CPU         time.Duration // of all threads, user and system
	Wakeups     int           // voluntary context switches of all threads
	RSS         int           // bytes
	Threads     int
	Descriptors int
}

// use reads what the daemon uses.
func (d *daemon) use() (u usage, err error) {
	pid := d.cmd.Process.Pid
	// The CPU clock of a process (clock_getcpuclockid(3)) has nanoseconds, where
	// /proc/PID/stat has ticks. Its number is made as in the kernel's
	// include/linux/posix-timers_types.h, MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED.
	const cpuclockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return u, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	u.CPU = time.Duration(ts.Nano())
	proc := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return u, err
	}
	u.RSS = statusNumber(string(status), "VmRSS") << 10 // given in KiB
	tasks, err := filepath.Glob(proc + "/task/*/status")
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil { // a thread may end
			u.Threads++
			u.Wakeups += statusNumber(string(text), "voluntary_ctxt_switches")
		}
	}
	fds, err := os.ReadDir(proc + "/fd")
	u.Descriptors = len(fds)
	return u, err
}

// statusNumber is the number in one line of a /proc/PID/status (proc(5)), or 0.
func statusNumber(status, name string) int {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			if words := strings.Fields(text); len(words) > 0 {
				n, _ := strconv.Atoi(words[0])
				return n
			}
		}
	}
	return 0
}
