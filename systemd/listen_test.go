package systemd

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// childRole is an environment variable that makes this test binary run as a child process of a
// test.
const childRole = "PORTSYNCD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(childRole); role {
	case "":
		os.Exit(m.Run())
	case "listen":
		printListeners()
	case "service":
		serve()
	default:
		panic("unknown role " + role)
	}
}

// printListeners is the child process of TestListeners.
func printListeners() {
	ls, err := Listeners()
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(0)
	}
	for _, l := range ls {
		fmt.Println(l.Name, l.Addr().Network(), l.Addr())
	}
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		if _, set := os.LookupEnv(name); set {
			fmt.Println(name, "is still set")
		}
	}
	if again, err := Listeners(); again != nil || err != nil {
		fmt.Println("a second call:", again, err)
	}
	// The passed descriptors must be closed together with the listeners.
	for _, l := range ls {
		l.Close()
	}
	for i := range ls {
		if accepts, err := unix.GetsockoptInt(firstFD+i, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && accepts == 1 {
			fmt.Println("descriptor", firstFD+i, "is still open")
		}
	}
}

// TestListeners passes sockets to a child process like the service manager does: as descriptors
// from 3, with LISTEN_PID set to the child.
func TestListeners(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "socket")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	datagram := newManager(t, filepath.Join(t.TempDir(), "datagram"))

	tcpLine, unixLine := " tcp "+tcp.Addr().String()+"\n", " unix "+path+"\n"
	type filer interface{ File() (*os.File, error) }
	both := []filer{tcp.(filer), local.(filer)}
	tests := []struct {
		name    string
		pid     string // "$$" is the pid of the child
		env     []string
		sockets []filer
		want    string
	}{
		{"two", "$$", []string{"LISTEN_FDS=2"}, both, "unknown" + tcpLine + "unknown" + unixLine},
		{"named", "$$", []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=web:portsyncd.socket"}, both, "web" + tcpLine + "portsyncd.socket" + unixLine},
		{"fewer", "$$", []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=web"}, both, "web" + tcpLine},
		{"none", "$$", nil, nil, ""},
		{"other process", "1", []string{"LISTEN_FDS=2"}, both, ""},
		{"no pid", "", []string{"LISTEN_FDS=2"}, both, ""},
		{"bad pid", "x", []string{"LISTEN_FDS=2"}, both, "error: invalid LISTEN_PID \"x\": must be a process ID\n"},
		{"bad count", "$$", []string{"LISTEN_FDS=two"}, both, "error: invalid LISTEN_FDS \"two\": must be a number from 1 to 1024\n"},
		{"names do not match", "$$", []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=web"}, both,
			"error: invalid LISTEN_FDNAMES \"web\": must have 2 names, the value of LISTEN_FDS\n"},
		{"datagram socket", "$$", []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=a:b"}, []filer{tcp.(filer), datagram},
			"error: socket \"b\" passed by systemd as descriptor 4: not a listening stream socket\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", `LISTEN_PID=`+tt.pid+` exec "$0"`, self)
			cmd.Env = append(os.Environ(), childRole+"=listen",
				"GORACE=atexit_sleep_ms=0") // the race detector would delay the exit by a second
			cmd.Env = append(cmd.Env, tt.env...)
			for _, s := range tt.sockets {
				file, err := s.File()
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				cmd.ExtraFiles = append(cmd.ExtraFiles, file)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			if string(got) != tt.want {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestListenersBadDescriptor checks the errors for descriptors that are not sockets, which must
// stay open, and for invalid values of LISTEN_FDS.
func TestListenersBadDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	if ls, err := listeners(int(r.Fd()), "1", ""); ls != nil || !errorNames(err, "descriptor "+strconv.Itoa(int(r.Fd()))) {
		t.Errorf("a pipe: %v, %v", ls, err)
	}
	if _, err := unix.FcntlInt(r.Fd(), unix.F_GETFD, 0); err != nil {
		t.Errorf("the pipe was closed: %v", err)
	}
	if ls, err := listeners(1<<20, "1", ""); ls != nil || !errorNames(err, "descriptor 1048576") {
		t.Errorf("not open: %v, %v", ls, err)
	}
	for _, count := range []string{"0", "-1", "1025", "9999999999999999999", "1 "} {
		if ls, err := listeners(1<<20, count, ""); ls != nil || !errorNames(err, "invalid LISTEN_FDS "+strconv.Quote(count)) {
			t.Errorf("LISTEN_FDS=%q: %v, %v", count, ls, err)
		}
	}
}

// TestListenersCloseOnExec checks that listeners are closed on exec.
func TestListenersCloseOnExec(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "web")) // does not require lo
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// Like a descriptor passed by the manager, fd has no close-on-exec flag and is not used by
	// the Go runtime.
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ls, err := listeners(fd, "1", "web")
	if err != nil {
		t.Fatal(err)
	}
	defer ls[0].Close()
	raw, err := ls[0].Listener.(*net.UnixListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v; want FD_CLOEXEC", flags, err)
		}
	})
	client, err := net.Dial("unix", ls[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	conn, err := ls[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
