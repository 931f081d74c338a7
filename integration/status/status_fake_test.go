package status

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/cli"
	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
	"portsyncd/internal/statusview"
	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// someStatus returns the status of a healthy daemon.
func someStatus(ports int) *statusview.Status {
	now := time.Now().UTC()
	s := &statusview.Status{Schema: statusview.StatusSchema, Time: now, Version: daemon.Release, Host: "leaf1", Process: now,
		Health: portsync.Health{Status: portsync.Healthy, Score: 100, Since: now}}
	s.Start.Kind, s.Start.Ready = "cold", true
	for n := range ports {
		s.Ports = append(s.Ports, portsync.PortView{Name: switchtest.PortName(n), State: "present", Present: true, Written: true, Index: int64(n + 2), Admin: "up", Oper: "up", MTU: 9100, LastChange: &now})
	}
	return s
}

// serveStatus serves a status as a daemon does and returns the address.
func serveStatus(t *testing.T, s *statusview.Status) (address string) {
	t.Helper()
	body := s.AppendJSON(nil)
	return serveFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" || r.Header.Get("Authorization") != "" {
			http.NotFound(w, r)
			return
		}
		w.Write(body)
	})
}

// serveFake serves with a handler and returns the address.
func serveFake(t *testing.T, answer http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestStatusForeignServers checks that the status command recognizes servers that are not
// portsyncd, sends them no credentials, and does not wait for them without a limit.
func TestStatusForeignServers(t *testing.T) {
	t.Parallel()
	path := switchtest.Binary(t)
	var stolen atomic.Bool
	thief := serveFake(t, func(_ http.ResponseWriter, r *http.Request) { stolen.Store(true) })
	for _, f := range []struct {
		name   string
		answer http.HandlerFunc
		code   int
		words  []string
	}{
		{"another path", http.NotFound, cli.ExitUnknown, []string{`"404 Not Found"`, "/status"}},
		{"busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, cli.ExitUnknown, []string{`"503 Service Unavailable"`, "too many"}},
		{"redirection", http.RedirectHandler("http://"+thief+"/status", http.StatusFound).ServeHTTP, cli.ExitUnknown, []string{`"302 Found"`}},
		{"page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, cli.ExitUnknown, []string{"not a status document"}},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, cli.ExitUnknown, []string{"not a status document"}},
		{"another schema", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"schema":2}`) }, cli.ExitUnknown, []string{"schema 2", "must be 1"}},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"schema":1`)
		}, cli.ExitUnknown, []string{"unexpected EOF"}},
		{"steering a terminal", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "{\"schema\":1,\"health\":{\"status\":\"\u009b31m\"}}")
		}, cli.ExitUnknown, []string{`u009b31m`}},
	} {
		address := serveFake(t, f.answer)
		r := switchtest.RunCommand(t, path, []string{"PORTSYNCD_TOKEN=secret"}, "status", "--address", address)
		r.CheckFailure(t, f.name, f.code, f.words...)
		if strings.ContainsAny(r.Stderr, "\x1b\u009b") || strings.Contains(r.Stderr, "secret") {
			t.Errorf("%s: %q", f.name, r.Stderr)
		}
	}
	if stolen.Load() {
		t.Error("a redirection was followed")
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts the connection, no program answers
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	switchtest.RunCommand(t, path, nil, "status", "--address", mute.Addr().String()).CheckFailure(t, "mute", cli.ExitNoDaemon, "daemon did not respond within 5s")
}

// TestStatusWatchBlocks checks that --watch without a terminal prints one status after the other,
// and after a signal exits with the health as status.
func TestStatusWatchBlocks(t *testing.T) {
	t.Parallel()
	s := someStatus(2)
	s.Health.Status = portsync.Degraded
	for _, args := range [][]string{{"--watch=0.1"}, {"--watch=0.1", "--json"}} {
		out := new(switchtest.Output)
		cmd := exec.Command(switchtest.Binary(t), append([]string{"status", "--address", serveStatus(t, s)}, args...)...)
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		begins := map[int]string{1: "portsyncd " + daemon.Release, 2: `{"schema":1,`}[len(args)]
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if n := strings.Count(out.String(), begins); n < 3 {
				return fmt.Sprintf("%d blocks of\n%s", n, out)
			}
			return ""
		})
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitDegraded || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%q: %v, want status %d, and no control sequences in\n%s", args, cmd.ProcessState, cli.ExitDegraded, out)
		}
	}
}

