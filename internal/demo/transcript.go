package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// transcript prints what happens on the demo's switch: the steps of the start, then one line a second
// with the changes made to the links and the resulting state of STATE_DB. Its methods are safe for
// concurrent use.
type transcript struct {
	out   io.Writer
	color bool
	ports int        // number of ports
	up    func() int // returns the number of ports that are up in STATE_DB
	begin time.Time

	mu       sync.Mutex
	rows     map[string]map[string]string // STATE_DB rows, by port
	created  int                          // number of interfaces created
	initDone chan struct{}                // closed when PortInitDone is written
	started  bool                         // the start is complete

	// The changes to links and rows since the last line.
	changed   map[string]time.Time // beginning of the change, by port, until its row changes
	changes   []string             // in words, at most maxChanges
	counts    [numChanges]int
	written   bool
	slowest   time.Duration // longest time from a change to the change of the row
	notShown  int           // changes of counts, if there are more than maxChanges
	createdAt time.Time     // time of the last created interface
	doneAt    time.Time     // time of PortInitDone
}

// maxChanges is the maximum number of changes that a line names. More changes are counted.
const maxChanges = 2

// Kinds of changes to links.
const (
	unplugged = iota
	pluggedIn
	changedMTU
	numChanges
)

var changeTexts = [numChanges]string{"unplugged", "plugged in", "MTU changes"}

// Styles of text on a terminal: parameters of SGR sequences (ECMA-48).
const (
	faint  = "2"
	bold   = "1"
	green  = "32"
	yellow = "33"
	red    = "31"
)

func newTranscript(out io.Writer, ports int, up func() int) *transcript {
	return &transcript{
		out: out, ports: ports, up: up, color: isColorTerminal(out, os.Getenv), begin: time.Now(),
		changed: make(map[string]time.Time), rows: make(map[string]map[string]string),
		initDone: make(chan struct{}),
	}
}

// isColorTerminal reports whether out is a terminal on which the user wants color.
func isColorTerminal(out io.Writer, getenv func(string) string) bool {
	file, ok := out.(*os.File)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// paint returns text in a style, or unchanged without color.
func (t *transcript) paint(style, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// step prints a step of the start. The caller must hold mu once other goroutines are running.
func (t *transcript) step(at time.Time, actor, format string, args ...any) {
	fmt.Fprintf(t.out, "%s  %s %s\n", t.paint(faint, fmt.Sprintf("%9.3f s", at.Sub(t.begin).Seconds())),
		t.paint(bold, fmt.Sprintf("%-10s", actor)), fmt.Sprintf(format, args...))
}

// printTitle prints the title. It must be called before other goroutines start.
func (t *transcript) printTitle(where string) {
	fmt.Fprintf(t.out, "portsyncd demo: the daemon on a switch with %s, %s\n\n", plural(t.ports, "port"), where)
	t.step(time.Now(), "CONFIG_DB", "%s configured", plural(t.ports, "port"))
}

// orchagentEvent prints or counts an action of the simulated orchagent.
func (t *transcript) orchagentEvent(e lab.OrchEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case e.Err != nil:
		t.step(now, "orchagent", "%s", t.paint(red, fmt.Sprintf("%s %s: %v", e.Port, e.Step, e.Err)))
	case e.Step == lab.ConfigDonePopped:
		t.step(now, "portsyncd", "PortConfigDone: orchagent has all ports and creates their interfaces")
	case e.Step == lab.PortCreated:
		t.created++
		t.createdAt = now
	case e.Step == lab.InitDonePopped:
		t.doneAt = now
		close(t.initDone)
	}
}

// beginChange records that the demo is about to change a link.
func (t *transcript) beginChange(port string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed[port] = time.Now()
}

// flapEvent records a change that the demo made to a link.
func (t *transcript) flapEvent(e lab.FlapEvent) {
	kind, text := unplugged, e.Port+" "+t.paint(red, changeTexts[unplugged])
	switch {
	case e.MTU != 0:
		kind, text = changedMTU, e.Port+" "+t.paint(yellow, fmt.Sprintf("MTU %d", e.MTU))
	case e.Carrier:
		kind, text = pluggedIn, e.Port+" "+t.paint(green, changeTexts[pluggedIn])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Err != nil {
		delete(t.changed, e.Port)
		t.step(time.Now(), "demo", "%s", t.paint(red, fmt.Sprintf("%s: %v", e.Port, e.Err)))
		return
	}
	t.counts[kind]++
	if len(t.changes) < maxChanges {
		t.changes = append(t.changes, text)
	} else {
		t.notShown++
	}
}

// watchState follows the ports' STATE_DB rows until the returned Closer is closed. Like SONiC's
// daemons, it subscribes to keyspace notifications.
func (t *transcript) watchState(ctx context.Context, m *sonicdb.Map) (io.Closer, error) {
	db, err := m.Database("STATE_DB")
	if err != nil {
		return nil, err
	}
	watch, err := sonicdb.Dial(ctx, db.Options())
	if err != nil {
		return nil, err
	}
	rows, err := sonicdb.Dial(ctx, db.Options())
	if err != nil {
		watch.Close()
		return nil, err
	}
	prefix := fmt.Sprintf("__keyspace@%d__:", db.ID)
	if err := watch.PSubscribe(prefix + "PORT_TABLE|*"); err != nil {
		return nil, err
	}
	go func() {
		defer rows.Close()
		for {
			msg, err := watch.ReceiveMessage()
			if err != nil {
				return
			}
			if msg.Kind == sonicdb.Published {
				t.rowEvent(rows, strings.TrimPrefix(string(msg.Channel), prefix))
			}
		}
	}()
	return watch, nil
}

// rowEvent records a row that changed. If the demo caused the change, it also records the latency.
func (t *transcript) rowEvent(c *sonicdb.Conn, key string) {
	fields, err := c.HGetAll(key)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, port, _ := strings.Cut(key, "|")
	before, after, same := t.rows[port], make(map[string]string), true
	for _, f := range fields {
		after[f.Field] = f.Value
		same = same && before[f.Field] == f.Value
	}
	t.rows[port] = after
	if same && before != nil {
		return
	}
	if at, ok := t.changed[port]; ok {
		t.written, t.slowest = true, max(t.slowest, time.Since(at))
		delete(t.changed, port)
	}
}

// run prints a line each second until ctx is done.
func (t *transcript) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.printLine()
		}
	}
}

