package process

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// portLines returns the lines about the changes of a port from line n on, without the component.
func portLines(sw *switchtest.Switch, n int, name string) (texts []string) {
	lines, _ := sw.Logs.From(n)
	for _, l := range lines {
		text, ok := strings.CutPrefix(l.Text, ":- port: "+name+" ")
		if !ok {
			continue
		}
		if l.Severity() != 5 {
			sw.T.Errorf("severity %d, want 5 (NOTICE): %s", l.Severity(), l)
		}
		texts = append(texts, text)
	}
	return texts
}

// TestPortChangesInLog changes a port in each way. Each change must be logged in one line at NOTICE,
// the default level.
func TestPortChangesInLog(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.BringUp(1)
	name, peer := switchtest.PortName(0), switchtest.PeerName(switchtest.PortName(0))
	renamed := switchtest.PortName(1)
	for _, step := range []struct {
		change func() error
		port   string
		want   string // pattern of the line
	}{
		{func() error { return sw.Links.SetUp(peer, false) }, name, `link down( after .* up)?`},
		{func() error { return sw.Links.SetUp(peer, true) }, name, `link up( after .* down)?`},
		{func() error { return sw.Links.SetUp(name, false) }, name, `admin down`},
		{func() error { return sw.Links.SetUp(name, true) }, name, `admin up`},
		{func() error { return sw.Links.SetMTU(name, 1400) }, name, `MTU 1500 -> 1400`},
		{func() error { return errors.Join(sw.Links.SetUp(name, false), sw.Links.Rename(name, renamed)) }, renamed, `renamed from ` + name},
		{func() error { return sw.Links.Rename(renamed, name) }, name, `renamed from ` + renamed},
		{func() error { return sw.Links.Rename(name, "eth77") }, name, `renamed to eth77`},
		{func() error { return sw.Links.Rename("eth77", name) }, name, `created, admin .*`},
		{func() error { return sw.Links.Delete(name) }, name, `deleted`},
		{func() error { sw.AddPort(name); return nil }, name, `created, admin .*`},
	} {
		n := sw.Logs.Len()
		sw.NoError("change the port", step.change())
		pattern := regexp.MustCompile("^" + step.want + "$")
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			lines := portLines(sw, n, step.port)
			for _, text := range lines {
				if pattern.MatchString(text) {
					return ""
				}
			}
			return fmt.Sprintf("no line %q in %q", step.want, lines)
		})
	}
}

// TestPortStormInLog flaps a port many times. The log must have a bounded number of lines about the
// port, and the flaps in these lines must add up to the kernel's count.
func TestPortStormInLog(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(1)
	name, peer := switchtest.PortName(0), switchtest.PeerName(switchtest.PortName(0))
	downs := func() (count uint32) {
		sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			if string(l.Name) == name {
				count = l.CarrierDown
			}
		}))
		return count
	}
	const flaps, most = 100, 25 // lines; the journal merges events after 20
	from, before := sw.Logs.Len(), downs()
	for range flaps {
		for _, up := range []bool{false, true} {
			sw.NoError("flap the link", sw.Links.SetUp(peer, up))
		}
	}
	sw.AwaitRunning(name, true)
	sw.AwaitInSync(switchtest.Timeout)
	want := int(downs() - before)
	d.EndBySignal(syscall.SIGTERM, "after a storm") // logs the merged event at once

	counted := []*regexp.Regexp{ // the first match has the number of flaps, or stands for one
		regexp.MustCompile(`, (\d+) link-down transitions? since`),
		regexp.MustCompile(`^flapped (\d+) times`),
		regexp.MustCompile(`^(?:flapped once|link down)`),
	}
	flapsIn := func(text string) int {
		for _, pattern := range counted {
			m := pattern.FindStringSubmatch(text)
			switch {
			case m == nil:
				continue
			case len(m) == 1:
				return 1
			}
			n, err := strconv.Atoi(m[1])
			sw.NoError("parse the number of flaps", err)
			return n
		}
		return 0
	}
	var lines []string
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		lines = portLines(sw, from, name)
		sum := 0
		for _, text := range lines {
			sum += flapsIn(text)
		}
		if sum != want {
			return fmt.Sprintf("the lines have %d flaps, the kernel counted %d: %q", sum, want, lines)
		}
		return ""
	})
	if len(lines) > most {
		t.Errorf("%d lines about %d flaps, want at most %d: %q", len(lines), flaps, most, lines)
	}
	t.Logf("%d flaps: %q", want, lines)
}
