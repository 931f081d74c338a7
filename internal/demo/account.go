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

// account tells what happens, a line for each thing: when, who, what.
type account struct {
	mu    sync.Mutex
	out   io.Writer
	begin time.Time
	moved map[string]time.Time         // when a port's cable was last moved
	shown map[string]map[string]string // rows of STATE_DB as last shown
	live  bool                         // past the start: a change can be put down to a cable
	done  chan struct{}                // closed once PortInitDone has come
}

func newAccount(out io.Writer) *account {
	return &account{
		out: out, begin: time.Now(),
		moved: make(map[string]time.Time), shown: make(map[string]map[string]string),
		done: make(chan struct{}),
	}
}

func (a *account) say(who, format string, args ...any) {
	fmt.Fprintf(a.out, "%9.3f s  %-10s %s\n", time.Since(a.begin).Seconds(), who, fmt.Sprintf(format, args...))
}

func (a *account) title(ports int, where string) {
	fmt.Fprintf(a.out, "portsyncd demo: a switch with %s %s, the real daemon on it\n\n", plural(ports, "port"), where)
	a.say("CONFIG_DB", "%s configured", plural(ports, "port"))
}

// orchagent reports what the stand-in for orchagent did.
func (a *account) orchagent(e lab.OrchEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case e.Err != nil:
		a.say("orchagent", "%s %s: %v", e.Port, e.Step, e.Err)
	case e.Step == lab.ConfigDonePopped:
		a.say("portsyncd", "PortConfigDone: orchagent has all ports and makes their interfaces")
	case e.Step == lab.PortCreated:
		a.say("kernel", "%s created", e.Port)
	case e.Step == lab.InitDonePopped:
		a.say("portsyncd", "PortInitDone: every port has its interface")
		close(a.done)
	}
}

// cable reports what was done to a port from outside.
func (a *account) cable(e lab.FlapEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moved[e.Port] = time.Now()
	switch {
	case e.Err != nil:
		a.say("cable", "%s: %v", e.Port, e.Err)
	case e.MTU != 0:
		a.say("operator", "%s mtu %d", e.Port, e.MTU)
	case e.Carrier:
		a.say("cable", "%s plugged in", e.Port)
	default:
		a.say("cable", "%s unplugged", e.Port)
	}
}

// watchState shows each change of a row in STATE_DB, told by keyspace
// notifications as SONiC's own daemons are.
func (a *account) watchState(ctx context.Context, m *sonicdb.Map) (io.Closer, error) {
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
				a.row(rows, strings.TrimPrefix(string(msg.Channel), prefix))
			}
		}
	}()
	return watch, nil
}

// Row shows what changed in a row.
func (a *account) row(c *sonicdb.Conn, key string) {
	fields, err := c.HGetAll(key)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, port, _ := strings.Cut(key, "|")
	before, after := a.shown[port], make(map[string]string)
	var changes []string
	for _, f := range fields {
		after[f.Field] = f.Value
		if before[f.Field] != f.Value {
			changes = append(changes, f.Field+"="+f.Value)
		}
	}
	a.shown[port] = after
	if len(changes) == 0 {
		return
	}
	took := ""
	if at, ok := a.moved[port]; ok && a.live {
		took = fmt.Sprintf("   (%.1f ms)", time.Since(at).Seconds()*1000)
		delete(a.moved, port)
	}
	a.say("STATE_DB", "%s %s%s", port, strings.Join(changes, " "), took)
}

func (a *account) started(ports int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live = true
	a.say("demo", "the start is over: %s up in STATE_DB", plural(ports, "port"))
}

// addresses says what to try while the switch lives.
func (a *account) addresses(l net.Listener, socket string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(a.out, "\nTry, in another terminal, until you press Ctrl-C here:\n")
	if l != nil {
		for _, path := range []string{"/healthz", "/metrics", "/ports", "/"} {
			fmt.Fprintf(a.out, "  curl http://%s%s\n", l.Addr(), path)
		}
	}
	fmt.Fprintf(a.out, "  redis-cli -s %s -n 6 hgetall 'PORT_TABLE|Ethernet0'\n\n", socket)
}

func (a *account) inStep(ports int, kernel bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	as := "as it should be"
	if kernel {
		as = "what the kernel says"
	}
	a.say("demo", "STATE_DB is %s, for %s", as, plural(ports, "port"))
}
