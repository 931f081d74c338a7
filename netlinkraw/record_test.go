package netlinkraw

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var record = flag.Bool("record", false, "record testdata/*.hex anew from this machine's kernel (needs ip of iproute2)")

// TestRecord records the datagrams that the kernel sends while ip changes links. It uses a socket of its
// own, independent of the code under test:
//
//	go test ./netlinkraw -run '^TestRecord$' -record
//
// Look at the changes before committing them: the tests state what the bytes
// mean.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("records fixtures only with -record")
	}
	if !insideNamespace(t) {
		return
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	// The kernel announces a carrier change up to a second later.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1, Usec: 500_000})

	badDump := appendDumpRequest(nil, 7)
	native.PutUint32(badDump[headerLen+8:], unix.IFF_UP)

	badMTU := mtuRequest(3, 1<<30)
	native.PutUint16(badMTU[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	native.PutUint32(badMTU[8:], 9)

	for _, step := range []struct {
		file     string // empty: change without recording
		commands []string
		request  []byte
		what     string
	}{
		{file: "veth_add", commands: []string{"ip link add Ethernet0 type veth peer name peer0"}},
		{file: "veth_up", commands: []string{"ip link set Ethernet0 up", "ip link set peer0 up"}},
		{file: "mtu", commands: []string{"ip link set Ethernet0 mtu 9100"}},
		{file: "carrier_lost", commands: []string{"ip link set peer0 down"}},
		{file: "rename", commands: []string{"ip link set Ethernet0 down", "ip link set Ethernet0 name Ethernet4"}},
		{commands: []string{"ip link add br0 type bridge"}},
		{file: "bridge_join", commands: []string{"ip link set Ethernet4 master br0"}},
		{file: "dump", request: appendDumpRequest(nil, 5), what: "RTM_GETLINK dump, seq 5, RTEXT_FILTER_SKIP_STATS"},
		{file: "refused_dump", request: badDump, what: "RTM_GETLINK dump, seq 7, with ifi_flags set, strict checking"},
		{file: "refused_mtu", request: badMTU, what: "RTM_NEWLINK with IFLA_MTU 1<<30, seq 9, NETLINK_EXT_ACK without NETLINK_CAP_ACK"},
		{file: "bridge_leave", commands: []string{"ip link set Ethernet4 nomaster"}},
		{commands: []string{"ip link set Ethernet4 master br0"}},
		{file: "bridge_member_delete", commands: []string{"ip link del Ethernet4"}},
	} {
		for _, command := range step.commands {
			args := strings.Fields(command)
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
		}
		if step.request != nil {
			if err := unix.Sendto(fd, step.request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
				t.Fatal(err)
			}
		}
		datagrams := receiveAll(t, fd)
		if step.file == "" {
			continue
		}
		what := step.what
		if what == "" {
			what = strings.Join(step.commands, "; ")
		}
		if err := os.WriteFile(fixturePath(step.file), formatFixture(what, datagrams), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// receiveAll returns the datagrams that arrive before a timeout.
func receiveAll(t *testing.T, fd int) (datagrams [][]byte) {
	for {
		buf := make([]byte, 64<<10)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EAGAIN {
			return datagrams
		}
		if err != nil {
			t.Fatal(err)
		}
		datagrams = append(datagrams, buf[:n])
	}
}

// formatFixture formats datagrams in hexadecimal, 32 bytes per line, each followed by a line "--".
func formatFixture(what string, datagrams [][]byte) []byte {
	var kernel unix.Utsname
	unix.Uname(&kernel)
	var s bytes.Buffer
	fmt.Fprintf(&s, "# %s\n", what)
	fmt.Fprintf(&s, "# Linux %s %s, %s\n", unix.ByteSliceToString(kernel.Release[:]), unix.ByteSliceToString(kernel.Machine[:]), time.Now().Format(time.DateOnly))
	for _, d := range datagrams {
		for len(d) > 0 {
			n := min(32, len(d))
			fmt.Fprintf(&s, "%x\n", d[:n])
			d = d[n:]
		}
		s.WriteString("--\n")
	}
	return s.Bytes()
}

func fixturePath(name string) string { return filepath.Join("testdata", name+".hex") }

// fixture returns recorded datagrams from testdata.
func fixture(t testing.TB, name string) (datagrams [][]byte) {
	t.Helper()
	data, err := os.ReadFile(fixturePath(name))
	if err != nil {
		t.Fatal(err)
	}
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the fixtures were recorded on a little-endian machine")
	}
	var d []byte
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case line == "--":
			datagrams, d = append(datagrams, d), nil
		default:
			part, err := hex.DecodeString(line)
			if err != nil {
				t.Fatalf("%s: %v", fixturePath(name), err)
			}
			d = append(d, part...)
		}
	}
	if len(datagrams) == 0 || d != nil {
		t.Fatalf("%s: no datagram, or one without end", fixturePath(name))
	}
	return datagrams
}