// TestStatusWatchErrorOnce checks that --watch without a terminal prints an error once, however often
// it repeats.
func TestStatusWatchErrorOnce(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	address := serveFake(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.NotFound(w, r)
	})
	out := new(switchtest.Output)
	cmd := exec.Command(switchtest.Binary(t), "status", "--address", address, "--watch=0.1")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if n := requests.Load(); n < 4 {
			return fmt.Sprintf("%d requests", n)
		}
		return ""
	})
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitUnknown || strings.Count(out.String(), "404 Not Found") != 1 {
		t.Errorf("status %d, want %d, and one error in\n%s", code, cli.ExitUnknown, out)
	}
}

// TestStatusPorts checks the text and the JSON of selected ports, and the error for a port that does
// not exist.
func TestStatusPorts(t *testing.T) {
	t.Parallel()
	s := someStatus(64)
	s.Ports[12].Oper, s.Ports[12].Alias = "down", "etp13"
	address := serveStatus(t, s)
	run := func(args ...string) switchtest.CommandResult {
		return switchtest.RunCommand(t, switchtest.Binary(t), nil, append([]string{"status"}, args...)...)
	}
	for _, args := range [][]string{{"Ethernet48", "--address", address}, {"--address", address, "etp13"}} {
		if r := run(args...); r.Code != daemon.ExitOK || !strings.Contains(r.Stdout, "port       Ethernet48, alias etp13\n") ||
			!strings.Contains(r.Stdout, "ports      63 of 64 up") || strings.Contains(r.Stdout, "Ethernet0") {
			t.Errorf("%q: status %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	r := run("--down", "--json", "--address", address)
	if got, err := statusview.DecodeStatus([]byte(r.Stdout)); err != nil || len(got.Ports) != 1 || got.Ports[0].Name != "Ethernet48" {
		t.Errorf("--down --json: %v\n%s%s", err, r.Stdout, r.Stderr)
	}
	run("Ethernet1", "--address", address).CheckFailure(t, "unknown port", cli.ExitUnknown, `unknown port "Ethernet1"`, "Ethernet252")
}

// openTerminal returns both ends of a pseudo-terminal of 24 lines (pty(7), ioctl_tty(2)).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		lab.Unavailable(t, err.Error())
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(filepath.Join("/dev/pts", fmt.Sprint(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		lab.Unavailable(t, "no pseudo-terminal: "+err.Error())
	}
	t.Cleanup(func() { slave.Close() })
	resize(t, master, 24, 100)
	return master, slave
}

func resize(t *testing.T, terminal *os.File, lines, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

// TestStatusWatchTerminal checks that --watch on a terminal redraws within the screen, follows a
// change of size, and restores the screen after Ctrl-C and after the key q.
func TestStatusWatchTerminal(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"Ctrl-C": "\x03", "q": "xq"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watchTerminal(t, key)
		})
	}
}

// watchTerminal runs --watch on a terminal and ends it by keys.
func watchTerminal(t *testing.T, key string) {
	address := serveStatus(t, someStatus(512))
	master, slave := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	out := new(switchtest.Output)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			out.Write(buf[:n])
			if err != nil {
				return // the terminal is closed
			}
		}
	}()
	cmd := exec.Command(switchtest.Binary(t), "status", "--address", address, "--watch=0.1")
	cmd.Env = []string{"LANG=C.UTF-8", "TERM=xterm"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	frames := func(n int) (all []string) {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			all = strings.Split(out.String(), cli.CursorHome)[1:]
			if len(all) <= n {
				return fmt.Sprintf("%d frames, want more than %d: %q", len(all), n, out)
			}
			return ""
		})
		return all[:len(all)-1] // the last may not be whole
	}
	all := frames(2)
	if !strings.HasPrefix(out.String(), cli.EnterScreen+cli.CursorHome) {
		t.Errorf("the output begins with %.60q", out)
	}
	for _, f := range all {
		if n := strings.Count(f, "\n"); n > 23 || !strings.Contains(f, "more ports") || !strings.Contains(f, "\x1b[32msync,") || !strings.HasSuffix(f, cli.ClearBelow) {
			t.Errorf("a frame of %d lines: %q", n, f)
		}
	}
	resize(t, master, 50, 60)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		all := frames(0)
		if n := strings.Count(all[len(all)-1], "\n"); n < 24 || n > 49 {
			return fmt.Sprintf("%d lines after the change of size", n)
		}
		return ""
	})
	if during, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || during.Lflag&unix.ECHO != 0 {
		t.Errorf("keys are echoed: %v", err)
	}
	master.Write([]byte(key))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v, want status 0", err)
		}
	case <-time.After(switchtest.Timeout):
		cmd.Process.Kill()
		t.Fatalf("the key %q does not end the command", key)
	}
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if !strings.HasSuffix(out.String(), cli.LeaveScreen) {
			s := out.String()
			return fmt.Sprintf("the output ends with %q", s[max(0, len(s)-60):])
		}
		return ""
	})
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal's settings are %+v, %v, before they were %+v", after, err, before)
	}
}
