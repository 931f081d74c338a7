package demo

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
)

// TestTranscript checks the lines of a start and of changes: causes before effects, one line for all
// changes since the last one, and no color in a file.
func TestTranscript(t *testing.T) {
	var out bytes.Buffer
	up := 2
	tr := newTranscript(&out, 2, func() int { return up })
	tr.printTitle("in a test")
	tr.orchagentEvent(lab.OrchEvent{Step: lab.ConfigDonePopped})
	tr.orchagentEvent(lab.OrchEvent{Port: "Ethernet0", Step: lab.PortCreated})
	tr.printLine()
	tr.orchagentEvent(lab.OrchEvent{Step: lab.InitDonePopped})
	tr.orchagentEvent(lab.OrchEvent{Port: "Ethernet4", Step: lab.PortCreated})
	tr.startComplete()
	tr.printLine() // nothing has changed
	up = 1
	tr.flapEvent(lab.FlapEvent{Port: "Ethernet4"})
	tr.printLine()
	for range 3 {
		tr.flapEvent(lab.FlapEvent{Port: "Ethernet4", Carrier: true})
	}
	tr.flapEvent(lab.FlapEvent{Port: "Ethernet0", MTU: 1500})
	tr.flapEvent(lab.FlapEvent{Port: "Ethernet0", Err: errors.New("gone")})
	tr.written, tr.slowest = true, 1500*time.Microsecond
	tr.printLine()
	tr.endState(true)
	times := regexp.MustCompile(`(?m)^ *[0-9.]+ s  `)
	const want = `portsyncd demo: the daemon on a switch with 2 ports, in a test

CONFIG_DB  2 ports configured
portsyncd  PortConfigDone: orchagent has all ports and creates their interfaces
kernel     1 of 2 interfaces created
kernel     2 interfaces created
portsyncd  PortInitDone: every port has an interface and a row in STATE_DB
STATE_DB   2 ports up: the start is complete
Ethernet4 unplugged                           1 of 2 up
demo       Ethernet0: gone
3 plugged in, 1 MTU changes                   1 of 2 up, after 1.5 ms
demo       STATE_DB matches the kernel for 2 ports
`
	if got := times.ReplaceAllString(out.String(), ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestColor checks that only a terminal gets color, and only without NO_COLOR, and that color does
// not move the columns.
func TestColor(t *testing.T) {
	screen, terminal, err := lab.OpenTerminal("/dev/ptmx")
	if err != nil {
		t.Skipf("no pseudoterminal: %v", err)
	}
	defer screen.Close()
	defer terminal.Close()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		out  *os.File
		env  map[string]string
		want bool
	}{
		{terminal, nil, true},
		{terminal, map[string]string{"NO_COLOR": "1"}, false},
		{terminal, map[string]string{"TERM": "dumb"}, false},
		{file, nil, false},
	} {
		if got := isColorTerminal(c.out, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s with %v: color is %v", c.out.Name(), c.env, got)
		}
	}
	line := func(color bool) string {
		var out bytes.Buffer
		tr := newTranscript(&out, 1, func() int { return 0 })
		tr.color, tr.started = color, true
		tr.flapEvent(lab.FlapEvent{Port: "Ethernet0"})
		tr.printLine()
		_, text, _ := strings.Cut(out.String(), " s")
		return text
	}
	colored := line(true)
	if !strings.Contains(colored, "\x1b[31munplugged\x1b[0m") {
		t.Errorf("no color in %q", colored)
	}
	if got := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(colored, ""); got != line(false) {
		t.Errorf("without its color, the line is %q, want %q", got, line(false))
	}
}
