package netlinkraw

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestRequesterRefusesUnfinishedMessage checks the error for a message without its length.
func TestRequesterRefusesUnfinishedMessage(t *testing.T) {
	r := newLinks(t).r
	whole := vethRequest("a", "b")
	for _, msg := range [][]byte{nil, whole[:15], patched(whole, 0, 0), slices.Concat(whole, whole)} {
		if err := r.Do(msg); err == nil || errors.As(err, new(*OpError)) {
			t.Errorf("%d bytes: %v, want an error before sending", len(msg), err)
		}
	}
}

// TestRequesterError checks the errno and the text of a refused request.
func TestRequesterError(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l := newLinks(t)
	l.addVeth("Ethernet0", "peer0")
	for _, tt := range []struct {
		name string
		msg  []byte
		want syscall.Errno
		text string
	}{
		{"name in use", vethRequest("Ethernet0", "peer1"), unix.EEXIST, "RTM_NEWLINK: file exists"},
		{"no such link", setDownRequest(1 << 30), unix.ENODEV, "RTM_NEWLINK: no such device"},
		{
			"mtu too large", withAttrs(AppendAttrUint32(nil, unix.IFLA_MTU, 1<<30)), unix.ENODEV, // index 7
			"RTM_NEWLINK: no such device",
		},
		{
			"a reason in words", mtuRequest(l.index("Ethernet0"), 1<<30), unix.EINVAL,
			"RTM_NEWLINK: invalid argument (mtu greater than device maximum)",
		},
		{"unknown type", patchedType(setDownRequest(1), 200), unix.EOPNOTSUPP, "netlink message type 200: operation not supported"},
	} {
		err := l.r.Do(tt.msg)
		if !errors.Is(err, tt.want) || err.Error() != tt.text {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.text)
		}
	}
}

// TestRequesterForgedSender checks that an acknowledgement from another process is ignored.
func TestRequesterForgedSender(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	r := newLinks(t).r
	forger, _, err := openSocket(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(forger)
	forged := errorMessage(r.seq+1, r.port, unix.EPERM)
	if err := unix.Sendto(forger, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: r.port}); err != nil {
		t.Fatal(err)
	}
	if err := r.Do(setDownRequest(1)); err != nil {
		t.Errorf("set lo down: %v", err)
	}
}

// TestSetLinksDownReportsEach checks that each failed link has an error and that a missing link has
// none.
func TestSetLinksDownReportsEach(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	failed := SetLinksDown([]int32{-1, 1 << 30, 1, -2})
	if len(failed) != 2 || !strings.Contains(failed[0].Error(), "link -1 ") || !strings.Contains(failed[1].Error(), "link -2 ") {
		t.Errorf("got %q, want an error each for -1 and -2", failed)
	}
	if failed := SetLinksDown(nil); failed != nil {
		t.Errorf("nothing to do: %q", failed)
	}
}

// TestSetLinksDownWithoutAnswer checks that links after a request without an answer are skipped and
// counted.
func TestSetLinksDownWithoutAnswer(t *testing.T) {
	late := &OpError{Op: "RTM_NEWLINK", Err: os.ErrDeadlineExceeded}
	for _, tt := range []struct {
		name    string
		answers []error
		want    []string
	}{
		{"all answered", []error{nil, unix.ENODEV, nil}, nil},
		{"refused", []error{unix.EPERM, nil, unix.EBUSY}, []string{"bring link 1 down: operation not permitted", "bring link 3 down: device or resource busy"}},
		{"late at once", []error{late, nil, nil}, []string{"bring link 1 down: " + late.Error(), "bring links down: skipped 2 remaining links"}},
		{"late before the last", []error{nil, late, nil}, []string{"bring link 2 down: " + late.Error(), "bring links down: skipped 1 remaining links"}},
		{"late at the last", []error{nil, nil, late}, []string{"bring link 3 down: " + late.Error()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			do := func(request []byte) error {
				asked++
				if !bytes.Equal(request, setDownRequest(int32(asked))) {
					t.Errorf("request %d is % x", asked, request)
				}
				return tt.answers[asked-1]
			}
			var got []string
			for _, err := range setLinksDown(do, []int32{1, 2, 3}) {
				got = append(got, err.Error())
			}
			wantLines(t, got, tt.want...)
		})
	}
}

// TestFindAck checks acknowledgements of this and other requests, with and without a text.
func TestFindAck(t *testing.T) {
	refused := fixture(t, "refused_mtu")[0]
	const seq = 9
	port := native.Uint32(refused[12:])
	capped := errorMessage(seq, port, unix.EINVAL)
	capped = AppendAttrString(capped, errAttrMsg, "why")
	native.PutUint16(capped[6:], unix.NLM_F_CAPPED|unix.NLM_F_ACK_TLVS)
	FinishMessage(capped, 0)

	for _, tt := range []struct {
		name     string
		datagram []byte
		errno    syscall.Errno
		text     string
		ok       bool
	}{
		{"recorded", refused, unix.EINVAL, "mtu greater than device maximum", true},
		{"without the request", capped, unix.EINVAL, "why", true},
		{"acknowledgement", errorMessage(seq, port, 0), 0, "", true},
		{"after another", slices.Concat(errorMessage(6, port, unix.EPERM), errorMessage(seq, port, 0)), 0, "", true},
		{"other request", errorMessage(6, port, 0), 0, "", false},
		{"other port", errorMessage(seq, port+1, 0), 0, "", false},
		{"link message", newLinkMessage(), 0, "", false},
		{"cut short", refused[:30], 0, "", false},
		{"request in it cut short", patchedType(refused[:headerLen+errorLen+2], unix.NLMSG_ERROR), unix.EINVAL, "", true},
		{"text cut short", patchedType(capped[:len(capped)-6], unix.NLMSG_ERROR), unix.EINVAL, "", true},
		{"empty", nil, 0, "", false},
	} {
		errno, text, ok := findAck(tt.datagram, seq, port)
		if errno != tt.errno || text != tt.text || ok != tt.ok {
			t.Errorf("%s: %v %q %t, want %v %q %t", tt.name, errno, text, ok, tt.errno, tt.text, tt.ok)
		}
	}
}

// TestListLinks checks that the loopback link is listed.
func TestListLinks(t *testing.T) {
	var names []string
	if err := ListLinks(func(l *Link) { names = append(names, string(l.Name)) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(names, "lo") {
		t.Errorf("links %q, want lo among them", names)
	}
}

// TestRepeatDump checks that incomplete dumps are repeated until a limit.
func TestRepeatDump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(completeAt, wantDumps int, wantErr bool) {
			t.Helper()
			dumps, start := 0, time.Now()
			links, err := repeatDump(func() ([]Link, bool, error) {
				dumps++
				return make([]Link, dumps), dumps == completeAt, nil
			})
			if dumps != wantDumps || (err != nil) != wantErr || err == nil && len(links) != completeAt {
				t.Errorf("complete at %d: %d dumps, %d links, %v", completeAt, dumps, len(links), err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("complete at %d: took %v", completeAt, d)
			}
		}
		f(1, 1, false)
		f(4, 4, false)
		f(listAttempts, listAttempts, false)
		f(listAttempts+1, listAttempts, true)
	})
}
