package lab

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// linkState is the comparable state of a link in the kernel.
type linkState struct {
	kind        string
	up, running bool
	mtu         uint32
	master      string
}

func kernelLinks(t *testing.T) map[string]linkState {
	t.Helper()
	var links []netlinkraw.Link
	names := make(map[int32]string)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		links = append(links, *l)
		names[l.Index] = string(l.Name)
	})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]linkState)
	for _, l := range links {
		if string(l.Name) != "lo" {
			out[string(l.Name)] = linkState{string(l.Kind), l.Up(), l.Running(), l.MTU, names[l.Master]}
		}
	}
	return out
}

// awaitLinks waits until the links have these states. The kernel announces the link-down of a peer up
// to a second later (net/core/link_watch.c).
func awaitLinks(t *testing.T, want map[string]linkState) {
	t.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(10*time.Second, func() { conn.Close() }).Stop()
	defer conn.Close()
	var b netlinkraw.Batch
	for {
		got := kernelLinks(t)
		if maps.Equal(got, want) {
			return
		}
		if err := conn.Receive(&b); err != nil {
			t.Fatalf("links:\n got %v\nwant %v", got, want)
		}
	}
}

func dialLinks(t *testing.T) *Links {
	links, err := DialLinks()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { links.Close() })
	return links
}

// TestLinks checks each change of an interface.
func TestLinks(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	links := dialLinks(t)
	for _, step := range []struct {
		name string
		do   func() error
		want map[string]linkState
	}{
		{"add veth", func() error { return links.AddVeth("Ethernet0", "p0") }, map[string]linkState{
			"Ethernet0": {"veth", false, false, 1500, ""}, "p0": {"veth", false, false, 1500, ""}}},
		{"up", func() error { return errors.Join(links.SetUp("Ethernet0", true), links.SetUp("p0", true)) },
			map[string]linkState{"Ethernet0": {"veth", true, true, 1500, ""}, "p0": {"veth", true, true, 1500, ""}}},
		{"mtu", func() error { return links.SetMTU("Ethernet0", 9100) }, map[string]linkState{
			"Ethernet0": {"veth", true, true, 9100, ""}, "p0": {"veth", true, true, 1500, ""}}},
		{"peer down", func() error { return links.SetUp("p0", false) }, map[string]linkState{
			"Ethernet0": {"veth", true, false, 9100, ""}, "p0": {"veth", false, false, 1500, ""}}},
		{"add bridge", func() error { return errors.Join(links.AddBridge("Br"), links.SetMaster("Ethernet0", "Br")) },
			map[string]linkState{"Ethernet0": {"veth", true, false, 9100, "Br"}, "p0": {"veth", false, false, 1500, ""},
				"Br": {"bridge", false, false, 9100, ""}}},
		{"leave bridge", func() error { return errors.Join(links.NoMaster("Ethernet0"), links.Delete("Br")) },
			map[string]linkState{"Ethernet0": {"veth", true, false, 9100, ""}, "p0": {"veth", false, false, 1500, ""}}},
		{"rename", func() error {
			return errors.Join(links.SetUp("Ethernet0", false), links.Rename("Ethernet0", "Ethernet4"))
		},
			map[string]linkState{"Ethernet4": {"veth", false, false, 9100, ""}, "p0": {"veth", false, false, 1500, ""}}},
		{"what is not in the table", func() error {
			return links.SetTxQueueLen("p0", 77)
		}, map[string]linkState{"Ethernet4": {"veth", false, false, 9100, ""}, "p0": {"veth", false, false, 1500, ""}}},
	} {
		t.Log(step.name)
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		awaitLinks(t, step.want)
	}
	if err := links.Delete("p0"); err != nil {
		t.Error(err)
	}
	if got := kernelLinks(t); len(got) != 0 {
		t.Errorf("after the delete of one end: %v", got)
	}
}

