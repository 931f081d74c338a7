package netlinkraw

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Tests that change links run in a network namespace of their own: the test binary runs itself again
// in the namespace, with only this test. A user other than root also needs a user namespace, which any
// user may create if the system allows it. Under QEMU, only root can run these tests, because QEMU
// cannot create a user namespace.

const (
	insideVar  = "NETLINKRAW_TEST_INSIDE"
	requireVar = "PORTSYNCD_REQUIRE_INTEGRATION" // turns a skip into a failure
)

// insideNamespace reports whether the test runs in a namespace of its own. Otherwise it runs the test
// in one before it returns, and the caller must return.
func insideNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		return true
	}
	var out bytes.Buffer
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s", fmt.Sprintf("-record=%t", *record))
	cmd.Env = append(os.Environ(), insideVar+"=1", "GORACE=atexit_sleep_ms=0") // the race detector's exit takes a second otherwise
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		skip(t, "no namespace of our own: %v", err)
	}
	err := cmd.Wait()
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out.Bytes())
	}
	if bytes.Contains(out.Bytes(), []byte("--- SKIP: "+t.Name())) {
		skip(t, "in a namespace:\n%s", out.Bytes())
	}
	if !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name())) {
		t.Fatalf("in a namespace the test did not run:\n%s", out.Bytes())
	}
	t.Logf("in a namespace:\n%s", out.Bytes())
	return false
}

// skip skips t, or fails it if the environment forbids skipping.
func skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(requireVar) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// links changes links in the namespace of the test.
type links struct {
	t testing.TB
	r *Requester
}

func newLinks(t testing.TB) *links {
	t.Helper()
	r, err := DialRequester()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &links{t, r}
}

// addVeth creates a pair of links with these names. It skips the test if there is no veth driver.
func (l *links) addVeth(name, peer string) {
	l.t.Helper()
	if err := l.r.Do(vethRequest(name, peer)); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) {
			skip(l.t, "no veth driver: %v", err)
		}
		l.t.Fatal(err)
	}
}

// vethRequest returns the request of "ip link add NAME type veth peer name PEER".
func vethRequest(name, peer string) []byte {
	const vethInfoPeer = 1 // VETH_INFO_PEER, include/uapi/linux/veth.h
	b := AppendHeader(nil, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = AppendAttrString(b, unix.IFLA_IFNAME, name)
	b, info := BeginNested(b, unix.IFLA_LINKINFO)
	b = AppendAttrString(b, unix.IFLA_INFO_KIND, "veth")
	b, data := BeginNested(b, unix.IFLA_INFO_DATA)
	b, peerInfo := BeginNested(b, vethInfoPeer)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = AppendAttrString(b, unix.IFLA_IFNAME, peer)
	b = EndNested(b, peerInfo)
	b = EndNested(b, data)
	b = EndNested(b, info)
	FinishMessage(b, 0)
	return b
}

// index returns the index of the link with this name.
func (l *links) index(name string) int32 {
	l.t.Helper()
	var index int32
	if err := ListLinks(func(link *Link) {
		if string(link.Name) == name {
			index = link.Index
		}
	}); err != nil {
		l.t.Fatal(err)
	}
	if index == 0 {
		l.t.Fatalf("no link %q", name)
	}
	return index
}

func (l *links) setMTU(index int32, mtu uint32) {
	l.t.Helper()
	if err := l.r.Do(mtuRequest(index, mtu)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *links) setUp(index int32) {
	l.t.Helper()
	b := AppendHeader(nil, unix.RTM_NEWLINK, 0, 0, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, index, unix.IFF_UP, unix.IFF_UP)
	FinishMessage(b, 0)
	if err := l.r.Do(b); err != nil {
		l.t.Fatal(err)
	}
}

// mtuRequest returns the request of "ip link set ... mtu MTU".
func mtuRequest(index int32, mtu uint32) []byte {
	b := AppendHeader(nil, unix.RTM_NEWLINK, 0, 0, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0)
	b = AppendAttrUint32(b, unix.IFLA_MTU, mtu)
	FinishMessage(b, 0)
	return b
}

// testConn is a Conn with a Batch.
type testConn struct {
	*Conn
	t testing.TB
	b Batch
}

// dialTest calls dial and sets a deadline, so that a test that waits for a missing message fails.
func dialTest(t testing.TB, cfg Config, n, size int) *testConn {
	t.Helper()
	c, err := dial(cfg, unix.RTMGRP_LINK, n, size)
	if err != nil {
		t.Fatal(err)
	}
	return newTestConn(t, c)
}

func newTestConn(t testing.TB, c *Conn) *testConn {
	t.Helper()
	t.Cleanup(c.discard)
	if err := c.setDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &testConn{Conn: c, t: t}
}

// wantQuiet checks that there are no more messages.
func (c *testConn) wantQuiet() {
	c.t.Helper()
	if err := c.setDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	for {
		if c.b.Next() {
			c.t.Fatalf("unexpected: %s", describe(c.b.Message()))
		}
		err := c.Receive(&c.b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// until calls fn with each message until fn returns true.
func (c *testConn) until(fn func(*Message) bool) {
	c.t.Helper()
	for {
		for c.b.Next() {
			if fn(c.b.Message()) {
				return
			}
		}
		if err := c.Receive(&c.b); err != nil {
			c.t.Fatal(err)
		}
	}
}

// describe formats a message in one line.
func describe(m *Message) string {
	var s bytes.Buffer
	s.WriteString(m.Type.String())
	if m.Dump {
		fmt.Fprintf(&s, " dump=%d", m.Seq)
	}
	if m.Interrupted {
		s.WriteString(" interrupted")
	}
	if m.Errno != 0 {
		fmt.Fprintf(&s, " errno=%d", m.Errno)
	}
	if m.Type != NewLink && m.Type != DelLink {
		return s.String()
	}
	l := &m.Link
	fmt.Fprintf(&s, " %d %q", l.Index, l.Name)
	if l.Family != 0 {
		fmt.Fprintf(&s, " family=%d", l.Family)
	}
	if len(l.Kind) > 0 {
		fmt.Fprintf(&s, " kind=%s", l.Kind)
	}
	if l.Up() {
		s.WriteString(" up")
	}
	if l.Running() {
		s.WriteString(" running")
	}
	if l.HasMTU {
		fmt.Fprintf(&s, " mtu=%d", l.MTU)
	}
	if l.Master != 0 {
		fmt.Fprintf(&s, " master=%d", l.Master)
	}
	if l.HasCarrierCounts {
		fmt.Fprintf(&s, " carrier=+%d-%d", l.CarrierUp, l.CarrierDown)
	}
	return s.String()
}
