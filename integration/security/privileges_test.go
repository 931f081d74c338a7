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

// unitCapabilities returns the capabilities of the shipped unit.
func unitCapabilities(t *testing.T) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(switchtest.ReadFile(t, "portsyncd.service"))
	if line == nil {
		t.Fatal("the unit does not limit capabilities")
	}
	return strings.Fields(line[1])
}

// startWithin starts the daemon as root with only these capabilities, as the unit does, and waits
// until it is ready (capabilities(7)).
func startWithin(sw *switchtest.StorageSwitch, capabilities []string) *switchtest.Daemon {
	sw.T.Helper()
	switchtest.RequireCommand(sw.T, "setpriv")
	set := "-all"
	for _, c := range capabilities {
		set += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	d := sw.StartCommand(switchtest.StartOptions{}, "setpriv", "--bounding-set", set, "--inh-caps", "-all", "--ambient-caps", "-all",
		sw.Binary, "-c", sw.ConfigPath)
	d.AwaitReady()
	return d
}

// privileged is an action of the daemon that needs a capability.
type privileged struct {
	setDown bool // old interfaces are set down
	buffer  float64
}

// work lets a daemon do everything that a cold start and a running switch need.
func work(sw *switchtest.StorageSwitch, capabilities []string) (did privileged) {
	sw.T.Helper()
	sw.WriteSettings("", "save_interval_secs = 1\nexport_format = \"both\"")
	const leftOver = "Ethernet400"
	sw.AddPort(leftOver)
	sw.Switch.IgnoredLinks[sw.LinkIndex(leftOver)] = true
	sw.ConfigurePorts(switchtest.FewPorts)
	d := startWithin(sw, capabilities)
	sw.AddInterfaces(switchtest.FewPorts)
	changeFewLinks(sw.Switch)
	sw.AwaitRecovery(fmt.Sprintf("with capabilities %q", capabilities))
	sw.AwaitRestarts(1)
	for _, file := range []string{"state", "metrics", "history"} {
		awaitSaved(sw, file)
	}
	switchtest.AwaitDegraded(sw.T)
	sw.Reload(d)
	client := switchtest.NewClient(sw.T, switchtest.HTTPAddress)
	for _, path := range []string{"/", "/metrics", "/metrics.json", "/healthz", "/readyz", "/ports", "/events"} {
		client.Get(path)
	}
	did.buffer = client.Scrape().Value(sw.T, "portsyncd_netlink_receive_buffer_bytes")
	did.setDown = switchtest.LinkStates(sw.T)[leftOver].Admin == "down"
	if !did.setDown {
		sw.AwaitLog(0, switchtest.Timeout, "operation not permitted")
	}
	d.EndBySignal(syscall.SIGTERM, "without privileges")
	return did
}

// changeFewLinks is ChangeLinks for a switch with few ports.
func changeFewLinks(sw *switchtest.Switch) {
	sw.T.Helper()
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(0)))
	sw.AddPort(switchtest.PortName(0))
	sw.NoError("set down", sw.Links.SetUp(switchtest.PortName(1), false))
	sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(2), 1400))
}

// TestCapabilities checks that the daemon can do everything with the unit's capabilities, and that
// without any single one of them an action fails.
func TestCapabilities(t *testing.T) {
	switchtest.Parallel(t)
	lacks := map[string]func(t *testing.T, did privileged){
		// rtnetlink(7): changing a link; socket(7): SO_RCVBUFFORCE.
		"CAP_NET_ADMIN": func(t *testing.T, did privileged) {
			if did.setDown {
				t.Error("old interfaces were set down without the capability")
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
		sw := switchtest.NewWithStorage(t)
		if sw == nil {
			return
		}
		did := work(sw, all)
		if !did.setDown {
			t.Error("an old interface was not set down")
		}
		// Only root outside user namespaces may exceed the limit.
		ids, err := os.ReadFile("/proc/self/uid_map")
		sw.NoError("read the user namespace", err)
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
			sw := switchtest.NewWithStorage(t)
			if sw == nil {
				return
			}
			check(t, work(sw, slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == name })))
		})
	}
}

// TestNoNewPrivileges checks that no thread of the daemon can gain privileges by execve, however
// the daemon was started (PR_SET_NO_NEW_PRIVS, prctl(2)).
func TestNoNewPrivileges(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	if switchtest.RaceEnabled {
		t.Skip("a program with cgo, which the race detector needs, cannot ask for it in all threads")
	}
	d := sw.BringUp(1)
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