// TestLinkErrors checks the errors for missing interfaces and invalid values.
func TestLinkErrors(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	links := dialLinks(t)
	if err := links.AddVeth("Ethernet0", "p0"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		err  error
		is   error
		says string
	}{
		{links.AddVeth("Ethernet0", "p1"), unix.EEXIST, `add veth interface "Ethernet0"`},
		{links.Delete("Ethernet9"), unix.ENODEV, `delete link "Ethernet9"`},
		{links.SetUp("Ethernet9", true), unix.ENODEV, `set link "Ethernet9"`},
		{links.SetMaster("Ethernet0", "nobody"), unix.ENODEV, `set link "Ethernet0": look up master "nobody"`},
		{links.SetMTU("Ethernet0", 10), unix.EINVAL, `set link "Ethernet0"`},
		{links.SetUp("a name that is too long", true), unix.EINVAL, "interface name of 23 bytes"},
		{links.AddBridge("a name that is too long"), unix.ERANGE, `add bridge interface "a name`},
	} {
		if test.err == nil || !errors.Is(test.err, test.is) || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("got %v, want %v and %q", test.err, test.is, test.says)
		}
	}
}

// TestIP checks the effect of lines.
func TestIP(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	err := Batch([]string{
		"link add Ethernet0 type veth peer name p0",
		"link add name Br type bridge",
		`link set dev Ethernet0 up mtu 9100 alias "front panel 1" txqueuelen 500 promisc on address 02:00:00:00:00:07`,
		"link set p0 up master Br",
		"link set Br up",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]linkState{
		"Ethernet0": {"veth", true, true, 9100, ""},
		"p0":        {"veth", true, true, 1500, "Br"},
		"Br":        {"bridge", true, true, 1500, ""},
	}
	awaitLinks(t, want)
	if err := IP("link set p0 nomaster up down promisc off"); err != nil {
		t.Error(err)
	}
	if err := IP("link del dev Br"); err != nil {
		t.Error(err)
	}
	awaitLinks(t, map[string]linkState{
		"Ethernet0": {"veth", true, false, 9100, ""}, "p0": {"veth", false, false, 1500, ""}})
	if err := Batch([]string{"link del p0", "link del p0", "link del x"}); err == nil ||
		!strings.HasPrefix(err.Error(), "line 2: ip link del p0: delete link \"p0\": ") {
		t.Errorf("failing batch: %v", err)
	}
}

// TestIPSyntax checks the errors for invalid lines.
func TestIPSyntax(t *testing.T) {
	links := &Links{} // nothing gets as far as the kernel
	for line, want := range map[string]string{
		"":                               `expected "link", got ""`,
		"addr add 1.2.3.4/24 dev eth0":   `expected "link", got "addr"`,
		"link":                           `unknown link command "": must be add, set or del`,
		"link show":                      `unknown link command "show": must be add, set or del`,
		"link add":                       `missing a name at the end of the line`,
		"link add x":                     `expected "type", got ""`,
		"link add x type dummy":          `unsupported link type "dummy": must be veth or bridge`,
		"link add x type veth":           `expected "peer", got ""`,
		"link add x type veth peer y":    `expected "name", got "y"`,
		"link add x type veth peer name": `missing a name at the end of the line`,
		"link add x type bridge y":       `unexpected word "y"`,
		"link add x type veth peer name y mtu 9100": `unexpected word "mtu"`,
		"link set":                          `missing a name at the end of the line`,
		"link set x sideways":               `unknown word "sideways"`,
		"link set x mtu":                    `invalid mtu value "": must be a number`,
		"link set x mtu big":                `invalid mtu value "big": must be a number`,
		"link set x mtu -1":                 `invalid mtu value "-1": must be a number`,
		"link set x txqueuelen 99999999999": `invalid txqueuelen value "99999999999": must be a number`,
		"link set x address 1":              `invalid hardware address "1"`,
		"link set x promisc maybe":          `invalid promisc value "maybe": must be on or off`,
		"link set x name":                   `missing a text at the end of the line`,
		"link set x master":                 `missing a name at the end of the line`,
		"link del":                          `missing a name at the end of the line`,
		"link del x y":                      `unexpected word "y"`,
		`link set x alias "open`:            `unbalanced quotes`,
	} {
		if err := links.runLine(line); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", line, err, want)
		}
	}
}
