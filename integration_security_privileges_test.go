package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// unitCapabilities returns what the shipped unit leaves the daemon.
func unitCapabilities(t *testing.T) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(document(t, "portsyncd.service"))
	if line == nil {
		t.Fatal("the unit does not limit capabilities")
	}
	return strings.Fields(line[1])
}

// startWithin starts the daemon as root with these capabilities and no other, as
// the unit does, and waits until it is ready. See capabilities(7).
func (k *keeper) startWithin(capabilities []string) *program {
	k.t.Helper()
	require(k.t, "setpriv")
	set := "-all"
	for _, c := range capabilities {
		set += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	d := k.startCommand(launch{}, "setpriv", "--bounding-set", set, "--inh-caps", "-all", "--ambient-caps", "-all",
		k.binary, "-c", k.conf)
	d.awaitReady()
	return d
}

// privileged is what the daemon does that a process without capabilities cannot.
type privileged struct {
	setDown bool // left-over interfaces are set down
	buffer  float64
}

// work has a daemon do all that a cold start and a running switch need.
func (k *keeper) work(capabilities []string) (did privileged) {
	k.t.Helper()
	k.write("", "save_interval_secs = 1\nexport_format = \"both\"")
	const leftOver = "Ethernet400"
	k.addPort(leftOver)
	k.cell.old[k.linkIndex(leftOver)] = true
	k.configure(warmPorts)
	d := k.startWithin(capabilities)
	k.plug(warmPorts)
	k.disturbFew()
	k.recovered(fmt.Sprintf("with capabilities %q", capabilities))
	k.awaitRecord(1)
	for _, file := range []string{"state", "metrics", "history"} {
		k.awaitSaved(file)
	}
	awaitDegraded(k.t)
	k.reload(d)
	s := newSite(k.t, httpAddress)
	for _, path := range []string{"/", "/metrics", "/metrics.json", "/healthz", "/readyz", "/ports"} {
		s.get(path)
	}
	did.buffer = s.scrape().value(k.t, "portsyncd_netlink_receive_buffer_bytes")
	did.setDown = linkTable(k.t)[leftOver].Admin == "down"
	if !did.setDown {
		k.awaitLog(0, patience, "operation not permitted")
	}
	d.diesBy(syscall.SIGTERM, "without privileges")
	return did
}

// disturbFew is disturb for a switch of few ports.
func (c *cell) disturbFew() {
	c.t.Helper()
	c.must("delete", c.links.Delete(portName(0)))
	c.addPort(portName(0))
	c.must("set down", c.links.SetUp(portName(1), false))
	c.must("set MTU", c.links.SetMTU(portName(2), 1400))
}

// TestCapabilities: with the capabilities of the unit all is done that a switch
// needs, and without any one of them something is not. Each has its case here.
func TestCapabilities(t *testing.T) {
	alongside(t)
	lacks := map[string]func(t *testing.T, did privileged){
		// rtnetlink(7): changing a link; socket(7): SO_RCVBUFFORCE.
		"CAP_NET_ADMIN": func(t *testing.T, did privileged) {
			if did.setDown {
				t.Error("left-over interfaces were set down without it: what is it for?")
			}
		},
	}
	all := unitCapabilities(t)
	for name := range lacks {
		if !slices.Contains(all, name) {
			t.Errorf("the unit does not grant %s", name)
		}
	}
	t.Run("all", func(t *testing.T) {
		k := newKeeper(t)
		if k == nil {
			return
		}
		did := k.work(all)
		if !did.setDown {
			t.Error("a left-over interface was not set down")
		}
		// Only root of the machine itself may go beyond the limit.
		ids, err := os.ReadFile("/proc/self/uid_map")
		k.must("read the user namespace", err)
		if isRoot := strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"; isRoot && did.buffer < 16<<20 {
			t.Errorf("a receive buffer of %v bytes, want 16 MiB", did.buffer)
		}
	})
	for _, name := range all {
		t.Run("without_"+name, func(t *testing.T) {
			check := lacks[name]
			if check == nil {
				t.Fatalf("the unit grants %s, and no test needs it", name)
			}
			k := newKeeper(t)
			if k == nil {
				return
			}
			check(t, k.work(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == name })))
		})
	}
}

// TestNoNewPrivileges: no thread of the daemon can gain privileges by executing
// something, whoever started it (PR_SET_NO_NEW_PRIVS, prctl(2)).
func TestNoNewPrivileges(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	if raceEnabled {
		t.Skip("a program with cgo, which the race detector needs, cannot ask for it in all threads")
	}
	d := c.bringUp(1)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.cmd.Process.Pid))
	if err != nil || len(files) < 2 {
		t.Fatalf("threads: %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(text), "\nNoNewPrivs:\t1\n") {
			t.Errorf("%s does not say NoNewPrivs: 1", file)
		}
	}
}
