package start

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// stateDir is where the daemon stores its files by default.
const stateDir = "/var/lib/sonic/portsyncd"

// TestPortsFirst checks that the daemon sends PortConfigDone before it opens a stored file or listens
// for HTTP requests. After 50 ms the daemon no longer waits for the ports, so a start that took
// longer, because of other load on the machine, is repeated.
func TestPortsFirst(t *testing.T) {
	sw, proxy := switchtest.NewWithProxy(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.FewPorts)
	d := sw.StartReady() // stores files
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		_, err := os.Stat(stateDir + "/metrics/metrics.json")
		if err != nil {
			return err.Error()
		}
		return ""
	})
	if !listening(t) {
		t.Fatal("the running daemon does not listen")
	}
	d.EndBySignal(syscall.SIGTERM, "after the first start")

	for range 50 {
		sw.Do("APPL_DB", "FLUSHALL")
		sw.ConfigurePorts(switchtest.FewPorts)
		opened := watchOpens(t, stateDir, stateDir+"/metrics")
		var early []string // what was done before PortConfigDone
		var took time.Duration
		var begun time.Time
		reached := make(chan struct{})
		check := sync.OnceFunc(func() {
			took = time.Since(begun)
			early = opened()
			if listening(t) {
				early = append(early, "an HTTP listener")
			}
			close(reached)
		})
		begun = time.Now()
		proxy.Set(switchtest.ProxyFault{Change: [2]func([]byte) []byte{func(request []byte) []byte {
			if bytes.Contains(request, []byte("PortConfigDone")) {
				check()
			}
			return request
		}, nil}})
		d = sw.Start(switchtest.StartOptions{})
		select {
		case <-reached:
		case <-time.After(switchtest.Timeout):
			t.Fatal("PortConfigDone was not sent")
		}
		proxy.Set(switchtest.ProxyFault{})
		d.AwaitReady()
		if len(opened()) == 0 || !listening(t) {
			t.Error("the daemon is ready and has opened no stored file or does not listen")
		}
		d.EndBySignal(syscall.SIGTERM, "after a start")
		if took < 45*time.Millisecond {
			if len(early) > 0 {
				t.Errorf("before PortConfigDone, %v after the start, the daemon opened %s", took, strings.Join(early, ", "))
			}
			return
		}
	}
	t.Fatal("each start took longer than 45 ms, so none shows what the daemon does first")
}

// watchOpens watches the files in directories. The returned function returns the names of those that
// have been opened since its last call.
func watchOpens(t *testing.T, dirs ...string) func() []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	watched := make(map[int32]string)
	for _, dir := range dirs {
		wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN)
		if err != nil {
			t.Fatalf("watch %s: %v", dir, err)
		}
		watched[int32(wd)] = dir
	}
	return func() (names []string) {
		buf := make([]byte, 64<<10)
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			t.Errorf("read inotify: %v", err)
			return nil
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(rest))
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			name := strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00")
			names = append(names, path.Join(watched[wd], name))
			rest = rest[end:]
		}
		return names
	}
}

// listening reports whether a process of this network namespace listens on the default HTTP port,
// 9101.
func listening(t *testing.T) bool {
	text, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		t.Errorf("read the sockets: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], ":238D") && f[3] == "0A" { // TCP_LISTEN
			return true
		}
	}
	return false
}