// printLine prints what has happened since the last line: the progress of the start, or the changes
// to links, followed by their result.
func (t *transcript) printLine() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.started {
		if t.created < t.ports {
			t.step(time.Now(), "kernel", "%d of %s created", t.created, plural(t.ports, "interface"))
		}
		return
	}
	if len(t.changes) == 0 {
		return
	}
	text := strings.Join(t.changes, ", ")
	if t.notShown > 0 {
		var parts []string
		for kind, n := range t.counts {
			if n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, changeTexts[kind]))
			}
		}
		text = strings.Join(parts, ", ")
	}
	up := t.up()
	style := green
	if up < t.ports {
		style = yellow
	}
	result := t.paint(style, fmt.Sprintf("%d of %d up", up, t.ports))
	if t.written {
		result += t.paint(faint, fmt.Sprintf(", after %.1f ms", t.slowest.Seconds()*1000))
	}
	fmt.Fprintf(t.out, "%s  %s%*s%s\n", t.paint(faint, fmt.Sprintf("%6.1f s", time.Since(t.begin).Seconds())),
		text, max(2, changeWidth-visibleWidth(text)), "", result)
	t.changes, t.notShown, t.counts, t.written, t.slowest = nil, 0, [numChanges]int{}, false, 0
}

// changeWidth is the width of the column with changes.
const changeWidth = 46

// visibleWidth returns the number of characters of text without its SGR sequences.
func visibleWidth(text string) (n int) {
	for i := 0; i < len(text); i++ {
		if text[i] == '\x1b' {
			i += strings.IndexByte(text[i:], 'm')
			continue
		}
		n++
	}
	return n
}

// startComplete prints the remaining steps of the start: STATE_DB shows all ports as up.
func (t *transcript) startComplete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started = true
	now := time.Now()
	t.step(t.createdAt, "kernel", "%s created", plural(t.created, "interface"))
	t.step(t.doneAt, "portsyncd", "PortInitDone: every port has an interface and a row in STATE_DB")
	t.step(now, "STATE_DB", "%s %s: the start is complete", plural(t.ports, "port"), t.paint(green, "up"))
}

// printNextSteps prints commands that the user can run in a second terminal.
func (t *transcript) printNextSteps(l net.Listener, socket string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\nNext steps, in another terminal. Press Ctrl-C here to stop.\n")
	if l != nil {
		program := programName()
		for _, command := range []string{"status --watch", "events --follow"} {
			fmt.Fprintf(t.out, "  %s\n", t.paint(bold, fmt.Sprintf("%s %s --address %s", program, command, l.Addr())))
		}
		fmt.Fprintf(t.out, "  %s\n", t.paint(bold, fmt.Sprintf("curl http://%s/metrics", l.Addr())))
	}
	fmt.Fprintf(t.out, "  %s\n", t.paint(bold, fmt.Sprintf("redis-cli -s %s -n %d hgetall 'PORT_TABLE|Ethernet0'", socket, lab.StateDB)))
	if l != nil {
		fmt.Fprintf(t.out, "The status page: %s\n", t.paint(bold, fmt.Sprintf("http://%s/", l.Addr())))
	}
	fmt.Fprintf(t.out, "\n%s\n", t.paint(faint, fmt.Sprintf("%8s  %-*s%s", "", changeWidth, "changes to the links", "ports in STATE_DB")))
}

// programName returns how the user can run this program: "portsyncd" if it is on the path, "go run ."
// if "go run" has started it, or else its path.
func programName() string {
	path, err := os.Executable()
	if err != nil {
		return "portsyncd"
	}
	if strings.Contains(path, "/go-build") {
		return "go run ."
	}
	if found, err := exec.LookPath("portsyncd"); err == nil {
		a, errA := os.Stat(path)
		b, errB := os.Stat(found)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return "portsyncd"
		}
	}
	return path
}

// endState prints the result of the final check. kernel is false if the links are simulated.
func (t *transcript) endState(kernel bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what := "the expected state"
	if kernel {
		what = "the kernel"
	}
	t.step(time.Now(), "demo", "%s", t.paint(green, fmt.Sprintf("STATE_DB matches %s for %s", what, plural(t.ports, "port"))))
}
