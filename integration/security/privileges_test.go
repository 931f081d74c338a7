package security

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// unitCapabilities returns what the shipped unit leaves the daemon.
func unitCapabilities(t *testing.T) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(switchtest.Document(t, "portsyncd.service"))
	if line == nil {
		t.Fatal("the unit does not limit capabilities")
	}
	return strings.Fields(line[1])
}

// startWithin starts the daemon as root with these capabilities and no other, as
// the unit does, and waits until it is ready. See capabilities(7).
func startWithin(k *switchtest.Keeper, capabilities []string) *switchtest.Program {
	k.T.Helper()
	switchtest.Require(k.T, "setpriv")
	set := "-all"
	for _, c := range capabilities {
		set += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	d := k.StartCommand(switchtest.Launch{}, "setpriv", "--bounding-set", set, "--inh-caps", "-all", "--ambient-caps", "-all",
		k.Binary, "-c", k.Conf)
	d.AwaitReady()
	return d
}

// privileged is what the daemon does that a process without capabilities cannot.
type privileged struct {
	setDown bool // left-over interfaces are set down
	buffer  float64
}

// work has a daemon do all that a cold start and a running switch need.
func work(k *switchtest.Keeper, capabilities []string) (did privileged) {
	k.T.Helper()
	k.Write("", "save_interval_secs = 1\nexport_format = \"both\"")
	const leftOver = "Ethernet400"
	k.AddPort(leftOver)
	k.Cell.Old[k.LinkIndex(leftOver)] = true
	k.Configure(switchtest.WarmPorts)
	d := startWithin(k, capabilities)
	k.Plug(switchtest.WarmPorts)
	disturbFew(k.Cell)
	k.Recovered(fmt.Sprintf("with capabilities %q", capabilities))
	k.AwaitRecord(1)
	for _, file := range []string{"state", "metrics", "history"} {
		awaitSaved(k, file)
	}
	switchtest.AwaitDegraded(k.T)
	k.Reload(d)
	s := switchtest.NewSite(k.T, switchtest.HttpAddress)
	for _, path := range []string{"/", "/metrics", "/metrics.json", "/healthz", "/readyz", "/ports"} {
		s.Get(path)
	}
	did.buffer = s.Scrape().Value(k.T, "portsyncd_netlink_receive_buffer_bytes")
	did.setDown = switchtest.LinkTable(k.T)[leftOver].Admin == "down"
	if !did.setDown {
		k.AwaitLog(0, switchtest.Patience, "operation not permitted")
	}
	d.DiesBy(syscall.SIGTERM, "without privileges")
	return did
}

// disturbFew is disturb for a switch of few ports.
func disturbFew(c *switchtest.Cell) {
	c.T.Helper()
	c.Must("delete", c.Links.Delete(switchtest.PortName(0)))
	c.AddPort(switchtest.PortName(0))
	c.Must("set down", c.Links.SetUp(switchtest.PortName(1), false))
	c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(2), 1400))
}

// TestCapabilities: with the capabilities of the unit all is done that a switch
// needs, and without any one of them something is not. Each has its case here.
func TestCapabilities(t *testing.T) {
	switchtest.Alongside(t)
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
		k := switchtest.NewKeeper(t)
		if k == nil {
			return
		}
		did := work(k, all)
		if !did.setDown {
			t.Error("a left-over interface was not set down")
		}
		// Only root of the machine itself may go beyond the limit.
		ids, err := os.ReadFile("/proc/self/uid_map")
		k.Must("read the user namespace", err)
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
			k := switchtest.NewKeeper(t)
			if k == nil {
				return
			}
			check(t, work(k, slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == name })))
		})
	}
}

// TestNoNewPrivileges: no thread of the daemon can gain privileges by executing
// something, whoever started it (PR_SET_NO_NEW_PRIVS, prctl(2)).
func TestNoNewPrivileges(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	if switchtest.RaceEnabled {
		t.Skip("a program with cgo, which the race detector needs, cannot ask for it in all threads")
	}
	d := c.BringUp(1)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.Cmd.Process.Pid))
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
