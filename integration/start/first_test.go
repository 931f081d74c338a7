package start

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// stateDir is where the daemon stores its files by default.
const stateDir = "/var/lib/sonic/portsyncd"

// TestPortsFirst checks that the daemon sends PortConfigDone before it opens a stored file or listens
// for HTTP requests. 50 ms after its start or later, the daemon no longer waits for the ports, so the
// test looks when PortConfigDone is sent or 40 ms after the start, whichever comes first.
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

	const waits, looks = 50 * time.Millisecond, 40 * time.Millisecond
	for watch := switchtest.StartStopwatch(); watch.Left(switchtest.Timeout) > 0; {
		sw.Do("APPL_DB", "FLUSHALL")
		sw.ConfigurePorts(switchtest.FewPorts)
		opened := watchOpens(t, stateDir, stateDir+"/metrics")
		var early []string // what was done too early
		var took time.Duration
		begun, looked := time.Now(), make(chan struct{})
		look := sync.OnceFunc(func() {
			early = opened()
			if listening(t) {
				early = append(early, "an HTTP listener")
			}
			took = time.Since(begun)
			close(looked)
		})
		var sent atomic.Bool
		proxy.Set(switchtest.ProxyFault{Change: [2]func([]byte) []byte{func(request []byte) []byte {
			if bytes.Contains(request, []byte("PortConfigDone")) {
				sent.Store(true)
				look()
			}
			return request
		}, nil}})
		d = sw.Start(switchtest.StartOptions{})
		timer := time.AfterFunc(time.Until(begun.Add(looks)), look)
		<-looked
		timer.Stop()
		d.AwaitReady()
		if !sent.Load() {
			t.Fatal("the daemon is ready and has not sent PortConfigDone")
		}
		proxy.Set(switchtest.ProxyFault{})
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if len(early)+len(opened()) == 0 {
				return "the daemon is ready and has opened no stored file"
			}
			return ""
		})
		if !listening(t) {
			t.Error("the daemon is ready and does not listen")
		}
		d.EndBySignal(syscall.SIGTERM, "after a start")
		switch {
		case len(early) == 0:
			return
		case took < waits: // else this process was delayed
			t.Fatalf("%v after its start, before it sent PortConfigDone, the daemon has opened %s", took, strings.Join(early, ", "))
		}
	}
	t.Fatalf("the daemon opened files or a listener before PortConfigDone at each start, and this process was delayed by %v each time", waits-looks)
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
