package process

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// published is the text of the C++ daemon's line about the first port.
const published = "Publish Ethernet0(ok:up) to state db"

// TestLogWithoutSyslog starts the daemon on a switch without /dev/log. Its log must go to standard
// error, as text and as JSON, and to syslog as soon as a syslog daemon runs.
func TestLogWithoutSyslog(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.NoError("remove /dev/log", os.Rename("/dev/log", "/dev/hidden"))
	sw.ConfigurePorts(1)
	d := sw.StartWith("[daemon]\nlog_format = 'json'\n")
	sw.AddInterfaces(1)
	awaitOutput(t, d.Stderr, published)
	messages := make(map[string]map[string]any)
	for line := range strings.Lines(d.Stderr.String()) {
		if !strings.HasSuffix(line, "\n") {
			break // the rest has not arrived yet
		}
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("not JSON: %v: %q", err, line)
		}
		for _, key := range []string{"time", "level", "msg", "component"} {
			if text, _ := object[key].(string); text == "" {
				t.Errorf("no member %s: %s", key, line)
			}
		}
		if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(object["time"])); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("time %v, %v; want a present one", object["time"], err)
		}
		messages[fmt.Sprint(object["msg"])] = object
	}
	if line := messages[published]; line["level"] != "NOTICE" || line["component"] != "onMsg" {
		t.Errorf("the line about the port is %v", line)
	}
	if out := d.Stdout.String(); out != "" {
		t.Errorf("standard output has %q, which is not JSON", out)
	}

	sw.ReloadWith(d, "[daemon]\nlog_format = 'text'\n")
	awaitOutput(t, d.Stderr, "NOTICE :- daemon: configuration reloaded file=")
	before := sw.Logs.Len()
	sw.NoError("restore /dev/log", os.Rename("/dev/hidden", "/dev/log"))
	mtu := 1300
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		mtu++
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), mtu))
		if lines, _ := sw.Logs.From(before); !strings.Contains(fmt.Sprint(lines), published) {
			return "no line in syslog"
		}
		return ""
	})
	d.EndBySignal(syscall.SIGTERM, "without syslog at first")
}

// TestLogOnTerminal starts the daemon with a terminal as standard error. The log must go to syslog
// and to the terminal, and a terminal that is stopped must not stop the daemon.
func TestLogOnTerminal(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	pts := sw.Dir + "/pts"
	sw.Mkdir(pts)
	sw.NoError("mount devpts", unix.Mount("devpts", pts, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0600"))
	screen, terminal, err := lab.OpenTerminal(pts + "/ptmx")
	sw.NoError("open a terminal", err)
	t.Cleanup(func() { screen.Close(); terminal.Close() })
	shown := new(switchtest.Output)
	read, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for b := make([]byte, 4096); ; {
			n, err := screen.Read(b)
			shown.Write(b[:n])
			if err != nil {
				return
			}
			select {
			case <-read:
				return
			default:
			}
		}
	}()
	sw.ConfigurePorts(1)
	d := sw.Start(switchtest.StartOptions{Stderr: terminal})
	d.AwaitReady()
	sw.AddInterfaces(1)
	awaitOutput(t, shown, "NOTICE :- onMsg: "+published)
	sw.AwaitLog(0, switchtest.Timeout, published)

	close(read) // now nothing reads what the daemon writes to the terminal
	for i := range 300 {
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1300+i))
	}
	<-stopped
	sw.AwaitRecovery("a stopped terminal")
	sw.CheckAfterFault(d)
	d.EndBySignal(syscall.SIGTERM, "with a stopped terminal")
}

// awaitOutput waits until the output has a text.
func awaitOutput(t *testing.T, output fmt.Stringer, text string) {
	t.Helper()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if !strings.Contains(output.String(), text) {
			return fmt.Sprintf("no %q in %q", text, output)
		}
		return ""
	})
}
