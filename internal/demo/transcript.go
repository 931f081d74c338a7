package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// transcript prints one line for each demo event, with the time, the actor and the event. Its
// methods are safe for concurrent use.
type transcript struct {
	mu       sync.Mutex
	out      io.Writer
	begin    time.Time
	changed  map[string]time.Time         // demo changes not yet seen in STATE_DB, by port
	rows     map[string]map[string]string // last printed STATE_DB rows, by port
	started  bool                         // startup is complete; print latencies
	initDone chan struct{}                // closed when PortInitDone is written
}

func newTranscript(out io.Writer) *transcript {
	return &transcript{
		out: out, begin: time.Now(),
		changed: make(map[string]time.Time), rows: make(map[string]map[string]string),
		initDone: make(chan struct{}),
	}
}

// event prints one line. The caller must hold mu once other goroutines are running.
func (t *transcript) event(actor, format string, args ...any) {
	fmt.Fprintf(t.out, "%9.3f s  %-10s %s\n", time.Since(t.begin).Seconds(), actor, fmt.Sprintf(format, args...))
}

// printTitle prints the title. It must be called before other goroutines start.
func (t *transcript) printTitle(ports int, where string) {
	fmt.Fprintf(t.out, "portsyncd demo: the daemon on a switch with %s, %s\n\n", plural(ports, "port"), where)
	t.event("CONFIG_DB", "%s configured", plural(ports, "port"))
}

// orchagentEvent prints an action of the simulated orchagent.
func (t *transcript) orchagentEvent(e lab.OrchEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Err != nil:
		t.event("orchagent", "%s %s: %v", e.Port, e.Step, e.Err)
	case e.Step == lab.ConfigDonePopped:
		t.event("portsyncd", "PortConfigDone: orchagent has all ports and creates their interfaces")
	case e.Step == lab.PortCreated:
		t.event("kernel", "%s created", e.Port)
	case e.Step == lab.InitDonePopped:
		t.event("portsyncd", "PortInitDone: every port has an interface")
		close(t.initDone)
	}
}

// flapEvent prints a change that the demo made to a link.
func (t *transcript) flapEvent(e lab.FlapEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed[e.Port] = time.Now()
	switch {
	case e.Err != nil:
		t.event("cable", "%s: %v", e.Port, e.Err)
	case e.MTU != 0:
		t.event("operator", "%s mtu %d", e.Port, e.MTU)
	case e.Carrier:
		t.event("cable", "%s plugged in", e.Port)
	default:
		t.event("cable", "%s unplugged", e.Port)
	}
}

// watchState prints every change of a port's STATE_DB row until the returned Closer is closed. Like
// SONiC's daemons, it subscribes to keyspace notifications.
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

// rowEvent prints the fields of a row that changed since the row was last printed. If the demo
// caused the change, it also prints the latency.
func (t *transcript) rowEvent(c *sonicdb.Conn, key string) {
	fields, err := c.HGetAll(key)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, port, _ := strings.Cut(key, "|")
	before, after := t.rows[port], make(map[string]string)
	var changes []string
	for _, f := range fields {
		after[f.Field] = f.Value
		if before[f.Field] != f.Value {
			changes = append(changes, f.Field+"="+f.Value)
		}
	}
	t.rows[port] = after
	if len(changes) == 0 {
		return
	}
	latency := ""
	if at, ok := t.changed[port]; ok && t.started {
		latency = fmt.Sprintf("   (%.1f ms)", time.Since(at).Seconds()*1000)
		delete(t.changed, port)
	}
	t.event("STATE_DB", "%s %s%s", port, strings.Join(changes, " "), latency)
}

// startComplete prints that STATE_DB shows all ports as up.
func (t *transcript) startComplete(ports int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started = true
	t.event("demo", "start complete: %s up in STATE_DB", plural(ports, "port"))
}

// printCommands prints commands that the user can run in a second terminal.
func (t *transcript) printCommands(l net.Listener, socket string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\nCommands to try in another terminal. Press Ctrl-C here to stop.\n")
	if l != nil {
		for _, path := range []string{"/healthz", "/metrics", "/ports", "/"} {
			fmt.Fprintf(t.out, "  curl http://%s%s\n", l.Addr(), path)
		}
	}
	fmt.Fprintf(t.out, "  redis-cli -s %s -n %d hgetall 'PORT_TABLE|Ethernet0'\n\n", socket, lab.StateDB)
}

// endState prints the result of the final check. kernel is false if the links are simulated.
func (t *transcript) endState(ports int, kernel bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what := "the expected state"
	if kernel {
		what = "the kernel"
	}
	t.event("demo", "STATE_DB matches %s for %s", what, plural(ports, "port"))
}
